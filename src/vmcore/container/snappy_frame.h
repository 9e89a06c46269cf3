// SPDX-License-Identifier: GPL-2.0-or-later
// The snappy framing format: a stream of chunks, each compressed on its own and with a checksum of
// what it holds.
#ifndef DMAUDIT_VMCORE_CONTAINER_SNAPPY_FRAME_H_
#define DMAUDIT_VMCORE_CONTAINER_SNAPPY_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmcore/container/window_reader.h"

namespace dmaudit {

// The format allows no chunk to hold more.
inline constexpr uint32_t kMaxSnappyChunk = 65536;

struct SnappyChunk {
  bool compressed = false;
  bool identifier = false;  // of a stream, with which one begins
  uint32_t checksum = 0;
  uint64_t payload = 0;  // file position
  uint32_t payload_size = 0;
  uint32_t decoded_size = 0;  // 0: holds no data (stream identifier, padding)
  uint64_t next = 0;          // file position behind the chunk
};

enum class ChunkStatus : uint8_t {
  kChunk,
  kCut,  // the stream ends inside the chunk
  kBad,  // not a chunk that the format allows
};

// The chunk at `at` of a stream that ends before `end`; looks at headers only. `at < end`.
ChunkStatus ReadSnappyChunk(WindowReader& reader, uint64_t at, uint64_t end, SnappyChunk& chunk);

// What a chunk holds, `decoded_size` bytes; nothing when it does not decode to that, or not to what
// its checksum says.
std::optional<std::vector<std::byte>> DecodeSnappyChunk(const SnappyChunk& chunk,
                                                        std::span<const std::byte> payload);

// CRC-32C, masked as the framing format stores it.
uint32_t MaskedCrc32c(std::span<const std::byte> bytes);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_SNAPPY_FRAME_H_
