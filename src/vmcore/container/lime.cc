// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/lime.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/number.h"
#include "vmcore/container/lime_header.h"
#include "vmcore/container/segment_map.h"
#include "vmcore/container/segment_memory.h"
#include "vmcore/container/window_reader.h"

namespace dmaudit {
namespace {

constexpr uint32_t kVersion = 1;
constexpr uint64_t kPage = SegmentMemory::kPageSize;
// Memory maps have some dozens; AVML without compression writes as many.
constexpr size_t kMaxRanges = size_t{1} << 16;

// What there is of a range: `present` of its bytes are in the file from `offset` on.
struct StoredRange {
  PhysRange range;
  uint64_t offset = 0;
  uint64_t present = 0;

  bool unaligned() const { return range.first.OffsetIn(kPage) != 0; }
  // Without the part of a page that it ends in.
  uint64_t whole() const { return range.size() - range.size() % kPage; }
};

// Whether the file holds memory for the part of a page that an aligned range ends in. LiME cannot
// map it and writes zeros (write_range in src/main.c: "Padding partial page"); AVML without
// compression writes what is there, and ends all of its ranges so: it takes the last byte of a
// range of /proc/iomem for the first one behind. Zeros can be either.
Result<bool> HasTail(const ByteSource& source, const StoredRange& stored) {
  if (stored.present <= stored.whole()) return false;
  std::vector<std::byte> tail(static_cast<size_t>(stored.present - stored.whole()));
  const Result<size_t> got = source.ReadAt(FileOffset(stored.offset + stored.whole()), tail);
  if (!got) return tl::unexpected<Error>(got.error());
  return std::any_of(tail.begin(), tail.end(), [](std::byte b) { return b != std::byte{0}; });
}

// `missing` is the state of what the file does not have.
void AppendPieces(const StoredRange& stored, bool has_tail, ByteState missing,
                  std::vector<SegmentPiece>& pieces) {
  const uint64_t first = stored.range.first.value();
  const auto append = [&](uint64_t from, uint64_t to, ByteState state) {
    if (from >= to) return;
    pieces.push_back({{PhysAddr(first + from), PhysAddr(first + (to - 1))},
                      FileOffset(state == ByteState::kData ? stored.offset + from : 0),
                      state});
  };
  const uint64_t size = stored.range.size();
  const uint64_t present = stored.present;
  if (stored.unaligned()) {
    append(0, size, ByteState::kCorrupt);
    return;
  }
  const uint64_t data = has_tail ? present : std::min(present, stored.whole());
  append(0, data, ByteState::kData);
  append(data, present, ByteState::kExcluded);
  append(present, size, missing);
}

// Whether what stands behind a range was a header once: the range ends where it should.
bool HasMagic(std::span<const std::byte> raw) {
  std::array<std::byte, sizeof(kLimeMagic)> magic{};
  StoreUnchecked<uint32_t>(magic, 0, kLimeMagic);
  const size_t size = std::min(raw.size(), magic.size());
  return std::ranges::equal(raw.first(size), std::span(magic).first(size));
}

// Of a range that the end of the file cuts: how many of its bytes lie before what looks like the
// header of a range behind it; nothing where there is none. One wrong bit of a range's end makes it
// reach over all that follow. Headers come at borders of pages, as LiME pads what it writes.
std::optional<uint64_t> FindNextHeader(const ByteSource& source, const StoredRange& stored) {
  // Seconds, where an image is that large.
  constexpr uint64_t kMostSearched = uint64_t{4} << 30;
  const uint64_t end = std::min(stored.present, kMostSearched);
  std::array<std::byte, kLimeHeaderSize> raw{};
  for (uint64_t skip = kPage; skip < end; skip += kPage) {
    const Result<size_t> got = source.ReadAt(FileOffset(stored.offset + skip), raw);
    // A device that fails can take seconds for each.
    if (!got) return std::nullopt;
    const Result<PhysRange> next =
        ParseLimeHeader(std::span(raw).first(*got), kLimeMagic, kVersion);
    if (next && next->first.value() - stored.range.first.value() >= skip) return skip;
  }
  return std::nullopt;
}

}  // namespace

Result<Dump> OpenLime(std::shared_ptr<const ByteSource> source, const std::string& path,
                      DiagnosticSink& sink) {
  Dump dump;
  std::vector<SegmentPiece> pieces;
  WindowReader reader(*source);
  const uint64_t size = source->size();
  uint64_t at = 0;
  size_t ranges = 0;
  StoredRange before;
  size_t settled = 0;  // pieces of the ranges in front of it
  while (at < size) {
    const auto header = reader.Get(at, kLimeHeaderSize);
    const Result<PhysRange> range = ParseLimeHeader(header, kLimeMagic, kVersion);
    const bool too_large = range && range->size() == 0;  // all 2^64 bytes
    if (!range || too_large || ranges == kMaxRanges) {
      const std::string reason = ranges == kMaxRanges
                                     ? fmt::format("more than {} ranges", kMaxRanges)
                                 : too_large ? "range of all addresses"
                                             : range.error().message;
      if (ranges == 0) {
        return Fail(ErrorCode::kMalformed, "{}: LiME image at {:#x}: {}", path, at, reason);
      }
      dump.info.incomplete = true;
      const bool ends_well = HasMagic(header);
      if (!ends_well) {
        pieces.resize(settled);
        pieces.push_back({before.range, FileOffset(0), ByteState::kCorrupt});
      }
      sink.Incomplete(
          "lime.malformed", "{}: LiME image at {:#x}: {}; {}nothing from there on is read", path,
          at, reason, ends_well ? "" : "the range before it may lack bytes and is not used, ");
      break;
    }
    ++ranges;
    const uint64_t data = std::min(at + kLimeHeaderSize, size);
    const uint64_t present = std::min(range->size(), size - data);
    const StoredRange stored{*range, data, present};
    if (present < range->size() && !stored.unaligned()) {
      if (const std::optional<uint64_t> next = FindNextHeader(*source, stored)) {
        dump.info.incomplete = true;
        AppendPieces({*range, data, *next}, true, ByteState::kCorrupt, pieces);
        sink.Incomplete("lime.malformed",
                        "{}: LiME image at {:#x}: range {:#x}-{:#x} reaches over the header of "
                        "another at {:#x}: its end is wrong, and nothing from there on is read",
                        path, at, range->first.value(), range->last.value(), data + *next);
        break;
      }
    }
    const Result<bool> has_tail = HasTail(*source, stored);
    if (!has_tail) return Within(path, has_tail.error());
    before = stored;
    settled = pieces.size();
    AppendPieces(stored, *has_tail, ByteState::kTruncated, pieces);
    if (stored.unaligned()) {
      sink.Incomplete("lime.unaligned",
                      "{}: range {:#x}-{:#x} begins inside a page: LiME misplaces its bytes, not "
                      "used",
                      path, range->first.value(), range->last.value());
    } else if (present > stored.whole() && !*has_tail) {
      sink.Note("lime.padding",
                "{}: range {:#x}-{:#x} ends inside a page: zeros there are LiME's, not memory",
                path, range->first.value(), range->last.value());
    }
    if (present < range->size()) {
      dump.info.incomplete = true;
      sink.Incomplete(
          "lime.truncated",
          "{}: range {:#x}-{:#x} is not whole: the file ends after {:#x} of {:#x} bytes", path,
          range->first.value(), range->last.value(), present, range->size());
    }
    at = data + present;
  }
  if (ranges == 0) return Fail(ErrorCode::kMalformed, "{}: LiME image without a range", path);
  bool overlap = false;
  SegmentMap map(std::move(pieces), [&](PhysRange range, FileOffset, FileOffset) {
    if (std::exchange(overlap, true)) return;
    sink.Incomplete("lime.overlap", "{}: memory at {:#x} is in several ranges, the first is used",
                    path, range.first.value());
  });
  sink.Incomplete("lime.live",
                  "{}: taken from a running machine: tables may have changed meanwhile, and what "
                  "could not be read is in it as zeros",
                  path);
  dump.info.format = "LiME";
  dump.info.format_detail = fmt::format("version {}, {} ranges", kVersion, ranges);
  dump.memory = std::make_unique<SegmentMemory>(std::move(source), std::move(map));
  return dump;
}

}  // namespace dmaudit
