// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/convert.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "vmcore/memory/redaction.h"
#include "vmcore/write/atomic_file.h"

namespace dmaudit {
namespace {

// The states in a page.
class StateSet {
 public:
  void Add(ByteState state) { bits_ |= 1U << static_cast<unsigned>(state); }
  bool Has(ByteState state) const { return (bits_ >> static_cast<unsigned>(state) & 1) != 0; }

  // How a page that is not wholly known is put down; nothing for one that was never in the dump.
  std::optional<StoredAs> Damage() const {
    if (Has(ByteState::kTruncated)) return StoredAs::kTruncated;
    if (Has(ByteState::kCorrupt)) return StoredAs::kCorrupt;
    if (Has(ByteState::kLost)) return StoredAs::kLost;
    return std::nullopt;
  }

 private:
  unsigned bits_ = 0;
};

// What reading a page showed.
struct Content {
  uint64_t known = 0;  // bytes
  StateSet states;
};

Content ContentOf(const Page& page) {
  Content content;
  for (const PageExtent& extent : page.extents) {
    content.states.Add(extent.state);
    if (IsReadable(extent.state)) content.known += extent.size;
  }
  return content;
}

class DumpContent : public KdumpContent {
 public:
  explicit DumpContent(const Dump& dump)
      : dump_(dump),
        memory_(*dump.memory),
        distilled_(dump.info.distilled),
        size_(memory_.page_size()),
        shift_(static_cast<unsigned>(std::countr_zero(size_))) {
    JudgeBorders();
  }

  bool HasGaps() const override { return HasReadFaults(dump_); }

  void VisitRam(const std::function<bool(PhysRange)>& visit) const override {
    memory_.VisitStates([&](PhysRange range, ByteState) { return visit(range); });
  }

  void VisitPages(const std::function<bool(const PageRun&)>& visit) const override {
    Visit(visit, [this](const Border& border) { return Stores(border); });
  }

  std::unique_ptr<PageFiller> MakeFiller() const override {
    return std::make_unique<Filler>(*this);
  }

  // Pages known in part that are not stored as data, as far as they have been filled.
  uint64_t CountPartial() const { return filled_in_part_ + borders_in_part_; }

 private:
  // A page that ranges share, or that is in one only in part.
  struct Border {
    uint64_t frame;
    uint64_t known;
    StateSet states;
  };

  void Visit(const std::function<bool(const PageRun&)>& visit,
             const std::function<bool(const Border&)>& stores) const {
    std::optional<Border> border;
    // A page that several ranges share is decided on when the last of them has been seen.
    const auto settle = [&] {
      const bool store = border && stores(*border);
      const PhysAddr base(border ? border->frame << shift_ : 0);
      border.reset();
      return !store || visit({.first = base});
    };
    bool go_on = true;
    memory_.VisitStates([&](PhysRange range, ByteState state) {
      uint64_t at = range.first.value();
      const uint64_t last = range.last.value();
      for (;;) {
        const uint64_t frame = at >> shift_;
        if (border && border->frame != frame) go_on = settle();
        if (!go_on) return false;
        const uint64_t page_last = (frame << shift_) | (size_ - 1);
        uint64_t end = std::min(page_last, last);
        if (at != frame << shift_ || end != page_last) {
          if (!border) border.emplace(Border{frame, 0, {}});
          if (IsReadable(state)) border->known += end - at + 1;
          border->states.Add(state);
        } else {
          const uint64_t more = (last - page_last) / size_;  // whole pages behind this one
          end += more * size_;
          if (IsWanted(state)) go_on = visit({PhysAddr(at), more + 1, Told(state)});
          if (!go_on) return false;
        }
        if (end == last) return true;
        at = end + 1;
      }
    });
    if (go_on) settle();
  }

  class Filler : public PageFiller {
   public:
    explicit Filler(const DumpContent& content)
        : content_(content), context_(content.memory_.MakeContext()) {}

    Result<StoredAs> Fill(PhysAddr base, std::span<std::byte> out) override {
      content_.memory_.ReadPage(base, *context_, page_);
      const auto [known, states] = ContentOf(page_);
      if (known != out.size() && (!content_.distilled_ || known == 0)) {
        if (known != 0) ++content_.filled_in_part_;
        return states.Damage().value_or(StoredAs::kLost);
      }
      std::ranges::copy(page_.bytes, out.begin());
      if (known == out.size()) return StoredAs::kData;
      // What the note of a distilled dump calls redacted is stored as it was: the note has a
      // checksum of it.
      for (const PageExtent& extent : page_.extents) {
        if (!IsReadable(extent.state)) {
          std::ranges::fill(out.subspan(extent.offset, extent.size), kRedactedByte);
        }
      }
      return StoredAs::kData;
    }

    bool FillTogether(PhysAddr base, std::span<std::byte> out) override {
      return content_.memory_.ReadTogether(base, *context_, out);
    }

   private:
    const DumpContent& content_;
    std::unique_ptr<DecodeContext> context_;
    Page page_;
  };

  // What ranges call data may be damaged: of a page that they do not fill, only reading it tells
  // damage from what is known in part.
  void JudgeBorders() {
    const std::unique_ptr<DecodeContext> context = memory_.MakeContext();
    Page page;
    Visit([](const PageRun&) { return true; },
          [&](const Border& border) {
            if (border.known == 0 || Stores(border)) return false;
            memory_.ReadPage(PhysAddr(border.frame << shift_), *context, page);
            const Content content = ContentOf(page);
            if (content.states.Damage()) {
              damaged_borders_.push_back(border.frame);
            } else if (content.known != 0) {
              ++borders_in_part_;
            }
            return false;
          });
  }

  static bool IsWanted(ByteState state) {
    return IsReadable(state) || state == ByteState::kLost || state == ByteState::kTruncated ||
           state == ByteState::kCorrupt;
  }

  // What no page has to be read for. In a distilled dump any page can hold words.
  std::optional<StoredAs> Told(ByteState state) const {
    if (distilled_) return std::nullopt;
    StateSet states;
    states.Add(state);
    return states.Damage();
  }

  bool Stores(const Border& border) const {
    if (border.known == size_ || (distilled_ && border.known != 0)) return true;
    return border.states.Damage() || std::ranges::binary_search(damaged_borders_, border.frame);
  }

  const Dump& dump_;
  const PhysicalMemory& memory_;
  const bool distilled_;
  const uint64_t size_;
  const unsigned shift_;
  std::vector<uint64_t> damaged_borders_;  // page frames, ascending
  uint64_t borders_in_part_ = 0;           // known in part, the rest is no RAM
  mutable std::atomic<uint64_t> filled_in_part_ = 0;
};

// Each lost or damaged page takes a descriptor here, and each page that is described at all a bit.
Status CheckClaims(const Dump& dump) {
  constexpr uint64_t kLeastBitmap = uint64_t{16} << 20;  // half a terabyte of 4 KiB pages
  const uint64_t size = dump.memory->page_size();
  const uint64_t file = std::min(dump.info.file_size, UINT64_MAX / 16);
  const uint64_t most_described = (kLeastBitmap + file) * 8;
  const uint64_t most_damaged = MaxUnknownPages(dump.info);
  uint64_t described = 0;
  uint64_t damaged = 0;
  dump.memory->VisitStates([&](PhysRange range, ByteState state) {
    // Whole pages: of the others each takes a range of the file.
    const uint64_t first = range.first.value() / size + (range.first.value() % size != 0);
    const uint64_t end = range.last.value() / size + (range.last.value() % size == size - 1);
    const uint64_t pages = std::max(end, first) - first;
    StateSet states;
    states.Add(state);
    described += pages;
    if (states.Damage()) damaged += pages;
    return described <= most_described && damaged <= most_damaged;
  });
  constexpr std::string_view kInstead =
      "a file of this size does not justify: --format elf has no such limit";
  if (damaged > most_damaged) {
    return Fail(ErrorCode::kLimit, "more than {} pages are lost or damaged, which {}", most_damaged,
                kInstead);
  }
  if (described > most_described) {
    return Fail(ErrorCode::kLimit, "more than {} pages of memory, which {}", most_described,
                kInstead);
  }
  return {};
}

}  // namespace

Result<ConvertSummary> ConvertToKdump(const Dump& dump, KdumpDescription header,
                                      const KdumpOptions& options, const std::string& path) {
  header.block_size = dump.memory->page_size();
  header.domainname = dump.info.domainname;
  header.notes = dump.notes;
  header.incomplete = dump.info.incomplete;
  // makedumpfile leaves out again, of all pages, what the level says. Without a word of the
  // original's filter it must not.
  header.dump_level = dump.info.dump_level.value_or(0);
  const std::string& name = dump.info.paths.empty() ? path : dump.info.paths[0];
  if (const Status few = CheckClaims(dump); !few) return Within(name, few.error());
  Result<AtomicFile> file =
      AtomicFile::Create(path, AtomicFile::Access::kPositioned, AtomicFile::kForOwner);
  if (!file) return tl::unexpected(file.error());
  DumpContent content(dump);
  const Result<KdumpSummary> written = WriteKdump(header, content, options, *file);
  // What goes wrong with the file names it.
  if (!written && written.error().code == ErrorCode::kLimit) return Within(name, written.error());
  if (!written) return tl::unexpected(written.error());
  if (const Status committed = file->Commit(); !committed) {
    return tl::unexpected(committed.error());
  }
  return ConvertSummary{*written, content.CountPartial()};
}

}  // namespace dmaudit
