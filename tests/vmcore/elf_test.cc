// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <functional>

#include "base/bytes.h"
#include "support/dump_builder.h"
#include "support/sparse_source.h"
#include "support/temp_dir.h"
#include "vmcore/write/convert.h"

namespace dmaudit {
namespace {

using namespace test;

std::vector<std::byte> Pages(uint64_t seed, size_t count) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < count; ++i) {
    const auto page = PatternPage(seed + i);
    bytes.insert(bytes.end(), page.begin(), page.end());
  }
  return bytes;
}

TEST_CASE("ELF: pages of a segment, what a filter dropped, and what is not described") {
  ElfBuilder builder;
  builder.AddLoad(0x100000, Pages(1, 2), 0x5000);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, 0x100000).bytes == PatternPage(1));
  CHECK(ReadPageAt(*dump, 0x101000).bytes == PatternPage(2));
  CHECK(StateAt(*dump, 0x101000) == ByteState::kData);
  CHECK(StateAt(*dump, 0x102000) == ByteState::kExcluded);
  CHECK(StateAt(*dump, 0x104000) == ByteState::kExcluded);
  CHECK(StateAt(*dump, 0x105000) == ByteState::kAbsent);
  CHECK(StateAt(*dump, 0xff000) == ByteState::kAbsent);
  CHECK(dump->memory->PageStateHint(PhysAddr(0x101000)) == ByteState::kData);
  CHECK(dump->memory->PageStateHint(PhysAddr(0x102000)) == ByteState::kExcluded);
  CHECK(dump->memory->PageStateHint(PhysAddr(0x105000)) == ByteState::kAbsent);
  CHECK(RamOf(*dump) == std::vector<PhysRange>{{PhysAddr(0x100000), PhysAddr(0x104fff)}});
  CHECK(dump->info.format == "ELF");
  CHECK_FALSE(dump->info.incomplete);
  CHECK(Ids(sink) == "");
}

TEST_CASE("ELF: the layouts of QEMU and makedumpfile") {
  ElfBuilder builder;
  builder.program_headers = 192;  // QEMU: section headers in between, e_ehsize is 8
  builder.padding = 0x48c;        // makedumpfile: offsets aligned to nothing
  builder.notes = MakeNote("QEMU", 0, "state");
  builder.AddLoad(0, Pages(1, 1)).AddLoad(0x100000, Pages(2, 1));
  ElfImage image = builder.Build();
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, 0).bytes == PatternPage(1));
  CHECK(ReadPageAt(*dump, 0x100000).bytes == PatternPage(2));
  CHECK(dump->info.format_detail == "2 segments, written by QEMU");
  CHECK(dump->info.virtual_segments.empty());
  REQUIRE(dump->notes.size() == 1);
  CHECK(dump->notes[0].name == "QEMU");
  CHECK(Ids(sink) == "");
}

TEST_CASE("ELF: a block that QEMU was told to leave out") {
  ElfBuilder builder;
  builder.AddLoad(0, Pages(1, 1)).AddLoad(0x100000, {}, 0x2000);
  ElfImage image = builder.Build();
  image.SetSegment(2, "p_offset", UINT64_MAX);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  CHECK(StateAt(*dump, 0x100000) == ByteState::kExcluded);
  CHECK(Ids(sink) == "");
  // Its offset of -1 says nothing about how far the file should reach.
  const std::string end = fmt::format("reach to {:#x},", image.bytes.size());
  image.bytes.pop_back();
  REQUIRE(OpenBytes(image.bytes, sink));
  REQUIRE(Ids(sink) == "elf.truncated");
  CHECK(sink.diagnostics()[0].message.find(end) != std::string::npos);
}

TEST_CASE("ELF: segments that state a kernel virtual address") {
  ElfBuilder builder;
  builder.AddLoad(0x1000000, Pages(1, 1), 0, 0xffffffff81000000);
  builder.AddLoad(0x100000, Pages(2, 1), 0, 0xff11000000100000);
  builder.AddLoad(0x200000, Pages(3, 1), 0, 0x200000);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  REQUIRE(dump->info.virtual_segments.size() == 2);
  CHECK(dump->info.virtual_segments[0].virtual_address == 0xffffffff81000000);
  CHECK(dump->info.virtual_segments[0].range ==
        PhysRange{PhysAddr(0x1000000), PhysAddr(0x1000fff)});
}

TEST_CASE("ELF: a page in several states") {
  ElfBuilder builder;
  std::vector<std::byte> part(0x300, std::byte{0xaa});
  builder.AddLoad(0x10200, part, 0x500);  // data 200..4ff, excluded 500..6ff
  builder.AddLoad(0x10c00, std::vector<std::byte>(0x400, std::byte{0xbb}));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  const Page page = ReadPageAt(*dump, 0x10000);
  const std::vector<PageExtent> want = {{0, 0x200, ByteState::kAbsent},
                                        {0x200, 0x300, ByteState::kData},
                                        {0x500, 0x200, ByteState::kExcluded},
                                        {0x700, 0x500, ByteState::kAbsent},
                                        {0xc00, 0x400, ByteState::kData}};
  CHECK(page.extents == want);
  CHECK(page.bytes[0x4ff] == std::byte{0xaa});
  CHECK(page.bytes[0x500] == std::byte{0});
  CHECK(page.bytes[0xc00] == std::byte{0xbb});
  CHECK(dump->memory->PageStateHint(PhysAddr(0x10000)) == ByteState::kAbsent);
  CHECK(RamOf(*dump).size() == 2);
}

TEST_CASE("ELF: of two segments the first in the file wins, and a difference is said") {
  ElfBuilder builder;
  builder.AddLoad(0x1000, Pages(1, 2)).AddLoad(0x2000, Pages(2, 1));  // the same bytes twice
  ElfImage image = builder.Build();
  DiagnosticSink same;
  REQUIRE(OpenBytes(image.bytes, same));
  CHECK(Ids(same) == "");
  image.bytes.back() ^= std::byte{1};
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  CHECK(Ids(sink) == "elf.segments-disagree");
  CHECK(sink.incomplete());
  CHECK(ReadPageAt(*dump, 0x2000).bytes == PatternPage(2));
}

TEST_CASE("ELF: all of a copy is compared where it is read") {
  ElfBuilder builder;
  builder.AddLoad(0x100000, Pages(1, 200)).AddLoad(0x100000, Pages(1, 200));
  ElfImage image = builder.Build();
  image.bytes[image.bytes.size() - 195 * kTestPage + 17] ^= std::byte{1};  // of page 5
  DiagnosticSink opening;
  const Result<Dump> dump = OpenBytes(image.bytes, opening);
  REQUIRE(dump);
  CHECK(Ids(opening) == "");
  const auto ids = [&] {
    DiagnosticSink sink;
    ReportReadFaults(*dump, sink);
    return Ids(sink);
  };
  ReadPageAt(*dump, 0x104000);
  ReadPageAt(*dump, 0x106000);
  CHECK(ids() == "");
  CHECK_FALSE(HasReadFaults(*dump));
  // Several pages at once are read page by page.
  std::vector<std::byte> out(4 * kTestPage);
  CHECK_FALSE(dump->memory->ReadTogether(PhysAddr(0x104000), *dump->memory->MakeContext(), out));
  ReadPageAt(*dump, 0x105000);
  CHECK(ids() == "elf.segments-disagree");
  CHECK(HasReadFaults(*dump));
}

TEST_CASE("ELF: a copy that differs is found behind those that do not") {
  const auto ids = [](const std::function<void(ElfImage&)>& change) {
    ElfBuilder builder;
    builder.AddLoad(0x1000, Pages(1, 1)).AddLoad(0x1000, Pages(1, 1)).AddLoad(0x1000, Pages(1, 1));
    builder.AddLoad(0x1000, Pages(1, 1));
    ElfImage image = builder.Build();
    change(image);
    DiagnosticSink sink;
    REQUIRE(OpenBytes(image.bytes, sink));
    return Ids(sink);
  };
  const auto change_last = [](ElfImage& image) { image.bytes.back() ^= std::byte{1}; };
  CHECK(ids([](ElfImage&) {}) == "");
  CHECK(ids(change_last) == "elf.segments-disagree");
  // As QEMU with paging writes them: the same bytes by several names.
  CHECK(ids([&](ElfImage& image) {
          change_last(image);
          for (const uint64_t alias : {2u, 3u}) {
            image.SetSegment(alias, "p_offset", image.GetSegment(1, "p_offset"));
          }
        }) == "elf.segments-disagree");
}

TEST_CASE("ELF: a conversion of segments that disagree is marked") {
  const TempDir folder;
  for (const bool elf : {false, true}) {
    for (const bool differ : {false, true}) {
      CAPTURE(elf);
      CAPTURE(differ);
      ElfBuilder builder;
      builder.AddLoad(0x100000, Pages(1, 200)).AddLoad(0x100000, Pages(1, 200));
      ElfImage image = builder.Build();
      if (differ) image.bytes[image.bytes.size() - 195 * kTestPage + 17] ^= std::byte{1};
      DiagnosticSink sink;
      const Result<Dump> dump = OpenBytes(image.bytes, sink);
      REQUIRE(dump);
      const std::string path = folder.File("copy");
      if (elf) {
        REQUIRE(ConvertToElf(*dump, {}, {}, path));
      } else {
        REQUIRE(ConvertToKdump(*dump, {}, {}, path));
      }
      DiagnosticSink copied;
      const Result<std::vector<Dump>> copy = OpenDumps({path}, copied);
      REQUIRE(copy);
      CHECK(copy->front().info.incomplete == differ);
    }
  }
}

TEST_CASE("ELF: data of a later segment wins over what an earlier one lacks") {
  ElfBuilder builder;
  builder.AddLoad(0x1000, Pages(1, 1), 0x3000).AddLoad(0x2000, Pages(7, 1));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, 0x2000).bytes == PatternPage(7));
  CHECK(StateAt(*dump, 0x3000) == ByteState::kExcluded);
  CHECK(Ids(sink) == "");
}

TEST_CASE("ELF: tens of thousands of segments by extended numbering") {
  ElfBuilder builder;
  builder.extended_numbering = true;
  const uint64_t count = 70000;
  for (uint64_t i = 0; i < count; ++i) {
    std::vector<std::byte> bytes(4);
    StoreUnchecked<uint32_t>(bytes, 0, static_cast<uint32_t>(i));
    builder.AddLoad(0x2000 * (count - i), std::move(bytes));
  }
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  for (const uint64_t i : {uint64_t{0}, uint64_t{35000}, count - 1}) {
    CHECK(LoadUnchecked<uint32_t>(ReadPageAt(*dump, 0x2000 * (count - i)).bytes, 0) == i);
  }
  CHECK(RamOf(*dump).size() == count);
  CHECK(Ids(sink) == "");
}

TEST_CASE("ELF: a failing device is a corrupt stretch, not the end") {
  ElfBuilder builder;
  builder.AddLoad(0x1000, Pages(1, 2));
  const ElfImage image = builder.Build();
  auto source = std::make_shared<SparseSource>(image.bytes.size());
  source->Write(0, image.bytes);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenDump(source, "dump", sink);
  REQUIRE(dump);
  source->FailAt(image.bytes.size() - 1);
  CHECK(StateAt(*dump, 0x1000) == ByteState::kData);
  CHECK(StateAt(*dump, 0x2000) == ByteState::kCorrupt);
  CHECK(ReadPageAt(*dump, 0x2000).bytes == std::vector<std::byte>(kTestPage));
}

}  // namespace
}  // namespace dmaudit
