// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/notes.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "support/dump_builder.h"
#include "support/sparse_source.h"

namespace dmaudit {
namespace {

using test::Ids;
using test::MakeNote;

std::vector<std::byte> Join(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  std::vector<std::byte> out = a;
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

std::vector<DumpNote> Parse(std::span<const std::byte> area, DiagnosticSink& sink) {
  std::vector<DumpNote> notes;
  ParseNotes(area, FileOffset(0x1000), "dump", notes, sink);
  return notes;
}

TEST_CASE("notes of any name and size, padded to four bytes") {
  DiagnosticSink sink;
  const auto area = Join(MakeNote("CORE", 1, "12345"), MakeNote("VMCOREINFO", 0, "A=1\n"));
  const auto notes = Parse(area, sink);
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].name == "CORE");
  CHECK(notes[0].type == 1);
  CHECK(AsText(notes[0].descriptor) == "12345");
  CHECK(notes[1].name == "VMCOREINFO");
  CHECK(AsText(notes[1].descriptor) == "A=1\n");
  CHECK(Ids(sink) == "");
}

TEST_CASE("an all-zero header ends the list, zero padding is no note") {
  DiagnosticSink sink;
  auto area = MakeNote("CORE", 1, "x");
  area.resize(area.size() + 7);
  CHECK(Parse(area, sink).size() == 1);
  area.resize(area.size() + 50);
  const auto behind = Join(area, MakeNote("LATE", 1, "x"));
  CHECK(Parse(behind, sink).size() == 1);
  CHECK(Ids(sink) == "");
}

TEST_CASE("the padding of the last descriptor may be missing") {
  DiagnosticSink sink;
  auto area = MakeNote("CORE", 1, "12345");
  area.resize(area.size() - 3);
  CHECK(Parse(area, sink).size() == 1);
  CHECK(Ids(sink) == "");
}

TEST_CASE("cut anywhere, a note is whole or a diagnostic") {
  const auto whole = MakeNote("CORE", 1, "12345678");
  for (size_t size = 1; size < whole.size(); ++size) {
    DiagnosticSink sink;
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    INFO("size ", size);
    CHECK(Parse(cut, sink).empty());
    CHECK(Ids(sink) == "note.malformed");
    CHECK(sink.incomplete());
  }
}

TEST_CASE("sizes that wrap around 32 bits stay outside") {
  for (const uint32_t lie : {0xffffffffu, 0xfffffffdu, 0xfffffff0u, 0x80000000u}) {
    for (const size_t field : {size_t{0}, size_t{4}}) {
      DiagnosticSink sink;
      auto area = Join(MakeNote("A", 1, "x"), MakeNote("CORE", 1, "12345678"));
      StoreUnchecked<uint32_t>(area, MakeNote("A", 1, "x").size() + field, lie);
      CHECK(Parse(area, sink).size() == 1);
      CHECK(Ids(sink) == "note.malformed");
    }
  }
}

TEST_CASE("a name without its NUL, and none at all") {
  DiagnosticSink sink;
  std::vector<std::byte> area(16);
  StoreUnchecked<uint32_t>(area, 0, 4);
  StoreUnchecked<uint32_t>(area, 8, 7);
  for (size_t i = 12; i < 16; ++i) area[i] = std::byte{'Z'};
  CHECK(Parse(area, sink).at(0).name == "ZZZZ");
  StoreUnchecked<uint32_t>(area, 0, 0);
  StoreUnchecked<uint32_t>(area, 4, 4);
  const auto notes = Parse(area, sink);
  CHECK(notes.at(0).name.empty());
  CHECK(notes.at(0).descriptor.size() == 4);
  CHECK(Ids(sink) == "");
}

TEST_CASE("an area beyond the file, and one beyond the budget") {
  test::SparseSource source(uint64_t{1} << 40);
  std::vector<DumpNote> notes;
  DiagnosticSink beyond;
  ReadNotes(source, FileOffset((uint64_t{1} << 40) - 16), 17, "dump", notes, beyond);
  CHECK(Ids(beyond) == "note.truncated");
  DiagnosticSink outside;
  ReadNotes(source, FileOffset(UINT64_MAX), UINT64_MAX, "dump", notes, outside);
  CHECK(Ids(outside) == "note.truncated");
  DiagnosticSink large;
  ReadNotes(source, FileOffset(0), kMaxNoteBytes + 1, "dump", notes, large);
  CHECK(Ids(large) == "note.budget");
  DiagnosticSink broken;
  source.FailAt(0x2000);
  ReadNotes(source, FileOffset(0x1000), 0x2000, "dump", notes, broken);
  CHECK(Ids(broken) == "note.unreadable");
  CHECK(notes.empty());
}

}  // namespace
}  // namespace dmaudit
