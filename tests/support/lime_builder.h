// SPDX-License-Identifier: GPL-2.0-or-later
// Well-formed LiME and AVML images for tests.
#ifndef DMAUDIT_TESTS_SUPPORT_LIME_BUILDER_H_
#define DMAUDIT_TESTS_SUPPORT_LIME_BUILDER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "support/dump_builder.h"
#include "vmcore/container/lime_header.h"
#include "vmcore/container/snappy_frame.h"

namespace dmaudit::test {

// `count` different pages, one behind the other.
inline std::vector<std::byte> PatternPages(uint64_t seed, size_t count) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < count; ++i) {
    const std::vector<std::byte> page = PatternPage(seed + i);
    bytes.insert(bytes.end(), page.begin(), page.end());
  }
  return bytes;
}

inline void AppendRangeHeader(std::vector<std::byte>& bytes, uint32_t magic, uint32_t version,
                              uint64_t first, uint64_t last) {
  const size_t at = bytes.size();
  bytes.resize(at + kLimeHeaderSize);
  StoreUnchecked<uint32_t>(bytes, at, magic);
  StoreUnchecked<uint32_t>(bytes, at + 4, version);
  StoreUnchecked<uint64_t>(bytes, at + 8, first);
  StoreUnchecked<uint64_t>(bytes, at + 16, last);
}

// `content` as LiME writes it; the header states its size.
inline void AppendLimeRange(std::vector<std::byte>& bytes, uint64_t first,
                            std::span<const std::byte> content) {
  AppendRangeHeader(bytes, kLimeMagic, 1, first, first + (content.size() - 1));
  bytes.insert(bytes.end(), content.begin(), content.end());
}

inline void AppendChunk(std::vector<std::byte>& bytes, uint8_t type,
                        std::span<const std::byte> body) {
  const size_t at = bytes.size();
  bytes.resize(at + 4);
  StoreUnchecked<uint32_t>(bytes, at, type | static_cast<uint32_t>(body.size()) << 8);
  bytes.insert(bytes.end(), body.begin(), body.end());
}

// A snappy stream with chunks of `chunk` bytes; every third one is stored as it is.
inline std::vector<std::byte> SnappyStream(std::span<const std::byte> content,
                                           size_t chunk = kMaxSnappyChunk) {
  std::vector<std::byte> stream;
  AppendChunk(stream, 0xff, AsBytes("sNaPpY"));
  for (size_t at = 0, n = 0; at < content.size(); at += chunk, ++n) {
    const auto part = content.subspan(at, std::min(chunk, content.size() - at));
    const bool raw = n % 3 == 2;
    const auto stored =
        raw ? std::vector<std::byte>(part.begin(), part.end()) : Compress(PageCodec::kSnappy, part);
    std::vector<std::byte> body(4);
    StoreUnchecked<uint32_t>(body, 0, MaskedCrc32c(part));
    body.insert(body.end(), stored.begin(), stored.end());
    AppendChunk(stream, raw ? 1 : 0, body);
  }
  return stream;
}

// A block whose stream is given as it is.
inline void AppendAvmlStream(std::vector<std::byte>& bytes, uint64_t first, uint64_t last,
                             std::span<const std::byte> stream) {
  AppendRangeHeader(bytes, kAvmlMagic, 2, first, last);
  bytes.insert(bytes.end(), stream.begin(), stream.end());
  const size_t at = bytes.size();
  bytes.resize(at + 8);
  StoreUnchecked<uint64_t>(bytes, at, stream.size());
}

inline void AppendAvmlBlock(std::vector<std::byte>& bytes, uint64_t first,
                            std::span<const std::byte> content, size_t chunk = kMaxSnappyChunk) {
  AppendAvmlStream(bytes, first, first + (content.size() - 1), SnappyStream(content, chunk));
}

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_LIME_BUILDER_H_
