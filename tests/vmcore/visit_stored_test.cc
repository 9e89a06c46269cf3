// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "support/dump_builder.h"
#include "support/fake_memory.h"
#include "support/sparse_source.h"

namespace dmaudit {
namespace {

using namespace test;

using Stored = std::vector<std::pair<uint64_t, uint32_t>>;  // page, bytes

Stored StoredOf(const PhysicalMemory& memory, size_t limit = SIZE_MAX) {
  Stored out;
  memory.VisitStored([&](PhysAddr base, uint32_t size) {
    out.emplace_back(base.value(), size);
    return out.size() < limit;
  });
  return out;
}

Stored StoredOf(std::vector<std::byte> bytes, size_t limit = SIZE_MAX) {
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(std::move(bytes), sink);
  REQUIRE(dump);
  return StoredOf(*dump->memory, limit);
}

TEST_CASE("kdump: stored pages come with the size of their descriptor") {
  KdumpBuilder builder;
  builder.AddPage(2, PatternPage(1)).AddPage(3, PatternPage(2), PageCodec::kZlib);
  builder.AddExcluded(4).AddLost(5).AddPage(9, PatternPage(3), PageCodec::kZstd);
  const KdumpImage image = builder.Build();
  const auto zlib = static_cast<uint32_t>(Compress(PageCodec::kZlib, PatternPage(2)).size());
  const auto zstd = static_cast<uint32_t>(Compress(PageCodec::kZstd, PatternPage(3)).size());
  const Stored expected = {{0x2000, 4096}, {0x3000, zlib}, {0x9000, zstd}};
  CHECK(StoredOf(image.bytes) == expected);
  CHECK(StoredOf(image.bytes, 2) == Stored{{0x2000, 4096}, {0x3000, zlib}});

  KdumpImage lying = image;
  lying.SetDescriptor(0, "size", UINT32_MAX);  // a hint: whoever decodes the page refuses it
  CHECK(StoredOf(lying.bytes)[0] == std::pair<uint64_t, uint32_t>{0x2000, UINT32_MAX});
}

TEST_CASE("kdump: directories at the size that is read at once, below and above") {
  for (const uint64_t count : {2729U, 2730U, 2731U, 5461U}) {
    KdumpBuilder builder;
    builder.max_mapnr = 16384;
    // Two runs, so that a group ends inside one.
    for (uint64_t i = 0; i < count; ++i) {
      builder.AddStored(i < 100 ? i : 100 + i, std::vector<std::byte>(1 + i % 7), 1);
    }
    const Stored stored = StoredOf(builder.Build().bytes);
    REQUIRE(stored.size() == count);
    for (uint64_t i = 0; i < count; ++i) {
      CHECK(stored[i].first == (i < 100 ? i : 100 + i) * kTestPage);
      CHECK(stored[i].second == 1 + i % 7);
    }
  }
}

TEST_CASE("kdump: a directory that is cut shows the pages before the cut") {
  KdumpBuilder builder;
  for (uint64_t i = 0; i < 4; ++i) builder.AddPage(i, PatternPage(i));
  const KdumpImage image = builder.Build();
  for (const uint64_t end : {23U, 24U, 25U, 47U, 48U}) {
    std::vector<std::byte> cut = image.bytes;
    cut.resize(image.descriptors + end);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(cut, sink);
    if (dump) CHECK(StoredOf(*dump->memory).size() == end / 24);
  }
}

TEST_CASE("ELF: pages with bytes in the file, whatever else a segment claims") {
  ElfBuilder builder;
  std::vector<std::byte> three;
  for (uint64_t i = 0; i < 3; ++i) {
    const auto page = PatternPage(i);
    three.insert(three.end(), page.begin(), page.end());
  }
  builder.AddLoad(0x100000, three, uint64_t{1} << 60);
  CHECK(StoredOf(builder.Build().bytes) ==
        Stored{{0x100000, 4096}, {0x101000, 4096}, {0x102000, 4096}});
  CHECK(StoredOf(builder.Build().bytes, 1) == Stored{{0x100000, 4096}});
}

TEST_CASE("ELF: a page that two segments share comes once, one with a gap not at all") {
  const std::vector<std::byte> half(2048);
  ElfBuilder shared;
  shared.AddLoad(0x100000, half).AddLoad(0x100800, half);
  CHECK(StoredOf(shared.Build().bytes) == Stored{{0x100000, 4096}});
  ElfBuilder gap;
  gap.AddLoad(0x100000, half).AddLoad(0x101800, half);
  CHECK(StoredOf(gap.Build().bytes).empty());
}

TEST_CASE("by default every readable page counts as a whole one") {
  FakeMemory memory;
  memory.AddZeroPage(PhysAddr(0x1000));
  memory.AddZeroPage(PhysAddr(0x2000));
  memory.SetPageState(PhysAddr(0x2000), ByteState::kExcluded);
  memory.AddZeroPage(PhysAddr(UINT64_MAX - 4095));
  CHECK(StoredOf(memory) == Stored{{0x1000, 4096}, {UINT64_MAX - 4095, 4096}});
}

TEST_CASE("raw: what lies in a hole of the file is not stored, and is read all the same") {
  constexpr uint64_t kSize = uint64_t{1} << 43;
  constexpr uint64_t kPage = uint64_t{5} << 40;
  auto source = std::make_shared<SparseSource>(kSize);
  source->Write(kPage + 100, PatternPage(1));  // of two pages
  source->Write(kSize - 1, {std::byte{1}});
  DiagnosticSink sink;
  OpenOptions options;
  options.raw_base = PhysAddr(0);
  const Result<Dump> dump = OpenDump(source, "dump", sink, options);
  REQUIRE(dump);
  const Stored stored = StoredOf(*dump->memory);
  // It is asked once in 256 pages.
  REQUIRE(stored.size() == 256 + 1);
  CHECK(stored[0].first == kPage);
  CHECK(stored[1].first == kPage + kTestPage);
  CHECK(stored[255].first == kPage + 255 * kTestPage);
  CHECK(stored[256].first == kSize - kTestPage);
  CHECK(StateAt(*dump, kPage - kTestPage) == ByteState::kData);
}

TEST_CASE("ELF: holes inside, before and behind the data of segments off page borders") {
  // Two segments over one file position each, the second beginning inside a page.
  ElfBuilder builder;
  builder.AddLoad(0x10000, std::vector<std::byte>(0x400000, std::byte{1}));
  builder.AddLoad(0x800800, std::vector<std::byte>(0x400000, std::byte{2}));
  const ElfImage image = builder.Build();
  const uint64_t first = image.GetSegment(1, "p_offset");
  const uint64_t second = image.GetSegment(2, "p_offset");
  const auto bytes_at = [&](uint64_t at, uint64_t size) {
    return std::vector<std::byte>(image.bytes.begin() + static_cast<ptrdiff_t>(at),
                                  image.bytes.begin() + static_cast<ptrdiff_t>(at + size));
  };
  auto source = std::make_shared<SparseSource>(image.bytes.size());
  source->Write(0, bytes_at(0, 4096));  // headers
  source->Write(first + 0x300000, bytes_at(first + 0x300000, 16));
  source->Write(second + 0x3ff000, bytes_at(second + 0x3ff000, 16));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenDump(source, "dump", sink);
  REQUIRE(dump);
  const Stored stored = StoredOf(*dump->memory);
  const auto has = [&](uint64_t page) {
    return std::find(stored.begin(), stored.end(), std::pair<uint64_t, uint32_t>{page, 4096}) !=
           stored.end();
  };
  CHECK(has(0x310000));
  CHECK(has(0xbff000));
  CHECK_FALSE(has(0x30f000));
  CHECK_FALSE(has(0x900000));
  CHECK(std::is_sorted(stored.begin(), stored.end()));
}

}  // namespace
}  // namespace dmaudit
