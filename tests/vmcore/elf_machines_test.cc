// SPDX-License-Identifier: GPL-2.0-or-later
// ELF vmcores of every width, byte order and machine show their pages; and what Xen writes does
// not.
#include <doctest/doctest.h>

#include "base/bytes.h"
#include "support/dump_builder.h"
#include "vmcore/container/notes.h"

namespace dmaudit {
namespace {

using namespace test;

TEST_CASE("ELF: both widths and byte orders, with and without extended numbering") {
  struct Case {
    bool wide;
    ByteOrder order;
    uint16_t machine;
    std::string_view name;
    std::string_view detail;
  };
  constexpr ByteOrder kLittle = ByteOrder::kLittle;
  constexpr ByteOrder kBig = ByteOrder::kBig;
  const Case cases[] = {
      {true, kLittle, 62, "x86_64", "2 segments"},
      {false, kLittle, 62, "x86_64", "2 segments, 32-bit headers"},  // kexec --elf32-core-headers
      {false, kLittle, 3, "i386", "2 segments, 32-bit headers"},
      {true, kLittle, 3, "i386", "2 segments"},  // QEMU, RAM beyond 4 GiB
      {true, kLittle, 183, "aarch64", "2 segments"},
      {false, kLittle, 40, "ARM", "2 segments, 32-bit headers"},
      {true, kBig, 21, "ppc64", "2 segments, big-endian"},
      {true, kLittle, 21, "ppc64le", "2 segments"},
      {false, kBig, 20, "ppc", "2 segments, 32-bit headers, big-endian"},
      {true, kBig, 22, "s390x", "2 segments, big-endian"},
      {true, kLittle, 243, "RISC-V", "2 segments"},
      {true, kLittle, 258, "LoongArch", "2 segments"},
      {true, kLittle, 0xffff, "machine 65535", "2 segments"},
  };
  for (const Case& c : cases) {
    for (const bool extended : {false, true}) {
      CAPTURE(c.name);
      CAPTURE(extended);
      ElfBuilder builder;
      builder.wide = c.wide;
      builder.order = c.order;
      builder.machine = c.machine;
      builder.extended_numbering = extended;
      builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=x\n", c.order);
      builder.AddLoad(0x100000, PatternPage(1), 0x2000).AddLoad(0x200000, PatternPage(2));
      ElfImage image = builder.Build();
      DiagnosticSink sink;
      const Result<Dump> dump = OpenBytes(image.bytes, sink);
      REQUIRE(dump);
      CHECK(dump->info.machine == c.name);
      CHECK(dump->info.format_detail == c.detail);
      CHECK(ReadPageAt(*dump, 0x100000).bytes == PatternPage(1));
      CHECK(StateAt(*dump, 0x101000) == ByteState::kExcluded);
      CHECK(ReadPageAt(*dump, 0x200000).bytes == PatternPage(2));
      CHECK(StateAt(*dump, 0x201000) == ByteState::kAbsent);
      REQUIRE(dump->notes.size() == 1);
      CHECK(AsText(dump->notes[0].descriptor) == "OSRELEASE=x\n");
      CHECK(Ids(sink) == "");
    }
  }
}

TEST_CASE("ELF: e_flags of machines that keep their ABI there say nothing of completeness") {
  for (const auto& [machine, incomplete] :
       {std::pair<uint16_t, bool>{62, true}, {183, true}, {21, false}, {243, false}}) {
    ElfBuilder builder;
    builder.machine = machine;
    builder.AddLoad(0x1000, PatternPage(1));
    ElfImage image = builder.Build();
    image.Set("e_flags", 1);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image.bytes, sink);
    REQUIRE(dump);
    CHECK(dump->info.incomplete == incomplete);
  }
}

TEST_CASE("ELF: 32-bit headers cut inside") {
  ElfBuilder builder;
  builder.wide = false;
  builder.AddLoad(0x1000, PatternPage(1));
  const ElfImage image = builder.Build();
  for (const size_t size : {size_t{16}, size_t{51}, size_t{52}, size_t{64 + 63}}) {
    DiagnosticSink sink;
    const Result<Dump> dump =
        OpenBytes({image.bytes.begin(), image.bytes.begin() + static_cast<ptrdiff_t>(size)}, sink);
    REQUIRE_FALSE(dump);
    CHECK(dump.error().code == ErrorCode::kMalformed);
  }
}

TEST_CASE("ELF: what Xen writes is refused by name") {
  for (const std::string_view name : {"Xen", "VMCOREINFO_XEN"}) {
    ElfBuilder builder;
    builder.notes = MakeNote(name, 0x1000001, "state");
    builder.AddLoad(0x1000, PatternPage(1));
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
    REQUIRE_FALSE(dump);
    CHECK(dump.error().code == ErrorCode::kUnsupported);
    CHECK(dump.error().message.find("Xen host") != std::string::npos);
  }

  // xl dump-core: no segments, one section header for the names of the sections.
  ElfBuilder builder;
  builder.AddLoad(0x1000, PatternPage(1));
  ElfImage image = builder.Build();
  image.Set("e_phnum", 0);
  const std::string names("\0.shstrtab\0.note.Xen\0.xen_pages\0", 32);
  const uint64_t sections = image.bytes.size();
  image.Set("e_shoff", sections).Set("e_shentsize", 64).Set("e_shnum", 1);
  image.bytes.resize(sections + 64);
  StoreUnchecked<uint64_t>(image.bytes, sections + 24, sections + 64);  // sh_offset
  StoreUnchecked<uint64_t>(image.bytes, sections + 32, names.size());   // sh_size
  for (const char c : names) image.bytes.push_back(static_cast<std::byte>(c));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE_FALSE(dump);
  CHECK(dump.error().code == ErrorCode::kUnsupported);
  CHECK(dump.error().message.find("Xen guest") != std::string::npos);
  image.bytes[sections + 64 + 22] = std::byte{'y'};  // ".yen_pages"
  CHECK(OpenBytes(image.bytes, sink).error().code == ErrorCode::kMalformed);
}

// The layout of /proc/kcore: vmalloc and modules have an address of the kernel's only.
ElfBuilder Kcore(uint64_t nowhere) {
  ElfBuilder builder;
  builder.notes = MakeNote("CORE", 4, "task");
  const auto more = MakeNote("VMCOREINFO", 0, "OSRELEASE=x\n");
  builder.notes.insert(builder.notes.end(), more.begin(), more.end());
  builder.AddLoad(0x1000000, PatternPage(1), 0, 0xffffffff81000000);
  builder.AddLoad(nowhere, PatternPage(66), 0, 0xffffc90000000000);
  builder.AddLoad(0x1000, PatternPage(2), 0, 0xffff888000001000);
  builder.AddLoad(0x100000, PatternPage(3), 0, 0xffff888000100000);
  builder.AddLoad(nowhere, PatternPage(67), 0, 0xffffffffc0000000);
  return builder;
}

TEST_CASE("ELF: /proc/kcore says that it is live, and vmalloc is nowhere in memory") {
  for (const uint64_t nowhere : {UINT64_MAX, uint64_t{0}}) {
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(Kcore(nowhere).Build().bytes, sink);
    REQUIRE(dump);
    CHECK(ReadPageAt(*dump, 0x1000000).bytes == PatternPage(1));
    CHECK(ReadPageAt(*dump, 0x1000).bytes == PatternPage(2));
    CHECK(ReadPageAt(*dump, 0x100000).bytes == PatternPage(3));
    CHECK(StateAt(*dump, 0) == ByteState::kAbsent);
    CHECK(RamOf(*dump).size() == 3);
    CHECK(dump->info.virtual_segments.size() == 3);
    CHECK(dump->info.format_detail == "5 segments, live memory of the running kernel");
    CHECK(Ids(sink) == "elf.live elf.no-physical-address elf.no-physical-address");
    CHECK(sink.incomplete());
  }
  // A first range of RAM at 0 is where the direct map has it.
  ElfBuilder builder = Kcore(0);
  builder.AddLoad(0, PatternPage(9), 0, 0xffff888000000000);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, 0).bytes == PatternPage(9));
}

TEST_CASE("ELF: /proc/kcore of a kernel that states no physical addresses is refused") {
  for (const uint64_t nowhere : {UINT64_MAX, uint64_t{0}}) {
    ElfBuilder builder;
    builder.notes = MakeNote("CORE", 4, "task");
    builder.AddLoad(nowhere, PatternPage(1), 0, 0xffff888000001000);
    builder.AddLoad(nowhere, PatternPage(2), 0, 0xffffc90000000000);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
    REQUIRE_FALSE(dump);
    CHECK(dump.error().code == ErrorCode::kUnsupported);
    CHECK(dump.error().message.find("physical addresses") != std::string::npos);
  }
}

TEST_CASE("ELF: notes of every kind, and PRSTATUS of any size, leave the dump readable") {
  ElfBuilder builder;
  std::vector<std::byte> all;
  const auto add = [&all](std::string_view name, uint32_t type, size_t size) {
    const auto note = MakeNote(name, type, std::string(size, 'x'));
    all.insert(all.end(), note.begin(), note.end());
  };
  for (const unsigned size : {0u, 1u, 144u, 335u, 336u, 337u, 504u}) add("CORE", 1, size);
  add("QEMU", 0, 440);
  add("QEMU", 0, 3);
  add("LINUX", 0x700, 5000);  // VMCOREDD
  add("ERASEINFO", 0, 40);
  add("VBCORE", 0xb00, 24);
  add("SNAP", 4, 100);
  add("", 7, 4);
  add("VMCOREINFO", 0, 16);
  builder.notes = all;
  builder.AddLoad(0x1000, PatternPage(1));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  CHECK(dump->notes.size() == 15);
  CHECK(ReadPageAt(*dump, 0x1000).bytes == PatternPage(1));
  CHECK(Ids(sink) == "elf.erased");
}

TEST_CASE("ELF: note segments that all point at the same bytes share one budget") {
  ElfBuilder builder;
  builder.notes = MakeNote("CORE", 1, std::string(1000, 'x'));
  builder.AddLoad(0x1000, PatternPage(1));
  for (int i = 0; i < 1000; ++i) builder.AddLoad(0x2000, {});
  ElfImage image = builder.Build();
  for (uint64_t i = 2; i < 1002; ++i) {
    image.SetSegment(i, "p_type", 4);
    image.SetSegment(i, "p_offset", image.GetSegment(0, "p_offset"));
    image.SetSegment(i, "p_filesz", uint64_t{1} << 20);
  }
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  CHECK(dump->notes.size() <= kMaxNotes);
  CHECK(Ids(sink).find("note.budget") != std::string::npos);
}

}  // namespace
}  // namespace dmaudit
