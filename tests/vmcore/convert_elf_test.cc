// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>
#include <elf.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <tuple>
#include <vector>

#include "support/dump_builder.h"
#include "support/temp_dir.h"
#include "vmcore/container/elf_header.h"
#include "vmcore/container/state_note.h"
#include "vmcore/io/file_source.h"
#include "vmcore/write/convert.h"

namespace dmaudit {
namespace {

using namespace test;

using StateRow = std::tuple<uint64_t, uint64_t, ByteState>;

std::vector<StateRow> StatesOf(const Dump& dump) {
  std::vector<StateRow> rows;
  dump.memory->VisitStates([&](PhysRange range, ByteState state) {
    rows.emplace_back(range.first.value(), range.last.value(), state);
    return true;
  });
  return rows;
}

Result<Dump> OpenFile(const std::string& path, DiagnosticSink& sink) {
  Result<std::vector<Dump>> dumps = OpenDumps({path}, sink);
  REQUIRE(dumps);
  REQUIRE(dumps->size() == 1);
  return std::move(dumps->front());
}

// Every page of the first `frames`: extents, and where known the bytes.
void CheckSamePages(const Dump& before, const Dump& after, uint64_t frames) {
  for (uint64_t frame = 0; frame < frames; ++frame) {
    CAPTURE(frame);
    const Page a = ReadPageAt(before, frame * kTestPage);
    const Page b = ReadPageAt(after, frame * kTestPage);
    CHECK(a.extents == b.extents);
    CHECK(a.bytes == b.bytes);
  }
}

std::vector<ElfSegment> LoadsOf(const std::string& path) {
  Result<std::unique_ptr<FileSource>> source = FileSource::Open(path);
  REQUIRE(source);
  Result<ElfHeader> header = ReadElfHeader(**source, path);
  REQUIRE(header);
  std::vector<ElfSegment> loads;
  REQUIRE(VisitElfSegments(**source, *header, PT_LOAD, path, [&loads](const ElfSegment& load) {
    loads.push_back(load);
    return true;
  }));
  return loads;
}

KdumpImage EveryState() {
  KdumpBuilder builder;
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib);
  builder.AddExcluded(2);
  builder.AddPage(3, std::vector<std::byte>(kTestPage));
  builder.AddLost(5);
  builder.AddPage(6, PatternPage(6));
  builder.AddStored(7, std::vector<std::byte>(9), 1);  // no zlib stream
  builder.AddPage(8, PatternPage(8), PageCodec::kLzo);
  builder.AddPage(63, PatternPage(63));
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=6.1.0-test\n");
  KdumpImage image = builder.Build();
  image.bytes.resize(image.bytes.size() - kTestPage);  // page 63 is cut off
  return image;
}

TEST_CASE("an ELF copy has every state as it was, with any number of threads") {
  const TempDir dir;
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(EveryState().bytes, sink);
  REQUIRE(dump);
  for (const unsigned threads : {1u, 3u}) {
    const Result<ElfSummary> summary = ConvertToElf(*dump, {}, {threads, nullptr}, dir.File("out"));
    REQUIRE(summary);
    CHECK(summary->stored == 4 * kTestPage);
    CHECK(summary->lost == kTestPage);
    CHECK(summary->corrupt == kTestPage);
    CHECK(summary->truncated == kTestPage);
    DiagnosticSink again;
    const Result<Dump> result = OpenFile(dir.File("out"), again);
    CHECK(Ids(again) == "elf.incomplete");
    CheckSamePages(*dump, *result, 64);
    CHECK(RamOf(*result) == RamOf(*dump));
    CHECK(result->info.incomplete);
    REQUIRE(result->notes.size() == 1);
    CHECK(result->notes[0].name == dump->notes[0].name);
    CHECK(result->notes[0].descriptor == dump->notes[0].descriptor);
  }
}

TEST_CASE("a segment holds all that it describes, and what is not stored is in none") {
  const TempDir dir;
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(EveryState().bytes, sink);
  REQUIRE(dump);
  REQUIRE(ConvertToElf(*dump, {}, {}, dir.File("out")));
  std::vector<std::tuple<uint64_t, uint64_t, uint64_t>> loads;
  const uint64_t end = std::filesystem::file_size(dir.File("out"));
  for (const ElfSegment& load : LoadsOf(dir.File("out"))) {
    loads.emplace_back(load.physical_address, load.file_size, load.memory_size);
    CHECK(load.virtual_address == 0);
    CHECK(load.offset + load.file_size <= end);
    CHECK(load.offset % kTestPage == 0);
  }
  CHECK(loads == decltype(loads){{0x1000, 0x1000, 0x1000},
                                 {0x3000, 0x1000, 0x1000},
                                 {0x6000, 0x1000, 0x1000},
                                 {0x8000, 0x1000, 0x1000}});
}

TEST_CASE("a dump that lacks nothing but what was excluded is not called incomplete") {
  const TempDir dir;
  KdumpBuilder builder;
  builder.AddPage(1, PatternPage(1));
  builder.AddExcluded(2);
  builder.AddExcluded(3);
  builder.AddPage(4, PatternPage(4));
  builder.AddExcluded(63);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  REQUIRE(ConvertToElf(*dump, {}, {}, dir.File("elf")));
  DiagnosticSink again;
  const Result<Dump> elf = OpenFile(dir.File("elf"), again);
  CHECK(Ids(again) == "");
  CHECK_FALSE(elf->info.incomplete);
  // By way of kdump, whose first bitmap is the map of RAM, and back.
  REQUIRE(ConvertToKdump(*elf, {}, {}, dir.File("kdump")));
  const Result<Dump> kdump = OpenFile(dir.File("kdump"), again);
  REQUIRE(ConvertToElf(*kdump, {}, {}, dir.File("back")));
  const Result<Dump> back = OpenFile(dir.File("back"), again);
  CHECK(Ids(again) == "");
  for (const Result<Dump>* result : {&elf, &kdump, &back}) {
    CHECK(StatesOf(**result) == std::vector<StateRow>{{0x1000, 0x1fff, ByteState::kData},
                                                      {0x2000, 0x3fff, ByteState::kExcluded},
                                                      {0x4000, 0x4fff, ByteState::kData},
                                                      {0x3f000, 0x3ffff, ByteState::kExcluded}});
    CHECK(RamOf(**result) == RamOf(*dump));
  }
}

TEST_CASE("segments that end inside a page stay what they are") {
  const TempDir dir;
  ElfBuilder builder;
  std::vector<std::byte> content = PatternPage(1);
  content.resize(kTestPage + 0x800, std::byte{7});
  builder.AddLoad(0x1000, content, 0x4010);
  builder.AddLoad(0x7c00, std::vector<std::byte>(0x400, std::byte{9}));
  builder.AddLoad(0x9000, std::vector<std::byte>(0x7f0, std::byte{1}));
  builder.AddLoad(0x9800, std::vector<std::byte>(0x900));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  REQUIRE(ConvertToElf(*dump, {}, {}, dir.File("out")));
  DiagnosticSink again;
  const Result<Dump> result = OpenFile(dir.File("out"), again);
  CHECK(Ids(again) == "");
  CHECK(StatesOf(*result) == StatesOf(*dump));
  CheckSamePages(*dump, *result, 12);
  for (const ElfSegment& load : LoadsOf(dir.File("out"))) {
    if (load.file_size != 0) CHECK(load.offset % kTestPage == load.physical_address % kTestPage);
  }
}

TEST_CASE("virtual addresses: the direct map, and the kernel image over the same bytes") {
  const TempDir dir;
  KdumpBuilder builder;
  for (uint64_t frame = 1; frame < 8; ++frame) builder.AddPage(frame, PatternPage(frame));
  builder.AddExcluded(8);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  ElfDescription description;
  description.direct_map = 0xffff'8880'0000'0000;
  description.image =
      DumpInfo::VirtualSegment{0xffff'ffff'8100'0000, {PhysAddr(0x3000), PhysAddr(0x9fff)}};
  const Result<ElfSummary> summary = ConvertToElf(*dump, description, {}, dir.File("out"));
  REQUIRE(summary);
  CHECK(summary->loads == 2);
  const std::vector<ElfSegment> loads = LoadsOf(dir.File("out"));
  REQUIRE(loads.size() == 2);
  CHECK(loads[0].virtual_address == 0xffff'8880'0000'1000);
  CHECK(loads[1].virtual_address == 0xffff'ffff'8100'0000);
  CHECK(loads[1].physical_address == 0x3000);
  CHECK(loads[1].file_size == 0x5000);
  CHECK(loads[1].memory_size == 0x5000);
  CHECK(loads[1].offset == loads[0].offset + 0x2000);
  DiagnosticSink again;
  const Result<Dump> result = OpenFile(dir.File("out"), again);
  CHECK(Ids(again) == "");
  CheckSamePages(*dump, *result, 10);
}

TEST_CASE("a copy of page 0 alone, which the kernel image names too, is read again") {
  const TempDir dir;
  ElfBuilder builder;
  builder.AddLoad(0, PatternPage(1), 0, 0xffff'8880'0000'0000);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  ElfDescription description;
  description.direct_map = 0xffff'8880'0000'0000;
  description.image =
      DumpInfo::VirtualSegment{0xffff'ffff'8000'0000, {PhysAddr(0), PhysAddr(0xfff)}};
  REQUIRE(ConvertToElf(*dump, description, {}, dir.File("out")));
  REQUIRE(LoadsOf(dir.File("out")).size() == 2);
  DiagnosticSink again;
  const Result<Dump> result = OpenFile(dir.File("out"), again);
  CHECK(Ids(again) == "");
  CheckSamePages(*dump, *result, 2);
}

TEST_CASE("more pages turn out undecodable than there is room for at first") {
  constexpr uint64_t kPages = 5000;
  const TempDir dir;
  KdumpBuilder builder;
  builder.max_mapnr = kPages;
  for (uint64_t frame = 0; frame < kPages; ++frame) {
    if (frame % 2 == 0) {
      builder.AddPage(frame, PatternPage(frame), PageCodec::kZlib);
    } else {
      builder.AddStored(frame, std::vector<std::byte>(9), 1);  // no zlib stream
    }
  }
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  const Result<ElfSummary> summary = ConvertToElf(*dump, {}, {2, nullptr}, dir.File("out"));
  REQUIRE(summary);
  CHECK(summary->loads == kPages / 2);
  CHECK(summary->corrupt == kPages / 2 * kTestPage);
  CHECK(dir.Entries() == 1);
  DiagnosticSink again;
  const Result<Dump> result = OpenFile(dir.File("out"), again);
  CheckSamePages(*dump, *result, kPages);
}

TEST_CASE("more segments than e_phnum can count") {
  constexpr uint64_t kLoads = 66000;
  const TempDir dir;
  ElfBuilder builder;
  builder.extended_numbering = true;
  for (uint64_t i = 0; i < kLoads; ++i) {
    builder.AddLoad(i * 64, std::vector<std::byte>(16), 32);
  }
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  const Result<ElfSummary> summary = ConvertToElf(*dump, {}, {}, dir.File("out"));
  REQUIRE(summary);
  CHECK(summary->loads == kLoads);
  DiagnosticSink again;
  const Result<Dump> result = OpenFile(dir.File("out"), again);
  CHECK(StatesOf(*result) == StatesOf(*dump));
}

TEST_CASE("an ELF copy that cannot be made leaves no file") {
  const TempDir dir;
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(EveryState().bytes, sink);
  REQUIRE(dump);
  const auto stop = [](uint64_t, uint64_t) { return false; };
  CHECK_FALSE(ConvertToElf(*dump, {}, {2, stop}, dir.File("out")));
  ElfDescription description;
  description.machine = "s390x";
  const Result<ElfSummary> refused = ConvertToElf(*dump, description, {}, dir.File("out"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kUnsupported);
  CHECK(dir.Entries() == 0);
}

TEST_CASE("the list of erased symbols is a note, and comes back as one") {
  const TempDir dir;
  DiagnosticSink sink;
  Result<Dump> dump = OpenBytes(EveryState().bytes, sink);
  REQUIRE(dump);
  const std::string text = "erase sym.member 8\n";
  dump->notes.push_back({"ERASEINFO", 0, {AsBytes(text).begin(), AsBytes(text).end()}});
  REQUIRE(ConvertToElf(*dump, {}, {}, dir.File("out")));
  DiagnosticSink again;
  const Result<Dump> result = OpenFile(dir.File("out"), again);
  REQUIRE(result->notes.size() == 2);
  CHECK(result->notes[1].name == "ERASEINFO");
  CHECK(AsText(result->notes[1].descriptor) == text);
}

std::vector<std::byte> WithNote(const DumpNote& note) {
  ElfBuilder builder;
  builder.notes = MakeNote(note.name, note.type, AsText(note.descriptor));
  builder.AddLoad(0x1000, PatternPage(1), 0x2000);
  return builder.Build().bytes;
}

TEST_CASE("the start of a raw page that is cut comes along, however many follow") {
  const TempDir dir;
  for (const uint64_t cut : {1u, 2u, 300u}) {
    CAPTURE(cut);
    KdumpBuilder builder;
    builder.max_mapnr = 512;
    for (uint64_t pfn = 0; pfn < 310; ++pfn) builder.AddPage(pfn, PatternPage(pfn));
    std::vector<std::byte> bytes = builder.Build().bytes;
    bytes.resize(bytes.size() - cut * kTestPage + 100);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(std::move(bytes), sink);
    REQUIRE(dump);
    const Result<ElfSummary> summary = ConvertToElf(*dump, {}, {}, dir.File("out"));
    REQUIRE(summary);
    CHECK(summary->stored == (310 - cut) * kTestPage + 100);
    CHECK(summary->truncated == cut * kTestPage - 100);
    DiagnosticSink again;
    const Result<Dump> result = OpenFile(dir.File("out"), again);
    CheckSamePages(*dump, *result, 512);
  }
}

TEST_CASE("tiny stretches of a page share a page of an ELF copy") {
  const TempDir dir;
  ElfBuilder builder;
  for (uint64_t i = 0; i < 3000; ++i) {
    builder.AddLoad(0x100000 + 3 * i, {std::byte(1 + i % 255), std::byte{7}});
  }
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  const Result<ElfSummary> summary = ConvertToElf(*dump, {}, {}, dir.File("out"));
  REQUIRE(summary);
  CHECK(summary->loads == 3000);
  DiagnosticSink again;
  const Result<Dump> result = OpenFile(dir.File("out"), again);
  CheckSamePages(*dump, *result, 512);
  // Their headers, and no page for each.
  CHECK(std::filesystem::file_size(dir.File("out")) < 56 * 5000 + 3 * 4096);
}

TEST_CASE("the note of missing memory says what is in no segment, and takes nothing away") {
  const std::array<MissingRange, 4> ranges = {
      MissingRange{{PhysAddr(0x1000), PhysAddr(0x1fff)}, ByteState::kLost},
      MissingRange{{PhysAddr(0x2800), PhysAddr(0x3fff)}, ByteState::kTruncated},
      MissingRange{{PhysAddr(0x5000), PhysAddr(0x5fff)}, ByteState::kCorrupt},
      MissingRange{{PhysAddr(0x7000), PhysAddr(0x8fff)}, ByteState::kExcluded}};
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(WithNote(EncodeStateNote(ranges)), sink);
  REQUIRE(dump);
  CHECK(Ids(sink) == "");
  CHECK(dump->notes.empty());
  CHECK(StatesOf(*dump) == std::vector<StateRow>{{0x1000, 0x1fff, ByteState::kData},
                                                 {0x2000, 0x27ff, ByteState::kExcluded},
                                                 {0x2800, 0x3fff, ByteState::kTruncated},
                                                 {0x5000, 0x5fff, ByteState::kCorrupt},
                                                 {0x7000, 0x8fff, ByteState::kExcluded}});
}

TEST_CASE("a note of missing memory that is damaged itself is a diagnostic") {
  const std::array<MissingRange, 2> ranges = {
      MissingRange{{PhysAddr(0x5000), PhysAddr(0x5fff)}, ByteState::kLost},
      MissingRange{{PhysAddr(0x7000), PhysAddr(0x7fff)}, ByteState::kLost}};
  const DumpNote good = EncodeStateNote(ranges);
  const auto ignore = [](const MissingRange&) {};
  REQUIRE(VisitStateNote(good, ignore));
  std::vector<DumpNote> bad(5, good);
  bad[0].descriptor.pop_back();
  bad[1].descriptor.resize(7);
  StoreUnchecked<uint32_t>(bad[2].descriptor, 0, 2);                           // version
  StoreUnchecked<uint64_t>(bad[3].descriptor, 8 + kMissingRangeSize, 0x8000);  // first, behind last
  StoreUnchecked<uint32_t>(bad[4].descriptor, 8 + kMissingRangeSize + 16, 4);  // state
  for (const DumpNote& note : bad) {
    CHECK_FALSE(VisitStateNote(note, ignore));
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(WithNote(note), sink);
    REQUIRE(dump);
    CHECK(Ids(sink) == "elf.state-note");
    CHECK(sink.incomplete());
    CHECK(StateAt(*dump, 0x5000) == ByteState::kAbsent);
    CHECK(StateAt(*dump, 0x1000) == ByteState::kData);
  }
}

}  // namespace
}  // namespace dmaudit
