// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/convert.h"

#include <doctest/doctest.h>

#include <array>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "support/dump_builder.h"
#include "support/lime_builder.h"
#include "support/mini_kdump.h"
#include "support/temp_dir.h"
#include "vmcore/memory/page_digest.h"

namespace dmaudit {
namespace {

using namespace test;

std::vector<PageDigest> DigestsOf(const Dump& dump) {
  std::vector<PageDigest> out;
  VisitPageDigests(*dump.memory, 1, 100000, [&](const PageDigest& digest) {
    out.push_back(digest);
    return true;
  });
  return out;
}

Result<Dump> OpenBack(const std::string& path, DiagnosticSink& sink) {
  Result<std::vector<Dump>> dumps = OpenDumps({path}, sink);
  REQUIRE(dumps);
  REQUIRE(dumps->size() == 1);
  return std::move(dumps->front());
}

constexpr std::array kCodecs = {StoreCodec::kRaw, StoreCodec::kZlib, StoreCodec::kLzo,
                                StoreCodec::kSnappy, StoreCodec::kZstd};

// Page, state and, where known, bytes are the same.
void CheckSame(const Dump& before, const Dump& after) {
  const std::vector<PageDigest> a = DigestsOf(before);
  const std::vector<PageDigest> b = DigestsOf(after);
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(a[i].frame);
    CHECK(a[i].frame == b[i].frame);
    CHECK(a[i].state == b[i].state);
    if (a[i].readable()) CHECK(a[i].crc32 == b[i].crc32);
  }
  CHECK(RamOf(before) == RamOf(after));
}

KdumpBuilder EveryState() {
  KdumpBuilder builder;
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib);
  builder.AddExcluded(2);
  builder.AddPage(3, std::vector<std::byte>(kTestPage));
  builder.AddLost(5);
  builder.AddStored(7, std::vector<std::byte>(9), 1);  // no zlib stream
  builder.AddPage(8, std::vector<std::byte>(kTestPage));
  builder.AddPage(9, PatternPage(9), PageCodec::kLzo);
  builder.AddPage(63, PatternPage(63));
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=6.1.0-test\n");
  return builder;
}

TEST_CASE("every state comes out as it went in, with every codec and any number of threads") {
  const TempDir dir;
  KdumpImage image = EveryState().Build();
  image.bytes.resize(image.bytes.size() - kTestPage);  // page 63 is cut off
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  for (const StoreCodec codec : kCodecs) {
    for (const unsigned threads : {1u, 3u}) {
      const Result<ConvertSummary> summary =
          ConvertToKdump(*dump, {}, {codec, 1, threads, nullptr}, dir.File("out"));
      REQUIRE(summary);
      CHECK(summary->pages.pages == 7);
      CHECK(summary->pages.lost == 1);
      CHECK(summary->pages.corrupt == 1);
      CHECK(summary->pages.truncated == 1);
      CHECK(summary->partial_pages == 0);
      DiagnosticSink again;
      const Result<Dump> result = OpenBack(dir.File("out"), again);
      CheckSame(*dump, *result);
      // Without decoding a page, too.
      CHECK(result->memory->PageStateHint(PhysAddr(5 * kTestPage)) == ByteState::kLost);
      CHECK(result->memory->PageStateHint(PhysAddr(7 * kTestPage)) == ByteState::kCorrupt);
      CHECK(result->memory->PageStateHint(PhysAddr(63 * kTestPage)) == ByteState::kTruncated);
      CHECK(result->info.incomplete);
      REQUIRE(result->notes.size() == 1);
      CHECK(result->notes[0].descriptor == dump->notes[0].descriptor);
    }
  }
}

TEST_CASE("the name of a 32-bit machine does not make a copy's headers 32 bits wide") {
  const TempDir dir;
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(EveryState().Build().bytes, sink);
  REQUIRE(dump);
  for (const char* machine : {"ppc", "s390", "armv7l", "i686", "s390x", "mips"}) {
    CAPTURE(machine);
    for (const uint32_t level : {0u, 1u, 31u}) {
      Result<Dump> original = OpenBytes(EveryState().Build().bytes, sink);
      REQUIRE(original);
      original->info.dump_level = level;
      original->notes.clear();
      KdumpDescription header;
      header.machine = machine;
      REQUIRE(ConvertToKdump(*original, header, {}, dir.File("out")));
      DiagnosticSink again;
      CheckSame(*dump, *OpenBack(dir.File("out"), again));
    }
  }
}

TEST_CASE("the level of the filter is the original's: makedumpfile applies it again") {
  const TempDir dir;
  const auto level_of = [&](const std::vector<std::byte>& bytes) {
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(bytes, sink);
    REQUIRE(dump);
    REQUIRE(ConvertToKdump(*dump, {}, {}, dir.File("out")));
    DiagnosticSink again;
    return OpenBack(dir.File("out"), again)->info.dump_level;
  };
  KdumpImage image = EveryState().Build();
  CHECK(level_of(image.bytes) == 31);
  CHECK(level_of(image.Set("dump_level", 17).bytes) == 17);
  CHECK(level_of(image.Set("dump_level", 0x1234).bytes) == 0);  // nobody's
  ElfBuilder elf;
  elf.AddLoad(0x1000, PatternPage(1), 0x2000);
  CHECK(level_of(elf.Build().bytes) == 0);
}

TEST_CASE("the bytes written do not depend on the number of threads") {
  const TempDir dir;
  KdumpBuilder builder;
  builder.max_mapnr = 2000;
  for (uint64_t frame = 0; frame < 1500; ++frame) builder.AddPage(frame, PatternPage(frame % 50));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  const auto bytes = [&](unsigned threads) {
    REQUIRE(ConvertToKdump(*dump, {}, {StoreCodec::kZstd, 1, threads, nullptr}, dir.File("out")));
    std::ifstream in(dir.File("out"), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string one = bytes(1);
  CHECK(one == bytes(2));
  CHECK(one == bytes(5));
}

// Pages that compress in every degree: zeros, patterns, words of few values, noise.
std::vector<std::byte> MixedPages(uint64_t count) {
  std::mt19937_64 random(5);
  std::vector<std::byte> bytes;
  for (uint64_t i = 0; i < count; ++i) {
    std::vector<std::byte> page(kTestPage);
    if (i % 5 == 1) page = PatternPage(i);
    if (i % 5 > 1) {
      const uint64_t mask = i % 5 == 2 ? UINT64_MAX : 0x0f0f'0f0f'0f0f'0f0f;
      for (size_t at = 0; at < page.size(); at += 8) StoreUnchecked(page, at, random() & mask);
    }
    bytes.insert(bytes.end(), page.begin(), page.end());
  }
  return bytes;
}

TEST_CASE("pages that lie together are read together, and less effort loses nothing") {
  const TempDir dir;
  ElfBuilder builder;
  builder.padding = 77;
  builder.AddLoad(0x1000, MixedPages(600));
  std::vector<std::byte> cut = MixedPages(70);
  cut.resize(cut.size() - 0x800);
  builder.AddLoad(0x400000, cut, 0x60000);
  builder.AddLoad(0x500000, MixedPages(1));
  DiagnosticSink sink;
  std::vector<std::byte> image = builder.Build().bytes;
  image.resize(image.size() - 0x1234);  // the last load and the end of the one before
  const Result<Dump> dump = OpenBytes(std::move(image), sink);
  REQUIRE(dump);
  const auto bytes = [&](unsigned threads, bool fast) {
    const Result<ConvertSummary> summary =
        ConvertToKdump(*dump, {}, {StoreCodec::kZstd, 1, threads, nullptr, fast}, dir.File("out"));
    REQUIRE(summary);
    DiagnosticSink again;
    const Result<Dump> result = OpenBack(dir.File("out"), again);
    for (uint64_t page = 0; page < 0x600; ++page) {
      const Page a = ReadPageAt(*dump, page * kTestPage);
      const Page b = ReadPageAt(*result, page * kTestPage);
      CHECK(a.readable() == b.readable());
      if (a.readable()) CHECK(a.bytes == b.bytes);
    }
    std::ifstream in(dir.File("out"), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string fast = bytes(1, true);
  CHECK(fast == bytes(3, true));
  CHECK(bytes(1, false).size() < fast.size());
}

TEST_CASE("only what is all data and lies together is read together") {
  ElfBuilder builder;
  builder.padding = 5;
  builder.AddLoad(0x2000, MixedPages(4), 0x6000);
  builder.AddLoad(0x8000, MixedPages(2));
  DiagnosticSink sink;
  std::vector<std::byte> image = builder.Build().bytes;
  image.resize(image.size() - 1);
  const Result<Dump> dump = OpenBytes(std::move(image), sink);
  REQUIRE(dump);
  const auto context = dump->memory->MakeContext();
  std::vector<std::byte> out(4 * kTestPage);
  CHECK(dump->memory->ReadTogether(PhysAddr(0x2000), *context, out));
  CHECK(out == MixedPages(4));
  for (const uint64_t address : {0x0u, 0x1000u, 0x3000u, 0x6000u, 0x7000u, 0x8000u, 0xf000u}) {
    CHECK_FALSE(dump->memory->ReadTogether(PhysAddr(address), *context, out));
  }
  const auto two = std::span(out).first(2 * kTestPage);
  CHECK(dump->memory->ReadTogether(PhysAddr(0x4000), *context, two));
  CHECK_FALSE(dump->memory->ReadTogether(PhysAddr(0x8000), *context, two));
}

TEST_CASE("a page known in part is unknown as a whole, and counted") {
  const TempDir dir;
  ElfBuilder builder;
  std::vector<std::byte> content = PatternPage(1);
  content.resize(kTestPage + 0x800);
  builder.AddLoad(0x1000, content, 0x4000);
  builder.AddLoad(0x7c00, std::vector<std::byte>(0x400, std::byte{9}));
  builder.AddLoad(0x9000, std::vector<std::byte>(0x800, std::byte{1}));
  builder.AddLoad(0x9800, std::vector<std::byte>(0x800, std::byte{2}));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  const Result<ConvertSummary> summary = ConvertToKdump(*dump, {}, {}, dir.File("out"));
  REQUIRE(summary);
  CHECK(summary->partial_pages == 2);
  DiagnosticSink again;
  const Result<Dump> result = OpenBack(dir.File("out"), again);
  CHECK(StateAt(*result, 0x1000) == ByteState::kData);
  for (const uint64_t page : {0x2000u, 0x3000u, 0x4000u, 0x7000u}) {
    CHECK(StateAt(*result, page) == ByteState::kExcluded);
  }
  CHECK(ReadPageAt(*result, 0x9000).bytes == ReadPageAt(*dump, 0x9000).bytes);
}

TEST_CASE("the page that memory ends in is damaged where its bytes are, not excluded") {
  const TempDir dir;
  for (const bool damaged : {false, true}) {
    CAPTURE(damaged);
    std::vector<std::byte> content = PatternPages(1, 2);
    content.resize(kTestPage + 0x800);
    std::vector<std::byte> image;
    AppendAvmlBlock(image, 0x1000, content, kTestPage);
    constexpr size_t kLength = 8;  // behind the last chunk
    if (damaged) image[image.size() - kLength - 1] ^= std::byte{1};
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(std::move(image), sink);
    REQUIRE(dump);
    const ByteState first = ReadPageAt(*dump, 0x2000).extents[0].state;
    CHECK(first == (damaged ? ByteState::kCorrupt : ByteState::kData));
    const Result<ConvertSummary> summary = ConvertToKdump(*dump, {}, {}, dir.File("out"));
    REQUIRE(summary);
    CHECK(summary->pages.corrupt == (damaged ? 1 : 0));
    CHECK(summary->partial_pages == (damaged ? 0 : 1));
    DiagnosticSink again;
    const Result<Dump> result = OpenBack(dir.File("out"), again);
    CHECK(ReadPageAt(*result, 0x1000).bytes == PatternPage(1));
    CHECK(StateAt(*result, 0x2000) == (damaged ? ByteState::kCorrupt : ByteState::kExcluded));
  }
}

TEST_CASE("a page known in part is counted among any number of damaged ones") {
  const TempDir dir;
  for (const uint64_t pages : {254u, 255u, 256u, 300u}) {
    CAPTURE(pages);
    KdumpBuilder builder;
    builder.max_mapnr = 512;
    for (uint64_t pfn = 0; pfn < pages + 20; ++pfn) {
      builder.AddPage(pfn, PatternPage(pfn), PageCodec::kRaw);
    }
    std::vector<std::byte> bytes = builder.Build().bytes;
    bytes.resize(bytes.size() - pages * kTestPage + 100);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(std::move(bytes), sink);
    REQUIRE(dump);
    const Result<ConvertSummary> summary = ConvertToKdump(*dump, {}, {}, dir.File("out"));
    REQUIRE(summary);
    CHECK(summary->pages.truncated == pages);
    CHECK(summary->partial_pages == 1);
  }
}

TEST_CASE("a long run of lost or cut pages comes out as it went in") {
  const TempDir dir;
  ElfBuilder builder;
  builder.AddLoad(0x100000, MixedPages(2), 600 * kTestPage);
  builder.AddLoad(0x800000, std::vector<std::byte>(400 * kTestPage, std::byte{7}));
  std::vector<std::byte> bytes = builder.Build().bytes;
  bytes.resize(bytes.size() - 390 * kTestPage - 100);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(std::move(bytes), sink);
  REQUIRE(dump);
  const Result<ConvertSummary> summary = ConvertToKdump(*dump, {}, {}, dir.File("out"));
  REQUIRE(summary);
  CHECK(summary->pages.truncated == 391);
  CHECK(summary->partial_pages == 1);
  DiagnosticSink again;
  const Result<Dump> result = OpenBack(dir.File("out"), again);
  CHECK(StateAt(*result, 0x100000) == ByteState::kData);
  for (uint64_t page = 0; page < 400; ++page) {
    const uint64_t base = 0x800000 + page * kTestPage;
    REQUIRE(StateAt(*result, base) == (page < 9 ? ByteState::kData : ByteState::kTruncated));
  }
}

TEST_CASE("more memory than a file of its size describes is refused before anything is written") {
  const TempDir dir;
  for (const bool more : {false, true}) {
    CAPTURE(more);
    ElfBuilder builder;
    builder.AddLoad(0, PatternPage(1));
    ElfImage image = builder.Build();
    const uint64_t most = ((uint64_t{16} << 20) + image.bytes.size()) * 8;
    image.SetSegment(1, "p_memsz", (most + (more ? 1 : 0)) * kTestPage);
    DiagnosticSink sink;
    Result<Dump> dump = OpenBytes(image.bytes, sink);
    REQUIRE(dump);
    dump->info.file_size = image.bytes.size();
    const Result<ConvertSummary> summary = ConvertToKdump(*dump, {}, {}, dir.File("out"));
    CHECK(summary.has_value() != more);
    if (more) CHECK(summary.error().message.find("pages of memory") != std::string::npos);
  }
}

TEST_CASE("memory that no kdump file reaches is one reason, which names the dump and the way out") {
  const TempDir dir;
  ElfBuilder builder;
  builder.AddLoad(kMaxKdumpAddress, PatternPage(1));
  DiagnosticSink sink;
  Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  dump->info.paths = {"vmcore"};
  const Result<ConvertSummary> summary = ConvertToKdump(*dump, {}, {}, dir.File("out"));
  REQUIRE_FALSE(summary);
  CHECK(summary.error().message.starts_with("vmcore: memory reaches physical address 0x"));
  CHECK(summary.error().message.find("--format elf") != std::string::npos);
  CHECK_FALSE(std::ifstream(dir.File("out")).good());
}

TEST_CASE("an interrupted conversion leaves no file, and neither does one that cannot start") {
  const TempDir dir;
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(EveryState().Build().bytes, sink);
  REQUIRE(dump);
  const auto stop = [](uint64_t, uint64_t) { return false; };
  CHECK_FALSE(ConvertToKdump(*dump, {}, {StoreCodec::kZstd, 1, 2, stop}, dir.File("out")));
  CHECK_FALSE(ConvertToKdump(*dump, {}, {StoreCodec::kZstd, 0, 2, nullptr}, dir.File("out")));
  CHECK(dir.Entries() == 0);
}

TEST_CASE("a list of erased symbols comes along where readers look for it") {
  const TempDir dir;
  DiagnosticSink sink;
  Result<Dump> dump = OpenBytes(EveryState().Build().bytes, sink);
  REQUIRE(dump);
  const std::string text = "erase sym.member 8\n";
  const auto bytes = AsBytes(text);
  dump->notes.push_back({"ERASEINFO", 0, {bytes.begin(), bytes.end()}});
  REQUIRE(ConvertToKdump(*dump, {}, {}, dir.File("out")));
  const MiniKdump file(dir.File("out"));
  CHECK(file.Text(file.Sub(64), file.Sub(72)) == text);
}

}  // namespace
}  // namespace dmaudit
