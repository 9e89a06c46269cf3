// SPDX-License-Identifier: GPL-2.0-or-later
// https://github.com/google/snappy/blob/main/framing_format.txt
#include "vmcore/container/snappy_frame.h"

#include <snappy.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace dmaudit {
namespace {

using namespace std::string_view_literals;

constexpr unsigned kCompressed = 0x00;
constexpr unsigned kUncompressed = 0x01;
constexpr unsigned kLastUnskippable = 0x7f;
constexpr unsigned kStreamIdentifier = 0xff;
constexpr size_t kHeaderSize = 4;  // u8 type, u24 size of what follows
constexpr size_t kChecksumSize = 4;
constexpr size_t kMaxVarint = 5;

using CrcTables = std::array<std::array<uint32_t, 256>, 8>;

constexpr CrcTables MakeCrcTables() {
  CrcTables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
    tables[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; ++i) {
    for (size_t t = 1; t < 8; ++t) {
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
    }
  }
  return tables;
}

constexpr CrcTables kCrc = MakeCrcTables();

// The size that the preamble of a compressed payload announces.
std::optional<uint32_t> AnnouncedSize(std::span<const std::byte> start) {
  uint64_t value = 0;
  for (size_t i = 0; i < std::min(start.size(), kMaxVarint); ++i) {
    const uint64_t byte = std::to_integer<uint64_t>(start[i]);
    value |= (byte & 0x7f) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    if (value > kMaxSnappyChunk) return std::nullopt;
    return static_cast<uint32_t>(value);
  }
  return std::nullopt;
}

}  // namespace

uint32_t MaskedCrc32c(std::span<const std::byte> bytes) {
  uint32_t crc = 0xffffffff;
  while (bytes.size() >= 8) {
    const uint64_t word = LoadUnchecked<uint64_t>(bytes, 0) ^ crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kCrc[7 - i][word >> (8 * i) & 0xff];
    bytes = bytes.subspan(8);
  }
  for (const std::byte byte : bytes) {
    crc = (crc >> 8) ^ kCrc[0][(crc ^ std::to_integer<uint32_t>(byte)) & 0xff];
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

ChunkStatus ReadSnappyChunk(WindowReader& reader, uint64_t at, uint64_t end, SnappyChunk& chunk) {
  const uint64_t room = end - at;
  const auto raw = reader.Get(
      at, static_cast<size_t>(std::min<uint64_t>(room, kHeaderSize + kChecksumSize + kMaxVarint)));
  if (raw.size() < kHeaderSize) return ChunkStatus::kCut;
  const uint32_t header = LoadUnchecked<uint32_t>(raw, 0);
  const unsigned type = header & 0xff;
  const uint32_t size = header >> 8;
  const auto body = raw.subspan(kHeaderSize);
  chunk = {};
  chunk.next = at + kHeaderSize + size;
  if (type == kStreamIdentifier) {
    if (size != 6) return ChunkStatus::kBad;
    if (room - kHeaderSize < size) return ChunkStatus::kCut;
    chunk.identifier = true;
    return AsText(body).starts_with("sNaPpY"sv) ? ChunkStatus::kChunk : ChunkStatus::kBad;
  }
  if (type > kLastUnskippable) {
    return room - kHeaderSize < size ? ChunkStatus::kCut : ChunkStatus::kChunk;
  }
  if (type != kCompressed && type != kUncompressed) return ChunkStatus::kBad;
  if (size < kChecksumSize) return ChunkStatus::kBad;
  if (room - kHeaderSize < size || body.size() < kChecksumSize) return ChunkStatus::kCut;
  chunk.compressed = type == kCompressed;
  chunk.checksum = LoadUnchecked<uint32_t>(body, 0);
  chunk.payload = at + kHeaderSize + kChecksumSize;
  chunk.payload_size = size - static_cast<uint32_t>(kChecksumSize);
  if (!chunk.compressed) {
    if (chunk.payload_size > kMaxSnappyChunk) return ChunkStatus::kBad;
    chunk.decoded_size = chunk.payload_size;
    return ChunkStatus::kChunk;
  }
  const auto preamble = body.subspan(kChecksumSize);
  const std::optional<uint32_t> announced =
      AnnouncedSize(preamble.first(std::min<size_t>(preamble.size(), chunk.payload_size)));
  // More than twice the largest expansion of the compressor is nothing that it wrote.
  if (!announced || chunk.payload_size > 2 * kMaxSnappyChunk) return ChunkStatus::kBad;
  chunk.decoded_size = *announced;
  return ChunkStatus::kChunk;
}

std::optional<std::vector<std::byte>> DecodeSnappyChunk(const SnappyChunk& chunk,
                                                        std::span<const std::byte> payload) {
  std::vector<std::byte> decoded;
  if (chunk.compressed) {
    const char* stored = reinterpret_cast<const char*>(payload.data());
    size_t size = 0;
    if (!snappy::GetUncompressedLength(stored, payload.size(), &size) ||
        size != chunk.decoded_size) {
      return std::nullopt;
    }
    decoded.resize(size);
    if (!snappy::RawUncompress(stored, payload.size(), reinterpret_cast<char*>(decoded.data()))) {
      return std::nullopt;
    }
  } else {
    decoded.assign(payload.begin(), payload.end());
  }
  if (decoded.size() != chunk.decoded_size || MaskedCrc32c(decoded) != chunk.checksum) {
    return std::nullopt;
  }
  return decoded;
}

}  // namespace dmaudit
