// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "base/bytes.h"
#include "hostile/lies.h"
#include "support/lime_builder.h"

namespace dmaudit::test {

void AddLime(std::vector<HostileInput>& inputs) {
  using Image = std::vector<std::byte>;
  constexpr size_t kSecond = kLimeHeaderSize + 2 * kTestPage;
  Image image;
  AppendLimeRange(image, 0x1000, PatternPages(1, 2));
  AppendLimeRange(image, 0x100000, PatternPages(3, 1));
  const std::vector<Lie<Image>> lies = {
      {"version 0", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 0); },
       "refused: LiME image at 0x0: range header has magic 0x4c694d45 and"},
      {"version 2", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 2); },
       "refused: LiME image at 0x0: range header has magic 0x4c694d45 and"},
      {"version 0xffffffff", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 0xffffffff); },
       "refused: LiME image at 0x0: range header has magic 0x4c694d45 and"},
      {"first address 0", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, 0); },
       "corrupt corrupt absent | lime.malformed lime.live"},
      {"first address 0x1001", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, 0x1001); },
       "absent corrupt absent | lime.unaligned lime.malformed lime.live"},
      {"first address UINT64_MAX", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, UINT64_MAX); },
       "refused: LiME image at 0x0: range header goes from 0xffffffffffffffff"},
      {"last address 0", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, 0); },
       "refused: LiME image at 0x0: range header goes from 0x1000 back to 0x0"},
      {"last address 0x1001", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, 0x1001); },
       "corrupt absent absent | lime.malformed lime.live"},
      {"last address UINT64_MAX", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, UINT64_MAX); },
       "data data corrupt | lime.malformed lime.live"},
      {"all addresses",
       [](Image& i) {
         StoreUnchecked<uint64_t>(i, 8, 0);
         StoreUnchecked<uint64_t>(i, 16, UINT64_MAX);
       },
       "refused: LiME image at 0x0: range of all addresses"},
      {"reserved bytes set", [](Image& i) { StoreUnchecked<uint64_t>(i, 24, UINT64_MAX); },
       "data data data | lime.live"},
      {"second range: magic", [](Image& i) { StoreUnchecked<uint32_t>(i, kSecond + 0, 0); },
       "corrupt corrupt absent | lime.malformed lime.live"},
      {"second range: version", [](Image& i) { StoreUnchecked<uint32_t>(i, kSecond + 4, 7); },
       "data data absent | lime.malformed lime.live"},
      {"second range: first address",
       [](Image& i) { StoreUnchecked<uint64_t>(i, kSecond + 8, UINT64_MAX); },
       "data data absent | lime.malformed lime.live"},
      {"second range: last address", [](Image& i) { StoreUnchecked<uint64_t>(i, kSecond + 16, 0); },
       "data data absent | lime.malformed lime.live"},
      {"second range: first address (same memory)",
       [](Image& i) { StoreUnchecked<uint64_t>(i, kSecond + 8, 0x1000); },
       "data data truncated | lime.truncated lime.overlap lime.live"},
      {"second range: last address (beyond the file)",
       [](Image& i) { StoreUnchecked<uint64_t>(i, kSecond + 16, UINT64_MAX); },
       "data data data | lime.truncated lime.live"},
      {"cut after 4 bytes", [](Image& i) { i.resize(4); },
       "refused: LiME image at 0x0: 4 bytes hold no range header"},
      {"cut after 31 bytes", [](Image& i) { i.resize(31); },
       "refused: LiME image at 0x0: 31 bytes hold no range header"},
      {"cut after 32 bytes", [](Image& i) { i.resize(32); },
       "truncated truncated absent | lime.truncated lime.live"},
      {"cut after 33 bytes", [](Image& i) { i.resize(33); },
       "truncated truncated absent | lime.truncated lime.live"},
      {"cut after 32 + 4096 bytes", [](Image& i) { i.resize(32 + 4096); },
       "data truncated absent | lime.truncated lime.live"},
      {"cut inside the second header", [](Image& i) { i.resize(kSecond + 8); },
       "data data absent | lime.malformed lime.live"},
      {"cut inside the last page", [](Image& i) { i.pop_back(); },
       "data data truncated | lime.truncated lime.live"},
      {"bytes behind the end", [](Image& i) { i.resize(i.size() + 7, std::byte{1}); },
       "data data corrupt | lime.malformed lime.live"},
  };
  Add("lime", image, {{0x1000, 1}, {0x2000, 2}, {0x100000, 3}}, lies, inputs);
}

namespace {

// A block of 1000 chunks of 9 bytes, each of which announces 64 KiB.
std::vector<std::byte> Claims() {
  std::vector<std::byte> stream;
  AppendChunk(stream, 0xff, AsBytes("sNaPpY"));
  const std::vector<std::byte> body = {std::byte{0},   std::byte{0},    std::byte{0},
                                       std::byte{0},   std::byte{0x80}, std::byte{0x80},
                                       std::byte{0x04}};
  for (int i = 0; i < 1000; ++i) AppendChunk(stream, 0, body);
  std::vector<std::byte> image;
  AppendAvmlStream(image, 0, (uint64_t{1} << 40) - 1, stream);
  return image;
}

// Pages 1 and 2 of PatternPages in 8192 chunks, behind 100,000 that hold nothing.
std::vector<std::byte> TinyChunks() {
  std::vector<std::byte> stream;
  AppendChunk(stream, 0xff, AsBytes("sNaPpY"));
  for (int i = 0; i < 100'000; ++i) AppendChunk(stream, 0x80, {});
  const std::vector<std::byte> chunks = SnappyStream(PatternPages(1, 2), 1);
  stream.insert(stream.end(), chunks.begin(), chunks.end());
  std::vector<std::byte> image;
  AppendAvmlStream(image, 0x1000, 0x2fff, stream);
  return image;
}

// The second page of a block a second time.
std::vector<std::byte> ChunkTooMany() {
  std::vector<std::byte> content = PatternPages(1, 2);
  const std::vector<std::byte> again = PatternPages(2, 1);
  content.insert(content.end(), again.begin(), again.end());
  std::vector<std::byte> image;
  AppendAvmlStream(image, 0x1000, 0x2fff, SnappyStream(content, kTestPage));
  return image;
}

}  // namespace

void AddAvml(std::vector<HostileInput>& inputs) {
  using Image = std::vector<std::byte>;
  constexpr size_t kChunk = kLimeHeaderSize + 10;  // behind the stream identifier
  Image image;
  AppendAvmlBlock(image, 0x1000, PatternPages(1, 2));
  const size_t kSecond = image.size();
  AppendAvmlBlock(image, 0x100000, PatternPages(3, 1));
  const std::vector<Lie<Image>> lies = {
      {"version 0", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 0); },
       "refused: AVML image at 0x0: range header has magic 0x4c4d5641 and"},
      {"version 1", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 1); },
       "refused: AVML image at 0x0: range header has magic 0x4c4d5641 and"},
      {"version 3", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 3); },
       "refused: AVML image at 0x0: range header has magic 0x4c4d5641 and"},
      {"first address 0", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, 0); },
       "corrupt corrupt data | avml.live"},
      {"first address UINT64_MAX", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, UINT64_MAX); },
       "refused: AVML image at 0x0: range header goes from 0xffffffffffffffff"},
      {"first address 0x1000", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, 0x1000); },
       "data data data | avml.live"},
      {"last address 0", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, 0); },
       "refused: AVML image at 0x0: range header goes from 0x1000 back to 0x0"},
      {"last address UINT64_MAX", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, UINT64_MAX); },
       "corrupt corrupt corrupt | avml.short-block avml.overlap avml.live"},
      {"last address 0x1000", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, 0x1000); },
       "corrupt absent data | avml.live"},
      {"all addresses",
       [](Image& i) {
         StoreUnchecked<uint64_t>(i, 8, 0);
         StoreUnchecked<uint64_t>(i, 16, UINT64_MAX);
       },
       "corrupt corrupt corrupt | avml.short-block avml.overlap avml.live"},
      {"first chunk of type 0x02", [](Image& i) { i[kChunk] = std::byte{0x02}; },
       "corrupt corrupt data | avml.live"},
      {"first chunk of type 0x7f", [](Image& i) { i[kChunk] = std::byte{0x7f}; },
       "corrupt corrupt data | avml.live"},
      {"first chunk of type 0x80", [](Image& i) { i[kChunk] = std::byte{0x80}; },
       "corrupt corrupt data | avml.live"},
      {"first chunk of type 0xfe", [](Image& i) { i[kChunk] = std::byte{0xfe}; },
       "corrupt corrupt data | avml.live"},
      {"first chunk of type 0xff", [](Image& i) { i[kChunk] = std::byte{0xff}; },
       "corrupt corrupt data | avml.live"},
      {"first chunk of 0 bytes",
       [](Image& i) { StoreUnchecked<uint32_t>(i, kChunk, uint32_t{0} << 8); },
       "corrupt corrupt data | avml.live"},
      {"first chunk of 3 bytes",
       [](Image& i) { StoreUnchecked<uint32_t>(i, kChunk, uint32_t{3} << 8); },
       "corrupt corrupt data | avml.live"},
      {"first chunk of 4 bytes",
       [](Image& i) { StoreUnchecked<uint32_t>(i, kChunk, uint32_t{4} << 8); },
       "corrupt corrupt data | avml.live"},
      {"first chunk of 0xffffff bytes",
       [](Image& i) { StoreUnchecked<uint32_t>(i, kChunk, uint32_t{0xffffff} << 8); },
       "corrupt corrupt data | avml.live"},
      {"checksum", [](Image& i) { i[kChunk + 4] ^= std::byte{1}; },
       "corrupt corrupt data | avml.live"},
      {"payload", [](Image& i) { i[kChunk + 40] ^= std::byte{1}; },
       "corrupt corrupt data | avml.live"},
      {"preamble of 2^32 bytes",
       [](Image& i) {
         std::fill_n(i.begin() + kChunk + 8, 4, std::byte{0xff});
         i[kChunk + 12] = std::byte{0x0f};
       },
       "corrupt corrupt data | avml.live"},
      {"preamble without end",
       [](Image& i) { std::fill_n(i.begin() + kChunk + 8, 8, std::byte{0xff}); },
       "corrupt corrupt data | avml.live"},
      {"preamble of 0 bytes", [](Image& i) { i[kChunk + 8] = std::byte{0}; },
       "corrupt corrupt data | avml.live"},
      {"no stream identifier", [](Image& i) { i[36] ^= std::byte{1}; },
       "corrupt corrupt data | avml.live"},
      {"size behind the last stream 0",
       [](Image& i) { StoreUnchecked<uint64_t>(i, i.size() - 8, 0); },
       "data data data | avml.damaged avml.live"},
      {"size behind the last stream 1",
       [](Image& i) { StoreUnchecked<uint64_t>(i, i.size() - 8, 1); },
       "data data data | avml.damaged avml.live"},
      {"size behind the last stream UINT64_MAX",
       [](Image& i) { StoreUnchecked<uint64_t>(i, i.size() - 8, UINT64_MAX); },
       "data data data | avml.damaged avml.live"},
      {"size behind the last stream uint64_t{1} << 63",
       [](Image& i) { StoreUnchecked<uint64_t>(i, i.size() - 8, uint64_t{1} << 63); },
       "data data data | avml.damaged avml.live"},
      {"magic of the second block", [kSecond](Image& i) { i[kSecond] = std::byte{0}; },
       "data data absent | avml.damaged avml.live"},
      {"cut after 4 bytes", [](Image& i) { i.resize(4); },
       "refused: AVML image at 0x0: 4 bytes hold no range header"},
      {"cut after 31 bytes", [](Image& i) { i.resize(31); },
       "refused: AVML image at 0x0: 31 bytes hold no range header"},
      {"cut after 32 bytes", [](Image& i) { i.resize(32); },
       "truncated truncated absent | avml.damaged avml.short-block avml.live"},
      {"cut after 40 bytes", [](Image& i) { i.resize(40); },
       "truncated truncated absent | avml.damaged avml.short-block avml.live"},
      {"cut after 60 bytes", [](Image& i) { i.resize(60); },
       "truncated truncated absent | avml.damaged avml.short-block avml.live"},
      {"cut inside the last stream", [](Image& i) { i.erase(i.end() - 20, i.end()); },
       "data data truncated | avml.damaged avml.short-block avml.live"},
      {"cut inside the last size", [](Image& i) { i.erase(i.end() - 3, i.end()); },
       "data data data | avml.damaged avml.live"},
      {"cut inside the second header", [kSecond](Image& i) { i.resize(kSecond + 8); },
       "data data absent | avml.damaged avml.live"},
      {"bytes behind the end", [](Image& i) { i.resize(i.size() + 7, std::byte{1}); },
       "data data data | avml.damaged avml.live"},
      {"bomb: chunks that claim 64 KiB each", [](Image& i) { i = Claims(); },
       "corrupt corrupt corrupt | avml.short-block avml.live"},
      {"chunks of one byte behind chunks of none", [](Image& i) { i = TinyChunks(); },
       "data data absent | avml.live"},
      {"a chunk too many", [](Image& i) { i = ChunkTooMany(); },
       "corrupt corrupt absent | avml.live"},
  };
  Add("avml", image, {{0x1000, 1}, {0x2000, 2}, {0x100000, 3}}, lies, inputs);
}

}  // namespace dmaudit::test
