// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/avml_memory.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <optional>
#include <unordered_map>
#include <utility>

#include "vmcore/container/snappy_frame.h"
#include "vmcore/container/window_reader.h"

namespace dmaudit {
namespace {

// Decoded chunks that a session keeps: pages are read one at a time, chunks hold 16 of them.
constexpr size_t kKeptChunks = 8;
// Places in streams that a session keeps, 16 MiB of them, and of one block: chunks of 64 GiB of
// memory, and of 32 GiB. AVML writes blocks of 16 MiB.
constexpr size_t kMaxPlaces = size_t{1} << 20;
constexpr size_t kMaxBlockPlaces = kMaxPlaces / 2;
// Headers that are gone through again from a place on, at most: chunks may be tiny, or hold
// nothing.
constexpr unsigned kHeadersPerPlace = 64;

// Where in the file the decoding can begin.
struct Place {
  uint64_t decoded = 0;  // bytes of the block before it
  uint64_t at = 0;       // file position of a chunk
};

struct BlockIndex {
  std::vector<Place> places;
  // Bytes whose place is certain. The sizes that chunks announce give the places of those behind
  // them, and no checksum holds them.
  uint64_t decoded = 0;
};

struct Chunk {
  size_t block = SIZE_MAX;
  uint64_t first = 0;  // decoded bytes of the block before it
  uint32_t size = 0;
  std::optional<std::vector<std::byte>> bytes;  // nothing: does not decode
};

class AvmlContext : public DecodeContext {
 public:
  AvmlContext(const ByteSource& source, const std::vector<AvmlBlock>& blocks)
      : source_(source), blocks_(blocks), reader_(source) {}

  // The chunk that holds byte `at` of a block; nothing where the stream does not get that far.
  const Chunk* Find(size_t block, uint64_t at) {
    for (const Chunk& chunk : kept_) {
      if (chunk.block == block && at >= chunk.first && at - chunk.first < chunk.size) return &chunk;
    }
    const BlockIndex& index = IndexOf(block);
    if (at >= index.decoded) return nullptr;
    const auto behind =
        std::upper_bound(index.places.begin(), index.places.end(), at,
                         [](uint64_t value, const Place& place) { return value < place.decoded; });
    Place place = *std::prev(behind);
    SnappyChunk header;
    // The index went through the same chunks; a file that changed meanwhile ends the search.
    while (place.at < blocks_[block].end &&
           ReadSnappyChunk(reader_, place.at, blocks_[block].end, header) == ChunkStatus::kChunk) {
      if (at - place.decoded < header.decoded_size) return Load(block, place.decoded, header);
      place.decoded += header.decoded_size;
      place.at = header.next;
    }
    return nullptr;
  }

 private:
  const BlockIndex& IndexOf(size_t block) {
    const auto known = indices_.find(block);
    if (known != indices_.end()) return known->second;
    BlockIndex index = MakeIndex(blocks_[block]);
    if (places_ + index.places.size() > kMaxPlaces) {
      indices_.clear();
      places_ = 0;
    }
    places_ += index.places.size();
    return indices_.emplace(block, std::move(index)).first->second;
  }

  BlockIndex MakeIndex(const AvmlBlock& block) {
    BlockIndex index;
    uint64_t at = block.stream;
    SnappyChunk chunk;
    unsigned headers = 0;  // since the last place
    while (at < block.end &&
           ReadSnappyChunk(reader_, at, block.end, chunk) == ChunkStatus::kChunk) {
      if (index.places.empty() || headers == kHeadersPerPlace ||
          index.decoded - index.places.back().decoded >= kMaxSnappyChunk) {
        if (index.places.size() == kMaxBlockPlaces) return {};
        index.places.push_back({index.decoded, at});
        headers = 0;
      }
      ++headers;
      index.decoded += chunk.decoded_size;
      at = chunk.next;
    }
    if (at == block.end && index.decoded == block.size) return index;
    // A chunk too many, one too few, or a size that is wrong: which one is not known.
    if ((at == block.end && !block.ends_early) || index.decoded > block.size) return {};
    index.decoded = CertainBytes(block, at);
    return index;
  }

  // Of a stream that can be followed to `end` only: the places of chunks behind others that are
  // what their checksums say, sizes included.
  uint64_t CertainBytes(const AvmlBlock& block, uint64_t end) {
    uint64_t decoded = 0;
    SnappyChunk chunk;
    for (uint64_t at = block.stream; at < end; at = chunk.next) {
      if (ReadSnappyChunk(reader_, at, block.end, chunk) != ChunkStatus::kChunk) break;
      if (chunk.decoded_size == 0) {
        // AVML writes nothing else without data: it may be a chunk of data whose type is damaged.
        if (at == block.stream && chunk.identifier) continue;
        break;
      }
      if (!Decode(chunk)) break;
      decoded += chunk.decoded_size;
    }
    return decoded;
  }

  const Chunk* Load(size_t block, uint64_t first, const SnappyChunk& header) {
    Chunk& chunk = kept_[next_];
    next_ = (next_ + 1) % kept_.size();
    chunk = {block, first, header.decoded_size, Decode(header)};
    return &chunk;
  }

  std::optional<std::vector<std::byte>> Decode(const SnappyChunk& header) {
    stored_.resize(header.payload_size);
    const Result<size_t> got = source_.ReadAt(FileOffset(header.payload), stored_);
    if (!got || *got != stored_.size()) return std::nullopt;
    return DecodeSnappyChunk(header, stored_);
  }

  const ByteSource& source_;
  const std::vector<AvmlBlock>& blocks_;
  WindowReader reader_;
  std::unordered_map<size_t, BlockIndex> indices_;
  size_t places_ = 0;
  std::array<Chunk, kKeptChunks> kept_;
  size_t next_ = 0;
  std::vector<std::byte> stored_;
};

}  // namespace

AvmlMemory::AvmlMemory(std::shared_ptr<const ByteSource> source, std::vector<AvmlBlock> blocks,
                       SegmentMap pieces)
    : source_(std::move(source)), blocks_(std::move(blocks)), pieces_(std::move(pieces)) {}

std::unique_ptr<DecodeContext> AvmlMemory::MakeContext() const {
  return std::make_unique<AvmlContext>(*source_, blocks_);
}

void AvmlMemory::ReadPage(PhysAddr base, DecodeContext& context, Page& page) const {
  AvmlContext& decoder = static_cast<AvmlContext&>(context);
  page.Reset(base, kPageSize, ByteState::kAbsent);
  const PhysRange whole{base, PhysAddr(base.value() + (kPageSize - 1))};
  for (size_t i = pieces_.FirstAtOrAfter(base); i < pieces_.size(); ++i) {
    const SegmentPiece piece = pieces_[i];
    const std::optional<PhysRange> part = piece.range.Intersect(whole);
    if (!part) break;
    uint32_t offset = static_cast<uint32_t>(part->first.value() - base.value());
    uint32_t size = static_cast<uint32_t>(part->size());
    page.SetState(offset, size, piece.state);
    if (piece.state != ByteState::kData) continue;
    uint64_t at = piece.offset.value() + (part->first.value() - piece.range.first.value());
    while (size != 0) {
      // Blocks that continue each other can meet inside a page.
      const auto behind = std::upper_bound(
          blocks_.begin(), blocks_.end(), at,
          [](uint64_t value, const AvmlBlock& block) { return value < block.start; });
      const AvmlBlock& block = *std::prev(behind);
      uint32_t take = size;
      if (behind != blocks_.end()) {
        take = static_cast<uint32_t>(std::min<uint64_t>(take, behind->start - at));
      }
      const size_t index = static_cast<size_t>(&block - blocks_.data());
      const uint64_t place = at - block.start;
      const Chunk* chunk = decoder.Find(index, place);
      if (chunk == nullptr) {
        page.SetState(offset, take, ByteState::kCorrupt);
      } else {
        const uint64_t skip = place - chunk->first;
        take = static_cast<uint32_t>(std::min<uint64_t>(take, chunk->size - skip));
        if (chunk->bytes) {
          std::memcpy(page.bytes.data() + offset, chunk->bytes->data() + skip, take);
        } else {
          page.SetState(offset, take, ByteState::kCorrupt);
        }
      }
      at += take;
      offset += take;
      size -= take;
    }
  }
}

ByteState AvmlMemory::PageStateHint(PhysAddr base) const {
  return pieces_.PageState(base, kPageSize);
}

void AvmlMemory::VisitRam(const std::function<bool(PhysRange)>& visit) const {
  pieces_.VisitCovered(visit);
}

void AvmlMemory::VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const {
  pieces_.VisitStates(visit);
}

void AvmlMemory::VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const {
  // What is packed has no holes.
  pieces_.VisitStored(
      kPageSize, [](FileOffset place) { return place; }, visit);
}

}  // namespace dmaudit
