// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/redacted_memory.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "vmcore/memory/redaction_note.h"
#include "vmcore/memory/state_joiner.h"

namespace dmaudit {
namespace {

// Builds the extents of a page from those of the container, front to back.
class ExtentOverlay {
 public:
  explicit ExtentOverlay(Page& page) : page_(page) {}

  // The next `size` bytes; `choose` makes the new state from the container's.
  template <typename Choose>
  void Next(uint32_t size, Choose choose) {
    const uint32_t end = at_ + size;
    while (at_ < end && index_ < page_.extents.size()) {
      const PageExtent& extent = page_.extents[index_];
      const uint32_t extent_end = extent.offset + extent.size;
      const uint32_t stop = std::min(end, extent_end);
      Add(stop - at_, choose(extent.state));
      if (stop == extent_end) ++index_;
    }
  }
  void Finish() { page_.extents = std::move(out_); }

 private:
  void Add(uint32_t size, ByteState state) {
    if (!IsReadable(state) || state == ByteState::kZero) {
      std::fill_n(page_.bytes.begin() + at_, size, std::byte{0});
    }
    if (!out_.empty() && out_.back().state == state) {
      out_.back().size += size;
    } else {
      out_.push_back({at_, size, state});
    }
    at_ += size;
  }

  Page& page_;
  size_t index_ = 0;
  uint32_t at_ = 0;
  std::vector<PageExtent> out_;
};

// What the kept words of a frame are worth: readable when the frame is as it was written.
ByteState StateOfKept(const Page& page, uint32_t offset, const FrameRecord& record) {
  const PageExtent bad = page.FirstUnreadable(offset, kFrameSize);
  if (!IsReadable(bad.state)) return bad.state;
  if (record.checksum == nullptr) return ByteState::kData;
  const auto frame = std::span(page.bytes).subspan(offset, kFrameSize);
  return FrameChecksum(frame) == *record.checksum ? ByteState::kData : ByteState::kCorrupt;
}

ByteState StateOfUnkept(ByteState state) {
  return state == ByteState::kAbsent ? ByteState::kAbsent : ByteState::kRedacted;
}

}  // namespace

RedactedMemory::RedactedMemory(std::unique_ptr<const PhysicalMemory> base, RedactionMap map)
    : base_(std::move(base)), map_(std::move(map)) {}

void RedactedMemory::ReadPage(PhysAddr base, DecodeContext& context, Page& page) const {
  base_->ReadPage(base, context, page);
  ExtentOverlay overlay(page);
  for (uint32_t offset = 0; offset < page_size(); offset += kFrameSize) {
    const FrameRecord record = map_.Find((base.value() + offset) / kFrameSize);
    if (record.layout.empty()) {
      overlay.Next(kFrameSize, StateOfUnkept);
      continue;
    }
    const ByteState kept = StateOfKept(page, offset, record);
    for (const WordRun& run : record.layout) {
      const ByteState state = run.state == ByteState::kData ? kept : run.state;
      overlay.Next(run.count * kWordSize, [state](ByteState) { return state; });
    }
  }
  overlay.Finish();
}

void RedactedMemory::VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const {
  StateJoiner joined(visit);
  base_->VisitStates([&](PhysRange range, ByteState state) {
    uint64_t at = range.first.value();
    bool done = false;
    // Bytes up to `last` that are still inside the range; false when the visitor has seen enough.
    const auto add = [&](uint64_t last, ByteState s) {
      last = std::min(last, range.last.value());
      if (done || at > last) return true;
      if (!joined.Add({PhysAddr(at), PhysAddr(last)}, s)) return false;
      done = last == range.last.value();
      at = last + 1;
      return true;
    };
    const auto state_of = [state](const WordRun& words) {
      return words.state == ByteState::kData ? state : words.state;
    };
    const auto runs = map_.runs();
    const auto begins_behind = [](uint64_t frame, const RedactionMap::FrameRun& run) {
      return frame < run.first + run.count;
    };
    auto run = std::upper_bound(runs.begin(), runs.end(), at / kFrameSize, begins_behind);
    for (; run != runs.end() && run->first * kFrameSize <= range.last.value(); ++run) {
      const uint64_t start = run->first * kFrameSize;
      if (start > at && !add(start - 1, StateOfUnkept(state))) return false;
      const FrameLayout layout = map_.LayoutOf(*run);
      const uint64_t run_end = run->first + run->count;
      if (layout.size() == 1) {
        if (!add(run_end * kFrameSize - 1, state_of(layout.front()))) return false;
        continue;
      }
      for (uint64_t frame = std::max(run->first, at / kFrameSize); frame < run_end && !done;
           ++frame) {
        uint64_t word_end = frame * kFrameSize;
        for (const WordRun& words : layout) {
          word_end += words.count * kWordSize;
          if (!add(word_end - 1, state_of(words))) return false;
        }
      }
    }
    return add(UINT64_MAX, StateOfUnkept(state));
  });
  joined.Finish();
}

ByteState RedactedMemory::PageStateHint(PhysAddr base) const {
  const ByteState hint = base_->PageStateHint(base);
  for (uint32_t offset = 0; offset < page_size(); offset += kFrameSize) {
    const FrameLayout layout = map_.Find((base.value() + offset) / kFrameSize).layout;
    if (layout.empty()) return StateOfUnkept(hint);
    for (const WordRun& run : layout) {
      const ByteState state = run.state == ByteState::kData ? hint : run.state;
      if (!IsReadable(state)) return state;
    }
  }
  return hint;
}

OverlaidMemory OverlayRedaction(std::unique_ptr<const PhysicalMemory> memory,
                                std::span<const DumpNote> notes, bool marked,
                                DiagnosticSink& sink) {
  Result<std::optional<DistillNote>> note = FindDistillNote(notes);
  RedactionMap map;
  if (note && *note) {
    map = std::move((*note)->map);
  } else if (!note) {
    sink.Incomplete("distill.note", "{}: the whole dump is taken as redacted",
                    note.error().message);
  } else if (marked) {
    sink.Incomplete("distill.note",
                    "distill note: missing in a distilled dump: the whole dump is taken as "
                    "redacted");
  } else {
    return {std::move(memory), false};
  }
  return {std::make_unique<RedactedMemory>(std::move(memory), std::move(map)), true};
}

}  // namespace dmaudit
