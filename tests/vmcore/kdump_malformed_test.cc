// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <functional>

#include "support/dump_builder.h"

namespace dmaudit {
namespace {

using namespace test;

constexpr uint64_t kFrame = 5;  // the second of three stored pages

KdumpBuilder Base() {
  KdumpBuilder builder;
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=x\n");
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib);
  builder.AddPage(kFrame, PatternPage(2), PageCodec::kZlib).AddExcluded(6);
  builder.AddPage(9, PatternPage(3));
  return builder;
}

TEST_CASE("kdump: a header that makes no sense is one error that names the file") {
  struct Case {
    std::string_view name;
    std::function<void(KdumpImage&)> mutate;
    ErrorCode code;
    std::string_view says;
  };
  const auto set = [](std::string_view field, uint64_t value) {
    return [field, value](KdumpImage& image) { image.Set(field, value); };
  };
  constexpr ErrorCode kBad = ErrorCode::kMalformed;
  constexpr ErrorCode kOther = ErrorCode::kUnsupported;
  const Case cases[] = {
      {"block size 0", set("block_size", 0), kBad, "block size"},
      {"block size 1", set("block_size", 1), kBad, "block size"},
      {"block size 3", set("block_size", 3), kBad, "block size"},
      {"block size 2048", set("block_size", 2048), kBad, "block size"},
      {"block size 4097", set("block_size", 4097), kBad, "block size"},
      {"block size 8192", set("block_size", 8192), kOther, "pages of 8192"},
      {"block size 65536", set("block_size", 65536), kOther, "pages of 65536"},
      {"block size 131072", set("block_size", 131072), kBad, "block size"},
      {"block size -1", set("block_size", 0xffffffff), kBad, "block size"},
      {"block size -4096", set("block_size", 0xfffff000), kBad, "block size"},
      {"block size 2^31 - 1", set("block_size", 0x7fffffff), kBad, "block size"},
      {"block size 2^31", set("block_size", 0x80000000), kBad, "block size"},
      {"block size in the other byte order", set("block_size", 0x00100000), kBad, "block size"},
      {"version -1", set("header_version", 0xffffffff), kBad, "version"},
      {"sub header INT_MAX", set("sub_hdr_size", 0x7fffffff), kBad, "bitmap"},
      {"sub header -1", set("sub_hdr_size", 0xffffffff), kBad, "sub header"},
      {"sub header 0", set("sub_hdr_size", 0), kBad, "sub header"},
      {"no bitmap blocks", set("bitmap_blocks", 0), kBad, "bitmap"},
      {"bitmaps past the end", set("bitmap_blocks", 0xffffffff), kBad, "bitmap"},
      {"max_mapnr beyond the bitmaps",
       [](KdumpImage& i) { i.Set("max_mapnr", 0x10001).Set("max_mapnr_64", 0x10001); }, kBad,
       "max_mapnr"},
      {"max_mapnr 0", [](KdumpImage& i) { i.Set("max_mapnr", 0).Set("max_mapnr_64", 0); }, kBad,
       "max_mapnr"},
      {"max_mapnr_64 2^32", set("max_mapnr_64", uint64_t{1} << 32), kBad, "max_mapnr"},
      {"max_mapnr_64 2^52", set("max_mapnr_64", uint64_t{1} << 52), kBad, "max_mapnr"},
      {"max_mapnr_64 2^52 + 1", set("max_mapnr_64", (uint64_t{1} << 52) + 1), kBad, "max_mapnr"},
      {"max_mapnr_64 2^64 - 1", set("max_mapnr_64", UINT64_MAX), kBad, "max_mapnr"},
      {"part that ends before it starts",
       [](KdumpImage& i) { i.Set("split", 1).Set("start_pfn_64", 9).Set("end_pfn_64", 8); }, kBad,
       "0x9 to 0x8"},
      {"part that starts beyond max_mapnr",
       [](KdumpImage& i) { i.Set("split", 1).Set("start_pfn_64", 65).Set("end_pfn_64", 66); }, kBad,
       "max_mapnr is 0x40"},
      {"part from -1 to -1",
       [](KdumpImage& i) {
         i.Set("split", 1).Set("start_pfn_64", UINT64_MAX).Set("end_pfn_64", UINT64_MAX);
       },
       kBad, "part of a split dump"},
  };
  for (const Case& c : cases) {
    KdumpImage image = Base().Build();
    c.mutate(image);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image.bytes, sink);
    INFO(c.name);
    REQUIRE_FALSE(dump);
    CHECK(dump.error().code == c.code);
    CHECK(dump.error().message.starts_with("dump: "));
    CHECK(dump.error().message.find(c.says) != std::string::npos);
  }
}

TEST_CASE("kdump: other machines are named, and their pages told apart all the same") {
  for (const std::string_view machine :
       {"aarch64", "i686", "s390x", "x86_65", "unknown", "\x1b[31m"}) {
    KdumpBuilder builder = Base();
    builder.machine = machine;
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
    REQUIRE(dump);
    CHECK(dump->info.machine == machine);
    CHECK(StateAt(*dump, kFrame * kTestPage) == ByteState::kData);
    CHECK(StateAt(*dump, 6 * kTestPage) == ByteState::kExcluded);
    CHECK(Ids(sink) == "");
  }
  for (const std::string_view machine : {"", "Unknown"}) {
    KdumpBuilder builder = Base();
    builder.machine = machine;
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
    REQUIRE(dump);
    CHECK(dump->info.machine == "x86_64");
    CHECK(Ids(sink) == "kdump.machine");
  }
}

TEST_CASE("kdump: a descriptor that makes no sense costs its own page only") {
  struct Case {
    std::string_view name;
    std::string_view field;
    uint64_t value;
    ByteState state;
    std::string_view diagnostics;
  };
  const KdumpImage good = Base().Build();
  const uint64_t end = good.bytes.size();
  const uint64_t size = good.GetDescriptor(1, "size");
  const Case cases[] = {
      {"offset 0", "offset", 0, ByteState::kLost, "kdump.lost-pages"},
      {"offset in the header", "offset", 1, ByteState::kCorrupt, ""},
      {"offset in the bitmaps", "offset", good.bitmap1, ByteState::kCorrupt, ""},
      {"offset in the descriptors", "offset", good.data - 1, ByteState::kCorrupt, ""},
      {"offset inside other data", "offset", good.data + 1, ByteState::kCorrupt, ""},
      {"offset so that it just does not fit", "offset", end - size + 1, ByteState::kTruncated,
       "kdump.truncated"},
      {"offset at the end", "offset", end, ByteState::kTruncated, "kdump.truncated"},
      {"offset beyond the end", "offset", end + 1, ByteState::kTruncated, "kdump.truncated"},
      {"offset 2^63", "offset", uint64_t{1} << 63, ByteState::kTruncated, "kdump.truncated"},
      {"offset 2^64 - 1", "offset", UINT64_MAX, ByteState::kTruncated, "kdump.truncated"},
      {"size 0", "size", 0, ByteState::kCorrupt, ""},
      {"size 1", "size", 1, ByteState::kCorrupt, ""},
      {"size one short", "size", size - 1, ByteState::kCorrupt, ""},
      {"size 2^31", "size", uint64_t{1} << 31, ByteState::kCorrupt, "kdump.truncated"},
      {"size 2^32 - 1", "size", UINT32_MAX, ByteState::kCorrupt, "kdump.truncated"},
      {"raw of another size", "flags", 0, ByteState::kCorrupt, ""},
      {"another codec", "flags", 2, ByteState::kCorrupt, ""},
      {"two codecs", "flags", 3, ByteState::kCorrupt, ""},
      {"no such codec", "flags", 8, ByteState::kCorrupt, ""},
      {"all flags", "flags", UINT32_MAX, ByteState::kCorrupt, ""},
      {"page_flags are not looked at", "page_flags", UINT64_MAX, ByteState::kData, ""},
  };
  for (const Case& c : cases) {
    KdumpImage image = good;
    image.SetDescriptor(1, c.field, c.value);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image.bytes, sink);
    INFO(c.name);
    REQUIRE(dump);
    const Page page = ReadPageAt(*dump, kFrame * kTestPage);
    CHECK(page.extents.size() == 1);
    CHECK(page.extents[0].state == c.state);
    // Only decoding shows that data does not decode.
    const ByteState hint = dump->memory->PageStateHint(PhysAddr(kFrame * kTestPage));
    CHECK((hint == c.state || (hint == ByteState::kData && c.state == ByteState::kCorrupt)));
    if (c.state != ByteState::kData) CHECK(page.bytes == std::vector<std::byte>(kTestPage));
    CHECK(Ids(sink) == c.diagnostics);
    CHECK(ReadPageAt(*dump, kTestPage).bytes == PatternPage(1));
    CHECK(ReadPageAt(*dump, 9 * kTestPage).bytes == PatternPage(3));
  }
}

TEST_CASE("kdump: a raw page is never taken from the headers") {
  const KdumpImage good = Base().Build();
  struct Case {
    uint64_t offset;
    ByteState state;
  };
  const Case cases[] = {{1, ByteState::kCorrupt},
                        {kTestPage, ByteState::kCorrupt},
                        {good.data - 1, ByteState::kCorrupt},
                        {good.bytes.size() - kTestPage, ByteState::kData}};
  for (const Case& c : cases) {
    KdumpImage image = good;
    image.SetDescriptor(2, "offset", c.offset);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image.bytes, sink);
    REQUIRE(dump);
    CHECK(StateAt(*dump, 9 * kTestPage) == c.state);
    CHECK(dump->memory->PageStateHint(PhysAddr(9 * kTestPage)) == c.state);
  }
}

TEST_CASE("kdump: the start of a raw page that the file cuts is data, the hint says truncated") {
  KdumpImage image = Base().Build();
  image.bytes.resize(image.bytes.size() - 100);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  const std::vector<PageExtent> want = {{0, kTestPage - 100, ByteState::kData},
                                        {kTestPage - 100, 100, ByteState::kTruncated}};
  CHECK(ReadPageAt(*dump, 9 * kTestPage).extents == want);
  CHECK(dump->memory->PageStateHint(PhysAddr(9 * kTestPage)) == ByteState::kTruncated);
}

TEST_CASE("kdump: decompression bombs are corrupt pages") {
  const std::vector<std::byte> large(size_t{1} << 20, std::byte{0});
  struct Case {
    PageCodec codec;
    uint32_t flag;
  };
  for (const Case& c : {Case{PageCodec::kZlib, 1}, Case{PageCodec::kLzo, 2},
                        Case{PageCodec::kSnappy, 4}, Case{PageCodec::kZstd, 0x20}}) {
    std::vector<std::byte> bomb = Compress(c.codec, large);
    if (bomb.size() > 2 * kTestPage) bomb = Compress(c.codec, std::span(large).first(1 << 16));
    REQUIRE(bomb.size() <= 2 * kTestPage);
    KdumpBuilder builder;
    builder.AddStored(3, bomb, c.flag);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
    REQUIRE(dump);
    CHECK(StateAt(*dump, 3 * kTestPage) == ByteState::kCorrupt);
  }
}

TEST_CASE("kdump: damaged extras are diagnostics, the pages stay readable") {
  struct Case {
    std::string_view name;
    std::function<void(KdumpImage&)> mutate;
    std::string_view diagnostics;
  };
  const auto set = [](std::string_view field, uint64_t value) {
    return [field, value](KdumpImage& image) { image.Set(field, value); };
  };
  const Case cases[] = {
      {"notes beyond the file", set("offset_note", UINT64_MAX - 8), "note.truncated"},
      {"notes of 2^64 - 1 bytes",
       [](KdumpImage& i) { i.Set("offset_note", i.bytes.size() - 8).Set("size_note", UINT64_MAX); },
       "note.truncated note.malformed"},
      {"no notes", set("size_note", 0), ""},
      {"vmcoreinfo beyond the file, with a note", set("size_vmcoreinfo", UINT64_MAX), ""},
      {"vmcoreinfo beyond the file, without",
       [](KdumpImage& i) {
         i.Set("size_note", 0).Set("size_vmcoreinfo", UINT64_MAX).Set("offset_vmcoreinfo", ~0ull);
       },
       "note.truncated"},
      {"eraseinfo beyond the file",
       [](KdumpImage& i) { i.Set("offset_eraseinfo", i.bytes.size()).Set("size_eraseinfo", 1); },
       "kdump.erased kdump.eraseinfo-truncated"},
      {"eraseinfo that wraps",
       [](KdumpImage& i) { i.Set("offset_eraseinfo", 16).Set("size_eraseinfo", UINT64_MAX); },
       "kdump.erased kdump.eraseinfo-truncated"},
      {"status incomplete", set("status", 8), "kdump.incomplete"},
      {"max_mapnr differs, 64", set("max_mapnr_64", 60), "kdump.max-mapnr"},
      {"max_mapnr differs, 32", set("max_mapnr", 60), "kdump.max-mapnr"},
      {"stored, not RAM", [](KdumpImage& i) { i.bytes[i.bitmap1] ^= std::byte{0x20}; },
       "kdump.bitmaps-disagree"},
  };
  for (const Case& c : cases) {
    KdumpImage image = Base().Build();
    c.mutate(image);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image.bytes, sink);
    INFO(c.name);
    REQUIRE(dump);
    CHECK(Ids(sink) == c.diagnostics);
    CHECK(sink.incomplete() == !c.diagnostics.empty());
    CHECK(ReadPageAt(*dump, kTestPage).bytes == PatternPage(1));
    CHECK(ReadPageAt(*dump, kFrame * kTestPage).bytes == PatternPage(2));
    CHECK(ReadPageAt(*dump, 9 * kTestPage).bytes == PatternPage(3));
  }
}

TEST_CASE("kdump: a set bit without a descriptor reads what lies there, never as data") {
  // One page more than there are descriptors: the last index falls into the page data.
  KdumpImage image = Base().Build();
  image.bytes[image.bitmap1 + 4] |= std::byte{1};
  image.bytes[image.bitmap2 + 4] |= std::byte{1};
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  CHECK_FALSE(IsReadable(StateAt(*dump, 32 * kTestPage)));
}

TEST_CASE("kdump: the last pages being one shared zero page does not hide a cut") {
  KdumpBuilder builder;
  builder.max_mapnr = 16384;
  builder.AddPage(0, std::vector<std::byte>(kTestPage));
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib);
  for (uint64_t frame = 2; frame < 10000; ++frame) builder.AddStored(frame, {}, 0);
  KdumpImage image = builder.Build();
  for (uint64_t index = 2; index < 10000; ++index) {
    image.SetDescriptor(index, "offset", image.data).SetDescriptor(index, "size", kTestPage);
  }
  DiagnosticSink whole;
  REQUIRE(OpenBytes(image.bytes, whole));
  CHECK(Ids(whole) == "");
  image.bytes.pop_back();
  DiagnosticSink cut;
  const Result<Dump> dump = OpenBytes(image.bytes, cut);
  REQUIRE(dump);
  CHECK(Ids(cut) == "kdump.truncated");
  CHECK(StateAt(*dump, kTestPage) == ByteState::kTruncated);
  CHECK(StateAt(*dump, 9999 * kTestPage) == ByteState::kData);
}

}  // namespace
}  // namespace dmaudit
