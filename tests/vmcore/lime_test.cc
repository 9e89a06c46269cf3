// SPDX-License-Identifier: GPL-2.0-or-later
// LiME and raw images.
#include <doctest/doctest.h>

#include <functional>

#include "support/faulty_source.h"
#include "support/lime_builder.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit {
namespace {

using namespace test;

TEST_CASE("LiME: pages of ranges, and what lies between them") {
  std::vector<std::byte> image;
  AppendLimeRange(image, 0x1000, PatternPages(1, 3));
  AppendLimeRange(image, 0x100000, PatternPages(10, 1));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image, sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, 0x1000).bytes == PatternPage(1));
  CHECK(ReadPageAt(*dump, 0x3000).bytes == PatternPage(3));
  CHECK(ReadPageAt(*dump, 0x100000).bytes == PatternPage(10));
  CHECK(StateAt(*dump, 0) == ByteState::kAbsent);
  CHECK(StateAt(*dump, 0x4000) == ByteState::kAbsent);
  CHECK(StateAt(*dump, 0x101000) == ByteState::kAbsent);
  CHECK(RamOf(*dump).size() == 2);
  CHECK(dump->info.format == "LiME");
  CHECK(dump->info.format_detail == "version 1, 2 ranges");
  CHECK_FALSE(dump->info.incomplete);
  CHECK(Ids(sink) == "lime.live");
}

TEST_CASE("LiME: the padding of a page that a range ends in is not data, bytes there are") {
  for (const size_t tail : {size_t{1}, size_t{0xc00}, size_t{0xfff}}) {
    // Nowhere, and at the first and the last byte.
    for (const size_t set : {SIZE_MAX, size_t{0}, tail - 1}) {
      CAPTURE(tail);
      CAPTURE(set);
      std::vector<std::byte> image;
      std::vector<std::byte> content = PatternPages(1, 1);
      content.resize(kTestPage + tail);
      if (set != SIZE_MAX) content[kTestPage + set] = std::byte{1};
      AppendLimeRange(image, 0x9e000, content);
      DiagnosticSink sink;
      const Result<Dump> dump = OpenBytes(image, sink);
      REQUIRE(dump);
      const ByteState state = set == SIZE_MAX ? ByteState::kExcluded : ByteState::kData;
      const uint32_t size = static_cast<uint32_t>(tail);
      const std::vector<PageExtent> want = {
          {0, size, state}, {size, static_cast<uint32_t>(kTestPage) - size, ByteState::kAbsent}};
      CHECK(ReadPageAt(*dump, 0x9f000).extents == want);
      CHECK(ReadPageAt(*dump, 0x9e000).bytes == PatternPage(1));
      CHECK(Ids(sink) == (set == SIZE_MAX ? "lime.padding lime.live" : "lime.live"));
    }
  }
}

TEST_CASE("LiME: a range that begins inside a page has its bytes in the wrong places") {
  std::vector<std::byte> image;
  AppendLimeRange(image, 0x1200, PatternPages(1, 2));
  AppendLimeRange(image, 0x8000, PatternPages(5, 1));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image, sink);
  REQUIRE(dump);
  CHECK(StateAt(*dump, 0x2000) == ByteState::kCorrupt);
  CHECK(ReadPageAt(*dump, 0x8000).bytes == PatternPage(5));
  CHECK(Ids(sink) == "lime.unaligned lime.live");
}

TEST_CASE("LiME: cut at every byte") {
  std::vector<std::byte> image;
  AppendLimeRange(image, 0x1000, PatternPages(1, 2));
  const size_t second = image.size();
  AppendLimeRange(image, 0x10000, PatternPages(7, 1));
  for (size_t size = 4; size < image.size(); ++size) {
    DiagnosticSink sink;
    const Result<Dump> dump =
        OpenBytes({image.begin(), image.begin() + static_cast<ptrdiff_t>(size)}, sink);
    CAPTURE(size);
    if (size < kLimeHeaderSize) {
      REQUIRE_FALSE(dump);
      CHECK(dump.error().code == ErrorCode::kMalformed);
      continue;
    }
    REQUIRE(dump);
    // A file that ends where a range does looks whole: nothing says how many ranges there were.
    CHECK(dump->info.incomplete == (size != second));
    const Page page = ReadPageAt(*dump, 0x1000);
    if (size < kLimeHeaderSize + kTestPage) {
      CHECK(page.extents.back().state == ByteState::kTruncated);
    } else {
      CHECK(page.bytes == PatternPage(1));
    }
    if (size < image.size()) CHECK_FALSE(ReadPageAt(*dump, 0x10000).readable());
  }
}

TEST_CASE("LiME: headers that lie") {
  std::vector<std::byte> good;
  AppendLimeRange(good, 0x1000, PatternPages(1, 1));
  struct Case {
    std::string_view name;
    uint32_t magic;
    uint32_t version;
    uint64_t first, last;
    std::string_view ids;  // when behind a good range
    ByteState before = ByteState::kData;
  };
  const Case cases[] = {
      {"another magic", 0x12345678, 1, 0x2000, 0x2fff, "lime.malformed lime.live",
       ByteState::kCorrupt},
      {"AVML's", kAvmlMagic, 2, 0x2000, 0x2fff, "lime.malformed lime.live", ByteState::kCorrupt},
      {"version 0", kLimeMagic, 0, 0x2000, 0x2fff, "lime.malformed lime.live"},
      {"version 2", kLimeMagic, 2, 0x2000, 0x2fff, "lime.malformed lime.live"},
      {"backwards", kLimeMagic, 1, 0x2fff, 0x2000, "lime.malformed lime.live"},
      {"all addresses", kLimeMagic, 1, 0, UINT64_MAX, "lime.malformed lime.live"},
      {"nearly all", kLimeMagic, 1, 0x1000, UINT64_MAX, "lime.truncated lime.overlap lime.live"},
      {"the same memory again", kLimeMagic, 1, 0x1000, 0x1fff, "lime.overlap lime.live"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    std::vector<std::byte> image = good;
    AppendRangeHeader(image, c.magic, c.version, c.first, c.last);
    image.resize(image.size() + kTestPage, std::byte{0x55});
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image, sink);
    REQUIRE(dump);
    CHECK(StateAt(*dump, 0x1000) == c.before);
    if (c.before == ByteState::kData) {
      CHECK(ReadPageAt(*dump, 0x1000).bytes == PatternPage(1));
    }
    CHECK(Ids(sink) == c.ids);
    CHECK(sink.incomplete());
  }
}

TEST_CASE("LiME: a range that no header and no end of the file is behind is corrupt") {
  std::vector<std::byte> good;
  AppendLimeRange(good, 0x1000, PatternPages(1, 2));
  AppendLimeRange(good, 0x8000, PatternPages(5, 2));
  const size_t second = good.size() / 2;
  AppendLimeRange(good, 0x10000, PatternPages(9, 1));
  struct Case {
    std::string_view name;
    std::function<void(std::vector<std::byte>&)> mutate;
    ByteState before, last;  // of the second range and of the third
  };
  const auto lose = [&](size_t size) {
    return [=](std::vector<std::byte>& image) {
      const auto at = image.begin() + static_cast<ptrdiff_t>(second + kLimeHeaderSize + 100);
      image.erase(at, at + static_cast<ptrdiff_t>(size));
    };
  };
  const auto gain = [&](size_t at) {
    return [=](std::vector<std::byte>& image) {
      image.insert(image.begin() + static_cast<ptrdiff_t>(at), std::byte{0x55});
    };
  };
  const Case cases[] = {
      {"nothing", [](std::vector<std::byte>&) {}, ByteState::kData, ByteState::kData},
      {"a byte is lost", lose(1), ByteState::kCorrupt, ByteState::kAbsent},
      {"four bytes are lost", lose(4), ByteState::kCorrupt, ByteState::kAbsent},
      {"a byte too many", gain(second + 100), ByteState::kCorrupt, ByteState::kAbsent},
      {"one behind the last range", gain(good.size()), ByteState::kData, ByteState::kCorrupt},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    std::vector<std::byte> image = good;
    c.mutate(image);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image, sink);
    REQUIRE(dump);
    CHECK(ReadPageAt(*dump, 0x2000).bytes == PatternPage(2));
    CHECK(StateAt(*dump, 0x8000) == c.before);
    CHECK(StateAt(*dump, 0x9000) == c.before);
    CHECK(StateAt(*dump, 0x10000) == c.last);
    if (image != good) CHECK(Ids(sink) == "lime.malformed lime.live");
  }
}

Result<Dump> OpenBytesAsRaw(std::vector<std::byte> bytes, uint64_t base, DiagnosticSink& sink) {
  return OpenDump(std::make_shared<MemorySource>(std::move(bytes)), "dump", sink,
                  {.raw_base = PhysAddr(base)});
}

TEST_CASE("LiME: a range that reaches over the headers of others ends at the first") {
  const auto image = [](uint64_t second_first) {
    std::vector<std::byte> bytes;
    AppendLimeRange(bytes, 0x1000, PatternPages(1, 2));
    AppendLimeRange(bytes, second_first, PatternPages(10, 1));
    StoreUnchecked<uint64_t>(bytes, 16, 0x1002fff);  // the end of the first range, one bit of it
    return bytes;
  };
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image(0x100000), sink);
  REQUIRE(dump);
  CHECK(Ids(sink) == "lime.malformed lime.live");
  CHECK(dump->info.incomplete);
  CHECK(ReadPageAt(*dump, 0x2000).bytes == PatternPage(2));
  CHECK(StateAt(*dump, 0x3000) == ByteState::kCorrupt);
  CHECK(StateAt(*dump, 0x4000) == ByteState::kCorrupt);
  CHECK(StateAt(*dump, 0x1002fff) == ByteState::kCorrupt);
  CHECK(StateAt(*dump, 0x1003000) == ByteState::kAbsent);
  // The memory of a machine may hold an image of its own: not of what lies behind.
  DiagnosticSink content;
  REQUIRE(OpenBytes(image(0x2000), content));
  CHECK(Ids(content) == "lime.truncated lime.live");
  DiagnosticSink border;
  REQUIRE(OpenBytes(image(0x3000), border));
  CHECK(Ids(border) == "lime.malformed lime.live");
}

TEST_CASE("LiME: a bad sector in a range that is cut is a corrupt stretch, not the end") {
  std::vector<std::byte> image;
  AppendLimeRange(image, 0x1000, PatternPages(1, 4));
  image.resize(image.size() - kTestPage);
  const auto source = std::make_shared<FaultySource>(image);
  source->Break(FaultySource::Fault::kFails, kLimeHeaderSize + kTestPage,
                kLimeHeaderSize + kTestPage + 512);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenDump(source, "dump", sink);
  REQUIRE(dump);
  CHECK(Ids(sink) == "lime.truncated lime.live");
  CHECK(StateAt(*dump, 0x1000) == ByteState::kData);
  CHECK(StateAt(*dump, 0x2000) == ByteState::kCorrupt);
  CHECK(StateAt(*dump, 0x3000) == ByteState::kData);
  CHECK(StateAt(*dump, 0x4000) == ByteState::kTruncated);
}

TEST_CASE("raw: what the file does not reach is absent, and zeros are in doubt") {
  std::vector<std::byte> image = PatternPages(1, 2);
  image.resize(image.size() + 0x10);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytesAsRaw(image, 0x100000, sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, 0x101000).bytes == PatternPage(2));
  CHECK(StateAt(*dump, 0xff000) == ByteState::kAbsent);
  CHECK(StateAt(*dump, 0x103000) == ByteState::kAbsent);
  const std::vector<PageExtent> want = {{0, 0x10, ByteState::kData},
                                        {0x10, 0xff0, ByteState::kAbsent}};
  CHECK(ReadPageAt(*dump, 0x102000).extents == want);
  CHECK(dump->info.format == "raw memory");
  CHECK(Ids(sink) == "raw.no-states");
  CHECK(sink.incomplete());
}

TEST_CASE("raw: never guessed, whatever is asked for wins, and no address wraps") {
  DiagnosticSink sink;
  CHECK(OpenBytes(PatternPages(1, 4), sink).error().code == ErrorCode::kUnrecognised);
  ElfBuilder elf;
  elf.AddLoad(0x1000, PatternPage(1));
  const std::vector<std::byte> image = elf.Build().bytes;
  const Result<Dump> dump = OpenBytesAsRaw(image, 0, sink);
  REQUIRE(dump);
  CHECK(dump->info.format == "raw memory");
  CHECK(OpenBytesAsRaw(image, UINT64_MAX - image.size() + 2, sink).error().code ==
        ErrorCode::kUsage);
  CHECK(OpenBytesAsRaw(image, UINT64_MAX - image.size() + 1, sink));
}

}  // namespace
}  // namespace dmaudit
