// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/avml.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/number.h"
#include "vmcore/container/avml_memory.h"
#include "vmcore/container/lime_header.h"
#include "vmcore/container/snappy_frame.h"
#include "vmcore/container/window_reader.h"

namespace dmaudit {
namespace {

constexpr uint32_t kVersion = 2;
constexpr uint64_t kTrailerSize = 8;  // u64 size of the stream before it
// Blocks of 16 MiB for 16 TiB of memory.
constexpr size_t kMaxBlocks = size_t{1} << 20;

struct FoundBlock {
  PhysRange range;
  uint64_t stream = 0;
  uint64_t end = 0;
  bool cut = false;  // by the end of the file
  // Bytes that the chunks announce, where they were followed.
  std::optional<uint64_t> decoded = std::nullopt;
  bool closed = false;  // its size stands at `end`: chunks that it lacks are missing between others
};

// Blocks by the size that stands behind each stream, last to first; nothing when these do not lead
// to the first byte of the file.
std::optional<std::vector<FoundBlock>> FindBackwards(const ByteSource& source) {
  WindowReader reader(source);
  std::vector<FoundBlock> blocks;
  uint64_t end = source.size();
  while (end != 0) {
    if (end < kLimeHeaderSize + kTrailerSize || blocks.size() == kMaxBlocks) return std::nullopt;
    const auto trailer = reader.Get(end - kTrailerSize, kTrailerSize);
    const std::optional<uint64_t> size = Load<uint64_t>(trailer, 0);
    if (!size || *size > end - kTrailerSize - kLimeHeaderSize) return std::nullopt;
    const uint64_t stream = end - kTrailerSize - *size;
    const Result<PhysRange> range = ParseLimeHeader(
        reader.Get(stream - kLimeHeaderSize, kLimeHeaderSize), kAvmlMagic, kVersion);
    if (!range) return std::nullopt;
    blocks.push_back({*range, stream, stream + *size, false});
    end = stream - kLimeHeaderSize;
  }
  std::reverse(blocks.begin(), blocks.end());
  return blocks;
}

// Whether the size of a block's stream stands behind it.
bool IsSizeOf(WindowReader& reader, const FoundBlock& block) {
  const auto trailer = reader.Get(block.end, kTrailerSize);
  return Load<uint64_t>(trailer, 0) == block.end - block.stream;
}

// Whether the size of the stream before `at` stands there: the stream was not cut. A chunk that
// begins there has its checksum in the upper half; streams are of 16 MiB at most.
bool IsTrailer(WindowReader& reader, uint64_t stream, uint64_t at) {
  const std::optional<uint64_t> size = Load<uint64_t>(reader.Get(at, kTrailerSize), 0);
  if (!size) return false;
  if (*size >= at - stream && *size <= UINT32_MAX) return true;
  return ParseLimeHeader(reader.Get(at + kTrailerSize, kLimeHeaderSize), kAvmlMagic, kVersion)
      .has_value();
}

// Follows the chunks of a block up to the bytes of its range; says why where they break off before.
// What stands behind a stream can look like a chunk, so its end is looked for all the way.
std::string_view SkipStream(WindowReader& reader, uint64_t file_end, FoundBlock& block) {
  const uint64_t size = block.range.size();
  std::optional<FoundBlock> closed;
  uint64_t decoded = 0;
  uint64_t at = block.stream;
  ChunkStatus status = ChunkStatus::kChunk;
  while (decoded < size) {
    if (!closed && IsTrailer(reader, block.stream, at)) {
      closed = block;
      closed->end = at;
      closed->decoded = decoded;
      closed->closed = true;
    }
    SnappyChunk chunk;
    status = at < file_end ? ReadSnappyChunk(reader, at, file_end, chunk) : ChunkStatus::kCut;
    if (status != ChunkStatus::kChunk) break;
    decoded += chunk.decoded_size;
    at = chunk.next;
  }
  block.end = status == ChunkStatus::kCut ? file_end : at;
  block.cut = block.end == file_end;
  block.decoded = decoded;
  const bool whole = status == ChunkStatus::kChunk;
  if (whole && (!closed || IsSizeOf(reader, block))) return {};
  if (closed) {
    block = *closed;
    return "chunks are missing in its stream";
  }
  return status == ChunkStatus::kCut ? "the file ends inside it" : "damaged snappy stream";
}

// Blocks of a damaged image, first to last, as far as they can be followed.
Result<std::vector<FoundBlock>> FindForwards(const ByteSource& source, const std::string& path,
                                             DumpInfo& info, DiagnosticSink& sink) {
  WindowReader reader(source);
  std::vector<FoundBlock> blocks;
  const uint64_t end = source.size();
  uint64_t at = 0;
  while (at < end) {
    const uint64_t header = at;
    Result<PhysRange> range =
        ParseLimeHeader(reader.Get(at, kLimeHeaderSize), kAvmlMagic, kVersion);
    if (range && range->size() == 0) range = Fail(ErrorCode::kMalformed, "range of all addresses");
    if (range && blocks.size() == kMaxBlocks) {
      range = Fail(ErrorCode::kLimit, "more than {} blocks", kMaxBlocks);
    }
    std::string reason;
    if (range) {
      FoundBlock& block = blocks.emplace_back(FoundBlock{*range, at + kLimeHeaderSize});
      std::string_view why = SkipStream(reader, end, block);
      if (why.empty() && IsSizeOf(reader, block)) {
        at = block.end + kTrailerSize;
        continue;
      }
      if (why.empty()) {
        why = block.cut ? "the file ends behind it" : "its size does not stand behind it";
      }
      reason = fmt::format("block {:#x}-{:#x}: {}", range->first.value(), range->last.value(), why);
    } else {
      reason = range.error().message;
    }
    if (blocks.empty()) {
      return Fail(ErrorCode::kMalformed, "{}: AVML image at {:#x}: {}", path, header, reason);
    }
    info.incomplete = true;
    sink.Incomplete("avml.damaged", "{}: AVML image at {:#x}: {}; nothing behind it is read", path,
                    header, reason);
    break;
  }
  return blocks;
}

// Bytes that a stream of this size can hold at most: no chunk is shorter than its header, checksum
// and preamble. Keeps a range that a header states from being believed beyond that.
uint64_t MostDecoded(const FoundBlock& block) {
  constexpr uint64_t kShortestChunk = 9;
  const uint64_t chunks = (block.end - block.stream) / kShortestChunk;
  return CheckedMul(chunks, kMaxSnappyChunk).value_or(UINT64_MAX);
}

}  // namespace

Result<Dump> OpenAvml(std::shared_ptr<const ByteSource> source, const std::string& path,
                      DiagnosticSink& sink) {
  Dump dump;
  std::optional<std::vector<FoundBlock>> found = FindBackwards(*source);
  if (!found) {
    Result<std::vector<FoundBlock>> forwards = FindForwards(*source, path, dump.info, sink);
    if (!forwards) return tl::unexpected(forwards.error());
    found = std::move(*forwards);
  }
  std::vector<AvmlBlock> blocks;
  std::vector<SegmentPiece> pieces;
  uint64_t decoded = 0;
  for (const FoundBlock& block : *found) {
    const uint64_t size = block.range.size() == 0 ? UINT64_MAX : block.range.size();
    const uint64_t stored = std::min(size, block.decoded.value_or(MostDecoded(block)));
    const std::optional<uint64_t> next = CheckedAdd(decoded, stored);
    if (!next) return Fail(ErrorCode::kLimit, "{}: AVML image of more than 2^64 bytes", path);
    const uint64_t first = block.range.first.value();
    if (stored != 0) {
      pieces.push_back({{block.range.first, PhysAddr(first + (stored - 1))},
                        FileOffset(decoded),
                        ByteState::kData});
      const bool ends_early = !block.closed && block.decoded.value_or(size) < size;
      blocks.push_back({decoded, block.stream, block.end, block.range.size(), ends_early});
    }
    if (stored < size) {
      dump.info.incomplete = true;
      sink.Incomplete("avml.short-block",
                      "{}: block {:#x}-{:#x} has a stream of {:#x} bytes, too short for it", path,
                      first, block.range.last.value(), block.end - block.stream);
      pieces.push_back({{PhysAddr(first + stored), block.range.last},
                        FileOffset(0),
                        block.cut ? ByteState::kTruncated : ByteState::kCorrupt});
    }
    decoded = *next;
  }
  bool overlap = false;
  SegmentMap map(std::move(pieces), [&](PhysRange range, FileOffset, FileOffset) {
    if (std::exchange(overlap, true)) return;
    sink.Incomplete("avml.overlap", "{}: memory at {:#x} is in several blocks, the first is used",
                    path, range.first.value());
  });
  sink.Incomplete("avml.live",
                  "{}: taken from a running machine: tables may have changed meanwhile, and what "
                  "could not be read is in it as zeros",
                  path);
  dump.info.format = "AVML";
  dump.info.format_detail = fmt::format("version {}, {} blocks", kVersion, found->size());
  dump.info.compression = "snappy";
  dump.memory = std::make_unique<AvmlMemory>(std::move(source), std::move(blocks), std::move(map));
  return dump;
}

}  // namespace dmaudit
