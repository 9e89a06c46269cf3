// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/lime.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

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

// One range, `present` bytes of which are in the file from `offset` on.
void AppendPieces(PhysRange range, uint64_t offset, uint64_t present,
                  std::vector<SegmentPiece>& pieces) {
  const auto append = [&](uint64_t from, uint64_t to, ByteState state) {
    if (from >= to) return;
    pieces.push_back(
        {{PhysAddr(range.first.value() + from), PhysAddr(range.first.value() + (to - 1))},
         FileOffset(state == ByteState::kData ? offset + from : 0),
         state});
  };
  const uint64_t size = range.size();
  if (range.first.OffsetIn(kPage) != 0) {
    append(0, size, ByteState::kExcluded);
    return;
  }
  const uint64_t whole = size - size % kPage;
  append(0, std::min(present, whole), ByteState::kData);
  append(std::min(present, whole), whole, ByteState::kTruncated);
  append(whole, size, ByteState::kExcluded);
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
  while (at < size) {
    const Result<PhysRange> range =
        ParseLimeHeader(reader.Get(at, kLimeHeaderSize), kLimeMagic, kVersion);
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
      sink.Incomplete("lime.malformed",
                      "{}: LiME image at {:#x}: {}; nothing from there on is read", path, at,
                      reason);
      break;
    }
    ++ranges;
    const uint64_t data = std::min(at + kLimeHeaderSize, size);
    const uint64_t present = std::min(range->size(), size - data);
    AppendPieces(*range, data, present, pieces);
    if (range->first.OffsetIn(kPage) != 0) {
      sink.Incomplete("lime.unaligned",
                      "{}: range {:#x}-{:#x} begins inside a page: LiME misplaces its bytes, not "
                      "used",
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
                  "{}: taken from a running machine: tables may have changed meanwhile", path);
  dump.info.format = "LiME";
  dump.info.format_detail = fmt::format("version {}, {} ranges", kVersion, ranges);
  dump.memory = std::make_unique<SegmentMemory>(std::move(source), std::move(map));
  return dump;
}

}  // namespace dmaudit
