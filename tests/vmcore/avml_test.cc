// SPDX-License-Identifier: GPL-2.0-or-later
// AVML images.
#include <doctest/doctest.h>

#include <functional>

#include "support/lime_builder.h"

namespace dmaudit {
namespace {

using namespace test;

std::vector<std::byte> Image() {
  std::vector<std::byte> image;
  AppendAvmlBlock(image, 0x1000, PatternPages(1, 40));
  AppendAvmlBlock(image, 0x100000, PatternPages(100, 1));
  return image;
}

TEST_CASE("snappy frames: the checksum of the published example, and of all alignments") {
  // CRC-32C of "123456789" is 0xe3069283; the format masks it.
  CHECK(MaskedCrc32c(AsBytes("123456789")) ==
        ((0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u));
  CHECK(MaskedCrc32c({}) == 0xa282ead8u);
}

TEST_CASE("AVML: pages of blocks, compressed and stored chunks, and what is between blocks") {
  for (const size_t chunk : {size_t{65536}, size_t{4096}, size_t{1000}}) {
    CAPTURE(chunk);
    std::vector<std::byte> image;
    AppendAvmlBlock(image, 0x1000, PatternPages(1, 40), chunk);
    AppendAvmlBlock(image, 0x29000, PatternPages(41, 2), chunk);  // continues the first
    AppendAvmlBlock(image, 0x100000, PatternPages(100, 1), chunk);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image, sink);
    REQUIRE(dump);
    for (uint64_t i = 0; i < 42; ++i) {
      CHECK(ReadPageAt(*dump, 0x1000 * (i + 1)).bytes == PatternPage(i + 1));
    }
    CHECK(ReadPageAt(*dump, 0x100000).bytes == PatternPage(100));
    CHECK(StateAt(*dump, 0) == ByteState::kAbsent);
    CHECK(StateAt(*dump, 0x50000) == ByteState::kAbsent);  // perhaps zero, perhaps no RAM
    CHECK(RamOf(*dump).size() == 2);
    CHECK(dump->info.format == "AVML");
    CHECK(dump->info.compression == "snappy");
    CHECK_FALSE(dump->info.incomplete);
    CHECK(Ids(sink) == "avml.live");
  }
}

TEST_CASE("AVML: blocks that meet inside a page") {
  std::vector<std::byte> image;
  const std::vector<std::byte> page = PatternPage(1);
  AppendAvmlBlock(image, 0x1000, std::span(page).first(0x300));
  AppendAvmlBlock(image, 0x1300, std::span(page).subspan(0x300));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image, sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, 0x1000).readable());
  CHECK(ReadPageAt(*dump, 0x1000).bytes == page);
}

TEST_CASE("AVML: cut at every byte, no page shows other bytes and the cut is said") {
  const std::vector<std::byte> image = Image();
  std::vector<std::byte> first;
  AppendAvmlBlock(first, 0x1000, PatternPages(1, 40));
  size_t opened = 0;
  for (size_t size = 4; size < image.size(); ++size) {
    DiagnosticSink sink;
    const Result<Dump> dump =
        OpenBytes({image.begin(), image.begin() + static_cast<ptrdiff_t>(size)}, sink);
    CAPTURE(size);
    if (!dump) {
      CHECK(dump.error().message.starts_with("dump: AVML"));
      continue;
    }
    ++opened;
    CHECK(dump->info.incomplete == (size != first.size()));
    for (const unsigned seed : {1u, 20u, 40u}) {
      const Page page = ReadPageAt(*dump, 0x1000 * seed);
      if (page.readable()) {
        if (page.bytes != PatternPage(seed)) FAIL_CHECK("other bytes");
      } else if (page.extents[0].state != ByteState::kTruncated) {
        FAIL_CHECK(ToString(page.extents[0].state));
      }
    }
  }
  CHECK(opened == image.size() - kLimeHeaderSize);
}

TEST_CASE("AVML: a stream that is damaged is corrupt there and nowhere else") {
  const std::vector<std::byte> good = Image();
  struct Case {
    std::string_view name;
    std::function<void(std::vector<std::byte>&)> mutate;
    ByteState first;   // of the page at 0x1000, in the first chunk
    ByteState second;  // of the page at 0x11000, in the second chunk
    std::string_view ids;
  };
  constexpr size_t kStream = kLimeHeaderSize;
  constexpr size_t kChunk = kStream + 10;  // behind the stream identifier
  const auto put = [](size_t at, uint8_t value) {
    return [at, value](std::vector<std::byte>& image) { image[at] = std::byte{value}; };
  };
  const auto flip = [](size_t at) {
    return [at](std::vector<std::byte>& image) { image[at] ^= std::byte{1}; };
  };
  constexpr ByteState kData = ByteState::kData;
  constexpr ByteState kCorrupt = ByteState::kCorrupt;
  const Case cases[] = {
      {"nothing", [](std::vector<std::byte>&) {}, kData, kData, "avml.live"},
      {"checksum", flip(kChunk + 4), kCorrupt, kData, "avml.live"},
      {"payload", flip(kChunk + 40), kCorrupt, kData, "avml.live"},
      {"reserved chunk type", put(kChunk, 0x02), kCorrupt, kCorrupt, "avml.live"},
      {"last reserved chunk type", put(kChunk, 0x7f), kCorrupt, kCorrupt, "avml.live"},
      {"chunk without a checksum",
       [](std::vector<std::byte>& i) {
         i[kChunk + 1] = std::byte{3};
         i[kChunk + 2] = i[kChunk + 3] = std::byte{0};
       },
       kCorrupt, kCorrupt, "avml.live"},
      {"chunk beyond the stream", put(kChunk + 3, 0xff), kCorrupt, kCorrupt, "avml.live"},
      {"preamble of more than 64 KiB", put(kChunk + 10, 0x7f), kCorrupt, kCorrupt, "avml.live"},
      {"preamble that does not end",
       [](std::vector<std::byte>& i) {
         for (size_t n = 8; n < 13; ++n) i[kChunk + n] = std::byte{0xff};
       },
       kCorrupt, kCorrupt, "avml.live"},
      {"no stream identifier", flip(kStream + 4), kCorrupt, kCorrupt, "avml.live"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    std::vector<std::byte> image = good;
    c.mutate(image);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image, sink);
    REQUIRE(dump);
    CHECK(StateAt(*dump, 0x1000) == c.first);
    CHECK(StateAt(*dump, 0x11000) == c.second);
    CHECK(ReadPageAt(*dump, 0x100000).bytes == PatternPage(100));
    CHECK(Ids(sink) == c.ids);
  }
}

// Five pages at 0x1000, each a chunk; the third is stored as it is.
struct Chunks {
  std::vector<std::vector<std::byte>> list;

  Chunks() {
    for (uint64_t page = 1; page <= 5; ++page) {
      std::vector<std::byte> stream = SnappyStream(PatternPages(page, 1));
      constexpr size_t kIdentifier = 10;
      list.emplace_back(stream.begin() + kIdentifier, stream.end());
    }
    std::vector<std::byte> body(4);
    StoreUnchecked<uint32_t>(body, 0, MaskedCrc32c(PatternPage(3)));
    const std::vector<std::byte> page = PatternPage(3);
    body.insert(body.end(), page.begin(), page.end());
    list[2].clear();
    AppendChunk(list[2], 1, body);
  }

  std::vector<std::byte> Image() const {
    std::vector<std::byte> stream;
    AppendChunk(stream, 0xff, AsBytes("sNaPpY"));
    for (const auto& chunk : list) stream.insert(stream.end(), chunk.begin(), chunk.end());
    std::vector<std::byte> image;
    AppendAvmlStream(image, 0x1000, 0x5fff, stream);
    return image;
  }
};

TEST_CASE("AVML: no checksum holds the place of a chunk: pages are where they were or corrupt") {
  struct Case {
    std::string_view name;
    std::function<void(Chunks&)> mutate;
    size_t good;            // pages from the first on that are known
    size_t bad = SIZE_MAX;  // one of them that is not
    size_t cut = 0;         // bytes, from the end of the image
  };
  constexpr size_t kPreamble = 8;
  const Case cases[] = {
      {"nothing", [](Chunks&) {}, 5},
      {"a checksum: the sizes still fit", [](Chunks& c) { c.list[1][4] ^= std::byte{1}; }, 5, 2},
      {"a type that is skipped", [](Chunks& c) { c.list[2][0] = std::byte{0x81}; }, 0},
      {"a chunk is missing", [](Chunks& c) { c.list.erase(c.list.begin() + 1); }, 0},
      {"the last chunk is missing", [](Chunks& c) { c.list.pop_back(); }, 0},
      {"a chunk twice", [](Chunks& c) { c.list.insert(c.list.begin() + 3, c.list[3]); }, 0},
      {"a preamble of half the size", [](Chunks& c) { c.list[0][kPreamble + 1] = std::byte{0x10}; },
       0},
      {"a chunk that none is", [](Chunks& c) { c.list[3][0] = std::byte{2}; }, 3},
      {"the same behind a type that is skipped",
       [](Chunks& c) {
         c.list[2][0] = std::byte{0x81};
         c.list[3][0] = std::byte{2};
       },
       2},
      {"the same behind a checksum that is wrong",
       [](Chunks& c) {
         c.list[1][4] ^= std::byte{1};
         c.list[3][0] = std::byte{2};
       },
       1},
      {"the same behind a chunk too many",
       [](Chunks& c) {
         c.list.insert(c.list.begin(), 3, c.list[0]);
         c.list[7][0] = std::byte{2};
       },
       0},
      {"cut", [](Chunks&) {}, 4, SIZE_MAX, 20},
      {"cut behind a preamble of half the size",
       [](Chunks& c) { c.list[0][kPreamble + 1] = std::byte{0x10}; }, 0, SIZE_MAX, 20},
      {"cut behind a type that is skipped", [](Chunks& c) { c.list[2][0] = std::byte{0x81}; }, 2,
       SIZE_MAX, 20},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Chunks chunks;
    c.mutate(chunks);
    std::vector<std::byte> image = chunks.Image();
    image.resize(image.size() - c.cut);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image, sink);
    REQUIRE(dump);
    for (size_t page = 1; page <= 5; ++page) {
      CAPTURE(page);
      const Page read = ReadPageAt(*dump, 0x1000 * page);
      CHECK(read.readable() == (page <= c.good && page != c.bad));
      if (read.readable()) CHECK(read.bytes == PatternPage(page));
    }
  }
}

// The image of a block that was made of `whole`, and lost some of its chunks in the file.
std::vector<std::byte> ImageOfLoss(const Chunks& whole, const Chunks& left) {
  std::vector<std::byte> image = left.Image();
  const uint64_t size = whole.Image().size() - kLimeHeaderSize - sizeof(uint64_t);
  StoreUnchecked<uint64_t>(image, image.size() - sizeof(uint64_t), size);
  return image;
}

TEST_CASE("AVML: where chunks are missing before the size of a stream, its block is corrupt") {
  std::vector<std::byte> other;
  AppendAvmlBlock(other, 0x8000, PatternPages(8, 1));
  for (const size_t first : {size_t{0}, size_t{1}, size_t{4}}) {
    for (const size_t count : {size_t{1}, 5 - first}) {
      const Chunks whole;
      Chunks left;
      const auto at = left.list.begin() + static_cast<ptrdiff_t>(first);
      left.list.erase(at, at + static_cast<ptrdiff_t>(count));
      const std::vector<std::byte> loss = ImageOfLoss(whole, left);
      for (const bool last : {false, true}) {
        CAPTURE(first);
        CAPTURE(count);
        CAPTURE(last);
        std::vector<std::byte> image = last ? other : loss;
        const std::vector<std::byte>& behind = last ? loss : other;
        image.insert(image.end(), behind.begin(), behind.end());
        DiagnosticSink sink;
        const Result<Dump> dump = OpenBytes(image, sink);
        REQUIRE(dump);
        for (size_t page = 1; page <= 5; ++page) {
          CHECK(StateAt(*dump, 0x1000 * page) == ByteState::kCorrupt);
        }
        CHECK(StateAt(*dump, 0x8000) == (last ? ByteState::kData : ByteState::kAbsent));
        CHECK(Ids(sink) == "avml.damaged avml.short-block avml.live");
      }
    }
  }
}

TEST_CASE("AVML: the size of a stream that looks like a chunk is not skipped into the next block") {
  // 0x80 is skipped, with the header of the next block and the identifier of its stream.
  constexpr uint64_t kSkip = 4 + kLimeHeaderSize + 10;
  Chunks left;
  left.list.pop_back();
  std::vector<std::byte> image = left.Image();
  StoreUnchecked<uint64_t>(image, image.size() - 8, 0x80 | kSkip << 8);
  AppendAvmlBlock(image, 0x8000, PatternPages(8, 1));
  image.back() ^= std::byte{1};
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image, sink);
  REQUIRE(dump);
  for (size_t page = 1; page <= 5; ++page) {
    CHECK(StateAt(*dump, 0x1000 * page) == ByteState::kCorrupt);
  }
}

TEST_CASE("AVML: chunks that hold nothing, where the sizes fit") {
  std::vector<std::byte> stream;
  AppendChunk(stream, 0xff, AsBytes("sNaPpY"));
  AppendChunk(stream, 0xfe, std::vector<std::byte>(3));                             // padding
  const std::vector<std::byte> more = SnappyStream(PatternPages(1, 2), kTestPage);  // and again
  stream.insert(stream.end(), more.begin(), more.end());
  std::vector<std::byte> image;
  AppendAvmlStream(image, 0x1000, 0x2fff, stream);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image, sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, 0x1000).bytes == PatternPage(1));
  CHECK(ReadPageAt(*dump, 0x2000).bytes == PatternPage(2));
}

TEST_CASE("AVML: headers and sizes that lie") {
  std::vector<std::byte> block;
  AppendAvmlBlock(block, 0x1000, PatternPages(1, 1));

  SUBCASE("a range that its stream cannot hold") {
    std::vector<std::byte> image;
    AppendAvmlStream(image, 0, UINT64_MAX, SnappyStream(PatternPages(1, 1)));
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image, sink);
    REQUIRE(dump);
    CHECK(StateAt(*dump, 0) == ByteState::kCorrupt);
    CHECK(StateAt(*dump, 0x1000) == ByteState::kCorrupt);
    CHECK(StateAt(*dump, uint64_t{1} << 40) == ByteState::kCorrupt);
    CHECK(dump->info.incomplete);
    CHECK(Ids(sink) == "avml.short-block avml.live");
  }
  SUBCASE("a stream that holds more than the range") {
    std::vector<std::byte> image;
    AppendAvmlStream(image, 0, 0xfff, SnappyStream(PatternPages(1, 2)));
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image, sink);
    REQUIRE(dump);
    CHECK(StateAt(*dump, 0) == ByteState::kCorrupt);
    CHECK(StateAt(*dump, 0x1000) == ByteState::kAbsent);
  }
  SUBCASE("an empty stream") {
    std::vector<std::byte> image;
    AppendAvmlStream(image, 0, 0xfff, {});
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image, sink);
    REQUIRE(dump);
    CHECK(StateAt(*dump, 0) == ByteState::kCorrupt);
  }
  SUBCASE("the size behind a stream is wrong: what the chunks say is taken, the rest is lost") {
    std::vector<std::byte> image = block;
    AppendAvmlBlock(image, 0x8000, PatternPages(8, 1));
    image[block.size() - 8] ^= std::byte{1};
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image, sink);
    REQUIRE(dump);
    CHECK(ReadPageAt(*dump, 0x1000).bytes == PatternPage(1));
    CHECK(StateAt(*dump, 0x8000) == ByteState::kAbsent);
    CHECK(dump->info.incomplete);
    CHECK(Ids(sink) == "avml.damaged avml.live");
  }
  SUBCASE("the same memory twice") {
    std::vector<std::byte> image = block;
    AppendAvmlBlock(image, 0x1000, PatternPages(9, 1));
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image, sink);
    REQUIRE(dump);
    CHECK(ReadPageAt(*dump, 0x1000).bytes == PatternPage(1));
    CHECK(Ids(sink) == "avml.overlap avml.live");
  }
  SUBCASE("a first header that is none") {
    for (const size_t at : {size_t{4}, size_t{23}}) {  // version, last address
      std::vector<std::byte> image = block;
      image[at] = std::byte{at == 4 ? uint8_t{1} : uint8_t{0}};
      if (at == 23) StoreUnchecked<uint64_t>(image, 16, 0);
      DiagnosticSink sink;
      const Result<Dump> dump = OpenBytes(image, sink);
      REQUIRE_FALSE(dump);
      CHECK(dump.error().code == ErrorCode::kMalformed);
    }
  }
}

TEST_CASE("AVML: a session reads pages in any order") {
  const std::vector<std::byte> image = Image();
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image, sink);
  REQUIRE(dump);
  const auto context = dump->memory->MakeContext();
  Page page;
  for (const unsigned seed : {40u, 1u, 17u, 16u, 2u, 40u, 33u, 1u}) {
    dump->memory->ReadPage(PhysAddr(0x1000 * seed), *context, page);
    CHECK(page.bytes == PatternPage(seed));
  }
}

}  // namespace
}  // namespace dmaudit
