// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ordered_work.h"
#include "vmcore/memory/redaction.h"
#include "vmcore/write/atomic_file.h"
#include "vmcore/write/convert.h"

namespace dmaudit {
namespace {

// 1 MiB of 4 KiB pages: work enough for a thread, little enough to hold.
constexpr size_t kItemsPerJob = 256;
// Runs beside those that the page directories announce, for those that break off at a page that
// turns out undecodable: 80 bytes each.
constexpr uint64_t kSpareRuns = 1024;

// What is asked of a thread: a page, or a range whose state is known without looking.
struct Item {
  PhysRange range;
  std::optional<ByteState> state;  // nothing: decode the page that starts at range.first
};

// What comes back: ranges in one state, their bytes one behind the other.
struct Piece {
  PhysRange range;
  ByteState state;
  size_t at;  // of the bytes of kData
};

struct Job {
  std::vector<Item> items;
  std::vector<Piece> pieces;
  std::vector<std::byte> bytes;
};

class PageReader {
 public:
  PageReader(const PhysicalMemory& memory, bool distilled)
      : memory_(memory), distilled_(distilled), context_(memory.MakeContext()) {}

  void Work(Job& job) {
    job.pieces.clear();
    job.bytes.clear();
    for (const Item& item : job.items) {
      if (item.state) {
        Add(job, item.range, *item.state, {});
        continue;
      }
      memory_.ReadPage(item.range.first, *context_, page_);
      if (distilled_) RestoreFiller();
      for (const PageExtent& extent : page_.extents) {
        if (extent.state == ByteState::kAbsent) continue;
        const uint64_t first = page_.base.value() + extent.offset;
        Add(job, {PhysAddr(first), PhysAddr(first + (extent.size - 1))}, extent.state,
            std::span(page_.bytes).subspan(extent.offset, extent.size));
      }
    }
  }

 private:
  // A page of a distilled dump is stored as it was: the note that comes along has a checksum of it,
  // and says what of it is redacted.
  void RestoreFiller() {
    if (std::ranges::none_of(page_.extents,
                             [](const PageExtent& extent) { return IsReadable(extent.state); })) {
      return;
    }
    for (const PageExtent& extent : page_.extents) {
      if (IsReadable(extent.state)) continue;
      std::ranges::fill(std::span(page_.bytes).subspan(extent.offset, extent.size), kRedactedByte);
    }
    page_.extents = {{0, static_cast<uint32_t>(page_.bytes.size()), ByteState::kData}};
  }

  static void Add(Job& job, PhysRange range, ByteState state, std::span<const std::byte> bytes) {
    // Left out of the file; holes read back as what they stand for.
    if (state == ByteState::kData && IsAllZero(bytes)) state = ByteState::kZero;
    if (!job.pieces.empty()) {
      Piece& back = job.pieces.back();
      if (back.state == state && back.range.last.value() + 1 == range.first.value()) {
        back.range.last = range.last;
        if (state == ByteState::kData)
          job.bytes.insert(job.bytes.end(), bytes.begin(), bytes.end());
        return;
      }
    }
    job.pieces.push_back({range, state, job.bytes.size()});
    if (state == ByteState::kData) job.bytes.insert(job.bytes.end(), bytes.begin(), bytes.end());
  }

  const PhysicalMemory& memory_;
  const bool distilled_;
  std::unique_ptr<DecodeContext> context_;
  Page page_;
};

// Calls `visit` with ascending, disjoint items that cover the dump.
void VisitItems(const Dump& dump, const std::function<bool(const Item&)>& visit) {
  const PhysicalMemory& memory = *dump.memory;
  const uint64_t size = memory.page_size();
  std::optional<uint64_t> next = 0;  // first address that has not been dealt with
  memory.VisitStates([&](PhysRange range, ByteState state) {
    if (!next || *next > range.last.value()) return true;
    uint64_t at = std::max(*next, range.first.value());
    // The first and the last page can be another range's too: those are decoded, as are pages of
    // data.
    const uint64_t in_last = range.last.value() & (size - 1);
    const uint64_t partial = in_last == size - 1 ? 0 : in_last + 1;  // bytes of the last page
    const bool any_whole = range.last.value() >= partial;
    const uint64_t whole_end = range.last.value() - partial;
    const auto advance = [&](uint64_t last) {
      next = last == UINT64_MAX ? std::nullopt : std::optional(last + 1);
      at = last + 1;
      return next && last < range.last.value();
    };
    for (;;) {
      const bool aligned = (at & (size - 1)) == 0;
      if (state != ByteState::kData && aligned && any_whole && whole_end > at) {
        if (!visit({{PhysAddr(at), PhysAddr(whole_end)}, state})) return false;
        if (!advance(whole_end)) return true;
        continue;
      }
      const PhysAddr page = PhysAddr(at).AlignDown(size);
      const uint64_t page_last = page.value() + (size - 1);
      if (!visit({{page, PhysAddr(page_last)}, std::nullopt})) return false;
      if (!advance(page_last)) return true;
    }
  });
}

// One attempt, into a file of its own.
Result<ElfSummary> Write(const Dump& dump, ElfWriter& writer, const ElfOptions& options,
                         uint64_t total) {
  Status status;
  uint64_t done = 0;
  OrderedWork<Job> work(
      options.threads,
      [&]() -> OrderedWork<Job>::Worker {
        return [reader = std::make_shared<PageReader>(*dump.memory, dump.info.distilled)](
                   Job& job) { reader->Work(job); };
      },
      [&](Job& job) {
        for (const Piece& piece : job.pieces) {
          const auto bytes =
              piece.state == ByteState::kData
                  ? std::span(job.bytes).subspan(piece.at, static_cast<size_t>(piece.range.size()))
                  : std::span<std::byte>();
          if (status) status = writer.Put(piece.range, piece.state, bytes);
          if (IsReadable(piece.state)) done += piece.range.size();
        }
        if (status && options.progress && !options.progress(std::min(done, total), total)) {
          status = Fail(ErrorCode::kIo, "interrupted");
        }
        return status.has_value();
      });
  Job* job = &work.Next();
  job->items.clear();
  VisitItems(dump, [&](const Item& item) {
    job->items.push_back(item);
    if (job->items.size() < kItemsPerJob) return true;
    if (!work.Submit()) return false;
    job = &work.Next();
    job->items.clear();
    return true;
  });
  if (!job->items.empty()) work.Submit();
  work.Finish();
  if (!status) return tl::unexpected(status.error());
  return writer.Finish(dump.info.incomplete || HasReadFaults(dump));
}

}  // namespace

Result<ElfSummary> ConvertToElf(const Dump& dump, ElfDescription description,
                                const ElfOptions& options, const std::string& path) {
  ElfRoomCounter counter(description);
  uint64_t total = 0;
  if (dump.info.distilled) {
    // Pages are stored whole for the sake of a few words.
    VisitItems(dump, [&](const Item& item) {
      counter.Add(item.range, item.state.value_or(ByteState::kData));
      total += item.state ? 0 : item.range.size();
      return true;
    });
  } else {
    dump.memory->VisitStates([&](PhysRange range, ByteState state) {
      counter.Add(range, state);
      if (IsReadable(state)) total += range.size();
      return true;
    });
  }
  ElfRoom room = counter.Finish();
  room.loads += kSpareRuns;
  room.missing += kSpareRuns;
  // The second time the room is known; a dump that is live can still have changed.
  for (int attempt = 0; attempt < 2; ++attempt) {
    Result<AtomicFile> file =
        AtomicFile::Create(path, AtomicFile::Access::kPositioned, AtomicFile::kForOwner);
    if (!file) return tl::unexpected(file.error());
    Result<ElfWriter> writer = ElfWriter::Begin(description, dump.notes, room, *file);
    if (!writer) {
      return Within(dump.info.paths.empty() ? path : dump.info.paths[0], writer.error());
    }
    const Result<ElfSummary> written = Write(dump, *writer, options, total);
    if (!written) return tl::unexpected(written.error());
    if (writer->fits()) {
      if (const Status committed = file->Commit(); !committed) {
        return tl::unexpected(committed.error());
      }
      return written;
    }
    room = writer->taken();
  }
  return Fail(ErrorCode::kIo, "{}: the dump changes while it is read", path);
}

}  // namespace dmaudit
