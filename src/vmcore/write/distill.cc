// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/distill.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "vmcore/memory/redaction_note.h"
#include "vmcore/write/atomic_file.h"

namespace dmaudit {
namespace {

// The original, one decoded page at a time.
class PageReader {
 public:
  explicit PageReader(const PhysicalMemory& memory)
      : memory_(memory), context_(memory.MakeContext()) {}

  const Page& Read(PhysAddr base) {
    if (!current_ || *current_ != base) memory_.ReadPage(base, *context_, page_);
    current_ = base;
    return page_;
  }

 private:
  const PhysicalMemory& memory_;
  std::unique_ptr<DecodeContext> context_;
  std::optional<PhysAddr> current_;
  Page page_;
};

// The state of one word. A word of which any byte is unreadable is unreadable.
ByteState StateOfWord(const Page& page, uint32_t offset) {
  const PageExtent bad = page.FirstUnreadable(offset, kWordSize);
  if (!IsReadable(bad.state)) return bad.state;
  for (const PageExtent& extent : page.extents) {
    if (offset < extent.offset + extent.size) {
      const bool whole = offset + kWordSize <= extent.offset + extent.size;
      return whole ? extent.state : ByteState::kData;
    }
  }
  return ByteState::kData;
}

void MakeLayout(const Page& page, uint32_t frame_offset, const WordMask& words,
                std::vector<WordRun>& layout) {
  layout.clear();
  for (uint32_t word = 0; word < kWordsPerFrame; ++word) {
    const ByteState state = words.Test(word) ? StateOfWord(page, frame_offset + word * kWordSize)
                                             : ByteState::kRedacted;
    if (layout.empty() || layout.back().state != state) layout.push_back({0, state});
    ++layout.back().count;
  }
}

// The frame at `offset` of a page as it is stored.
void FillFrame(const Page& page, uint32_t offset, FrameLayout layout, std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), kRedactedByte);
  size_t at = 0;
  for (const WordRun& run : layout) {
    const size_t size = size_t{run.count} * kWordSize;
    if (IsReadable(run.state)) {
      std::ranges::copy(std::span(page.bytes).subspan(offset + at, size),
                        out.subspan(at, size).begin());
    }
    at += size;
  }
}

struct Plan {
  RedactionMap map;
  std::vector<uint64_t> pages;  // bases of the pages with at least one readable word of evidence
};

Result<Plan> MakePlan(const PhysicalMemory& memory, const EvidenceRecorder& recorder) {
  Plan plan;
  PageReader reader(memory);
  std::vector<WordRun> layout;
  std::array<std::byte, kFrameSize> image;
  for (const uint64_t frame : recorder.Frames()) {
    const PhysAddr address(frame * kFrameSize);
    const PhysAddr base = address.AlignDown(memory.page_size());
    const uint32_t offset = static_cast<uint32_t>(address.OffsetIn(memory.page_size()));
    MakeLayout(reader.Read(base), offset, recorder.WordsOf(frame), layout);
    FillFrame(reader.Read(base), offset, layout, image);
    const uint32_t checksum = FrameChecksum(image);
    const Status added =
        plan.map.Append(frame, 1, layout, std::span(&checksum, KeepsWords(layout) ? 1 : 0));
    if (!added) return tl::unexpected(added.error());
    const bool stored =
        std::ranges::any_of(layout, [](const WordRun& run) { return IsReadable(run.state); });
    if (stored && (plan.pages.empty() || plan.pages.back() != base.value())) {
      plan.pages.push_back(base.value());
    }
  }
  return plan;
}

class DistilledContent : public KdumpContent {
 public:
  DistilledContent(const PhysicalMemory& memory, const Plan& plan) : memory_(memory), plan_(plan) {}

  // The RAM of the original. A stored page beside it (a container may contradict itself) is RAM
  // too, or readers would not look for it.
  void VisitRam(const std::function<bool(PhysRange)>& visit) const override {
    const uint32_t page_size = memory_.page_size();
    auto next = plan_.pages.begin();
    bool go_on = true;
    memory_.VisitRam([&](PhysRange range) {
      const uint64_t first = range.first.AlignDown(page_size).value();
      while (go_on && next != plan_.pages.end() && *next < first) go_on = visit(PageAt(*next++));
      go_on = go_on && visit(range);
      while (next != plan_.pages.end() && *next <= range.last.value()) ++next;
      return go_on;
    });
    while (go_on && next != plan_.pages.end()) go_on = visit(PageAt(*next++));
  }

  void VisitPages(const std::function<bool(const PageRun&)>& visit) const override {
    for (const uint64_t base : plan_.pages) {
      if (!visit({.first = PhysAddr(base)})) return;
    }
  }

  std::unique_ptr<PageFiller> MakeFiller() const override {
    return std::make_unique<Filler>(memory_, plan_);
  }

 private:
  class Filler : public PageFiller {
   public:
    Filler(const PhysicalMemory& memory, const Plan& plan) : plan_(plan), reader_(memory) {}

    Result<StoredAs> Fill(PhysAddr base, std::span<std::byte> out) override {
      const Page& page = reader_.Read(base);
      for (uint32_t offset = 0; offset < out.size(); offset += kFrameSize) {
        const FrameRecord record = plan_.map.Find((base.value() + offset) / kFrameSize);
        FillFrame(page, offset, record.layout, out.subspan(offset, kFrameSize));
      }
      return StoredAs::kData;
    }

   private:
    const Plan& plan_;
    PageReader reader_;
  };

  PhysRange PageAt(uint64_t base) const {
    return {PhysAddr(base), PhysAddr(base + (memory_.page_size() - 1))};
  }

  const PhysicalMemory& memory_;
  const Plan& plan_;
};

}  // namespace

Result<DistillSummary> Distill(const PhysicalMemory& memory, const EvidenceRecorder& recorder,
                               const DistillRequest& request, const std::string& path) {
  if (recorder.overflowed()) {
    return Fail(ErrorCode::kLimit, "the evidence exceeds {} pages of {} bytes",
                recorder.frame_count(), kFrameSize);
  }
  Result<Plan> plan = MakePlan(memory, recorder);
  if (!plan) return tl::unexpected(plan.error());

  DistillNote note;
  note.map = std::move(plan->map);
  note.hints = request.hints;
  note.provenance = request.provenance;
  Result<std::vector<std::byte>> descriptor = EncodeDistillNote(note);
  if (!descriptor) return tl::unexpected(descriptor.error());
  plan->map = std::move(note.map);

  DistillSummary summary;
  summary.evidence_frames = recorder.frame_count();
  summary.pages_stored = plan->pages.size();
  summary.note_bytes = descriptor->size();

  KdumpDescription header = request.header;
  header.block_size = memory.page_size();
  header.domainname = kDistilledMark;
  std::erase_if(header.notes, [](const DumpNote& n) { return n.name == kDistillNoteName; });
  header.notes.push_back({std::string(kDistillNoteName), kDistillNoteType, std::move(*descriptor)});

  Result<AtomicFile> file =
      AtomicFile::Create(path, AtomicFile::Access::kPositioned, AtomicFile::kForOwner);
  if (!file) return tl::unexpected(file.error());
  DistilledContent content(memory, *plan);
  const Result<KdumpSummary> written = WriteKdump(header, content, request.options, *file);
  if (!written) return tl::unexpected(written.error());
  if (const Status committed = file->Commit(); !committed) {
    return tl::unexpected(committed.error());
  }
  return summary;
}

}  // namespace dmaudit
