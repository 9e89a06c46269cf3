// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <functional>

#include "support/dump_builder.h"

namespace dmaudit {
namespace {

using namespace test;

ElfBuilder Base() {
  ElfBuilder builder;
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=x\n");
  builder.AddLoad(0x100000, PatternPage(1)).AddLoad(0x200000, PatternPage(2));
  return builder;
}

std::function<void(ElfImage&)> Set(std::string_view field, uint64_t value) {
  return [field, value](ElfImage& image) { image.Set(field, value); };
}

std::function<void(ElfImage&)> SetSegment(uint64_t index, std::string_view field, uint64_t value) {
  return [index, field, value](ElfImage& image) { image.SetSegment(index, field, value); };
}

TEST_CASE("ELF: a header that cannot be used is one error that names the file") {
  struct Case {
    std::string_view name;
    std::function<void(ElfImage&)> mutate;
    ErrorCode code;
    std::string_view says;
  };
  constexpr ErrorCode kBad = ErrorCode::kMalformed;
  constexpr ErrorCode kOther = ErrorCode::kUnsupported;
  const Case cases[] = {
      {"class 0", Set("ei_class", 0), kBad, "class"},
      {"byte order 0", Set("ei_data", 0), kBad, "byte order"},
      {"a kernel image", Set("e_type", 2), kOther, "not a vmcore"},
      {"a shared object", Set("e_type", 3), kOther, "not a vmcore"},
      {"a module", Set("e_type", 1), kOther, "not a vmcore"},
      {"type 0", Set("e_type", 0), kOther, "not a vmcore"},
      {"e_phnum 0", Set("e_phnum", 0), kBad, "no program headers"},
      {"e_phnum beyond the file", Set("e_phnum", 0xfffe), kBad, "do not fit"},
      {"PN_XNUM without section headers", Set("e_phnum", 0xffff), kBad, "PN_XNUM"},
      {"PN_XNUM with section header 0 beyond the file",
       [](ElfImage& i) { i.Set("e_phnum", 0xffff).Set("e_shoff", i.bytes.size() - 63); }, kBad,
       "PN_XNUM"},
      {"PN_XNUM with section headers nowhere",
       [](ElfImage& i) { i.Set("e_phnum", 0xffff).Set("e_shoff", UINT64_MAX); }, kBad, "PN_XNUM"},
      {"e_phentsize 0", Set("e_phentsize", 0), kBad, "e_phentsize"},
      {"e_phentsize 55", Set("e_phentsize", 55), kBad, "e_phentsize"},
      {"e_phentsize 57", Set("e_phentsize", 57), kBad, "e_phentsize"},
      {"e_phoff at the end", [](ElfImage& i) { i.Set("e_phoff", i.bytes.size()); }, kBad,
       "do not fit"},
      {"e_phoff that wraps", Set("e_phoff", UINT64_MAX - 55), kBad, "do not fit"},
      {"no memory at all",
       [](ElfImage& i) { i.SetSegment(1, "p_type", 0).SetSegment(2, "p_type", 0); }, kBad,
       "without any segment"},
      {"a process", [](ElfImage& i) { i.SetSegment(1, "p_paddr", 0).SetSegment(2, "p_paddr", 0); },
       kOther, "physical addresses"},
  };
  for (const Case& c : cases) {
    ElfImage image = Base().Build();
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

TEST_CASE("ELF: extended numbering that says 0, and more than the budget") {
  ElfBuilder builder = Base();
  builder.extended_numbering = true;
  ElfImage image = builder.Build();
  const size_t info = 64 + 3 * 56 + 44;  // sh_info of section header 0
  DiagnosticSink sink;
  CHECK(OpenBytes(image.bytes, sink));
  ElfImage none = image;
  none.bytes[info] = std::byte{0};
  CHECK(OpenBytes(none.bytes, sink).error().message.find("PN_XNUM") != std::string::npos);
  ElfImage many = image;
  for (size_t i = 0; i < 4; ++i) many.bytes[info + i] = std::byte{0xff};
  CHECK(OpenBytes(many.bytes, sink).error().code == ErrorCode::kLimit);
}

TEST_CASE("ELF: a segment that makes no sense is a diagnostic, the others stay readable") {
  struct Case {
    std::string_view name;
    std::function<void(ElfImage&)> mutate;
    ByteState state;  // of the page at 0x100000
    std::string_view diagnostics;
  };
  const uint64_t end = Base().Build().bytes.size();
  const Case cases[] = {
      {"offset at the end", SetSegment(1, "p_offset", end), ByteState::kTruncated, "elf.truncated"},
      {"offset 2^64 - 1", SetSegment(1, "p_offset", UINT64_MAX), ByteState::kTruncated,
       "elf.truncated"},
      {"offset so that the sum wraps", SetSegment(1, "p_offset", UINT64_MAX - 4094),
       ByteState::kTruncated, "elf.truncated"},
      {"file size beyond the file", SetSegment(1, "p_filesz", end), ByteState::kData,
       "elf.segment-sizes elf.truncated"},
      {"file size 0", SetSegment(1, "p_filesz", 0), ByteState::kExcluded, ""},
      {"memory size 0", SetSegment(1, "p_memsz", 0), ByteState::kData, "elf.segment-sizes"},
      {"both 0", [](ElfImage& i) { i.SetSegment(1, "p_filesz", 0).SetSegment(1, "p_memsz", 0); },
       ByteState::kAbsent, ""},
      {"memory that wraps", SetSegment(1, "p_memsz", UINT64_MAX - 0xfffff + 1), ByteState::kData,
       "elf.segment-wraps"},
      {"no physical address", SetSegment(1, "p_paddr", UINT64_MAX), ByteState::kAbsent,
       "elf.no-physical-address"},
      {"PT_NULL", SetSegment(1, "p_type", 0), ByteState::kAbsent, ""},
      {"incomplete by its own word", Set("e_flags", 1), ByteState::kData, "elf.incomplete"},
      {"notes beyond the file", SetSegment(0, "p_offset", UINT64_MAX), ByteState::kData,
       "note.truncated"},
      {"notes of 2^64 - 1 bytes", SetSegment(0, "p_filesz", UINT64_MAX), ByteState::kData,
       "note.truncated note.malformed"},
  };
  for (const Case& c : cases) {
    ElfImage image = Base().Build();
    c.mutate(image);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image.bytes, sink);
    INFO(c.name);
    REQUIRE(dump);
    CHECK(StateAt(*dump, 0x100000) == c.state);
    CHECK(Ids(sink) == c.diagnostics);
    CHECK(ReadPageAt(*dump, 0x200000).bytes == PatternPage(2));
  }
}

TEST_CASE("ELF: memory up to the last address, and over all of it") {
  ElfImage image = Base().Build();
  image.SetSegment(1, "p_paddr", UINT64_MAX - 0xfff);
  DiagnosticSink sink;
  const Result<Dump> top = OpenBytes(image.bytes, sink);
  REQUIRE(top);
  CHECK(ReadPageAt(*top, UINT64_MAX - 0xfff).bytes == PatternPage(1));
  CHECK(RamOf(*top).back() == PhysRange{PhysAddr(UINT64_MAX - 0xfff), PhysAddr(UINT64_MAX)});

  image.SetSegment(1, "p_paddr", 0).SetSegment(1, "p_memsz", UINT64_MAX);
  const Result<Dump> all = OpenBytes(image.bytes, sink);
  REQUIRE(all);
  CHECK(ReadPageAt(*all, 0x200000).bytes == PatternPage(2));
  CHECK(StateAt(*all, 0x300000) == ByteState::kExcluded);
  CHECK(RamOf(*all) == std::vector<PhysRange>{{PhysAddr(0), PhysAddr(UINT64_MAX - 1)}});
  CHECK(Ids(sink) == "");
}

TEST_CASE("ELF: bytes that are memory at many addresses have a limit") {
  const auto open = [](uint64_t segments) {
    ElfBuilder builder;
    builder.AddLoad(0, PatternPage(1));
    for (uint64_t i = 1; i < segments; ++i) builder.AddLoad(i * 0x1000, {}, 0x1000);
    ElfImage image = builder.Build();
    for (uint64_t i = 2; i <= segments; ++i) {
      image.SetSegment(i, "p_offset", image.GetSegment(1, "p_offset"));
      image.SetSegment(i, "p_filesz", 0x1000);
    }
    DiagnosticSink sink;
    return OpenBytes(image.bytes, sink);
  };
  // 64 MiB.
  CHECK(open(16383));
  CHECK(open(16384));
  const Result<Dump> more = open(16385);
  REQUIRE_FALSE(more);
  CHECK(more.error().message ==
        "dump: ELF core whose segments give the 900.2 KiB of the file as more than 64 MiB of "
        "memory");
}

}  // namespace
}  // namespace dmaudit
