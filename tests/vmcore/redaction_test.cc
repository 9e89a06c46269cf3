// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/redaction.h"

#include <doctest/doctest.h>

#include "support/fake_memory.h"
#include "vmcore/memory/redacted_memory.h"
#include "vmcore/memory/redaction_note.h"
#include "vmcore/memory/session.h"

namespace dmaudit {
namespace {

using test::FakeMemory;

const std::vector<WordRun> kWhole = {{512, ByteState::kData}};

uint32_t CountSet(const WordMask& mask) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < kWordsPerFrame; ++i) count += mask.Test(i) ? 1u : 0u;
  return count;
}

TEST_CASE("a word mask holds exactly the words set, at every border of its 64-bit parts") {
  for (const uint32_t first : {0u, 1u, 63u, 64u, 65u, 127u, 511u}) {
    for (const uint32_t count : {0u, 1u, 63u, 64u, 65u, 128u, 512u}) {
      if (first + count > kWordsPerFrame) continue;
      WordMask mask;
      mask.Set(first, count);
      CHECK(CountSet(mask) == count);
      if (count > 0) {
        CHECK(mask.Test(first));
        CHECK(mask.Test(first + count - 1));
      }
      CHECK(mask.none() == (count == 0));
      CHECK(mask.all() == (count == 512));
    }
  }
}

const std::vector<uint32_t> kTwo = {11, 12};
const std::span<const uint32_t> kOne = std::span(kTwo).first(1);

TEST_CASE("a map finds the frames it was given and no neighbours") {
  RedactionMap map;
  const std::vector<WordRun> part = {{1, ByteState::kData}, {511, ByteState::kRedacted}};
  REQUIRE(map.Append(5, 2, kWhole, kTwo));
  REQUIRE(map.Append(8, 1, part, kOne));
  REQUIRE(map.Append(kFrameCount - 1, 1, kWhole, kOne));
  CHECK(map.Find(4).layout.empty());
  CHECK(map.Find(5).layout.size() == 1);
  CHECK(map.Find(6).layout.size() == 1);
  CHECK(*map.Find(5).checksum == 11);
  CHECK(*map.Find(6).checksum == 12);
  CHECK(map.Find(7).layout.empty());
  CHECK(map.Find(8).layout.size() == 2);
  CHECK(map.Find(9).layout.empty());
  CHECK(map.Find(kFrameCount - 2).layout.empty());
  CHECK(map.Find(kFrameCount - 1).layout.size() == 1);
  CHECK(RedactionMap().Find(0).layout.empty());
}

TEST_CASE("neighbours that look alike become one run") {
  RedactionMap map;
  for (uint32_t frame = 10; frame < 1010; ++frame) {
    REQUIRE(map.Append(frame, 1, kWhole, std::span(&frame, 1)));
  }
  REQUIRE(map.runs().size() == 1);
  CHECK(map.runs()[0].count == 1000);
  CHECK(*map.Find(10).checksum == 10);
  CHECK(*map.Find(1009).checksum == 1009);
}

TEST_CASE("a map refuses what cannot be") {
  RedactionMap map;
  REQUIRE(map.Append(10, 2, kWhole, kTwo));
  CHECK_FALSE(map.Append(11, 1, kWhole, kOne));               // overlaps
  CHECK_FALSE(map.Append(9, 1, kWhole, kOne));                // goes back
  CHECK_FALSE(map.Append(12, 0, kWhole, {}));                 // empty
  CHECK_FALSE(map.Append(kFrameCount, 1, kWhole, kOne));      // beyond the last frame
  CHECK_FALSE(map.Append(kFrameCount - 1, 2, kWhole, kTwo));  // leaves the space
  CHECK_FALSE(map.Append(20, 1, {}, {}));                     // no layout
  CHECK_FALSE(map.Append(20, 1, kWhole, {}));                 // too few checksums
  CHECK_FALSE(map.Append(20, 1, kWhole, kTwo));               // too many
  const std::vector<WordRun> nothing_kept = {{512, ByteState::kExcluded}};
  CHECK_FALSE(map.Append(20, 1, nothing_kept, kOne));  // of what?
  const std::vector<WordRun> low = {{511, ByteState::kData}};
  const std::vector<WordRun> high = {{511, ByteState::kData}, {2, ByteState::kData}};
  const std::vector<WordRun> none = {{0, ByteState::kData}, {512, ByteState::kData}};
  CHECK_FALSE(map.Append(20, 1, low, kOne));
  CHECK_FALSE(map.Append(20, 1, high, kOne));
  CHECK_FALSE(map.Append(20, 1, none, kOne));
  REQUIRE(map.Append(12, 1, kWhole, kOne));
  REQUIRE(map.Append(20, 1, nothing_kept, {}));
  CHECK(map.Find(20).checksum == nullptr);
}

// Memory of 8 pages from 0x1000: data everywhere, words numbered; page 7 excluded; 0x9000 absent.
std::unique_ptr<FakeMemory> Numbered() {
  auto memory = std::make_unique<FakeMemory>();
  for (uint64_t at = 0x1000; at < 0x9000; at += 8) memory->WriteU64(PhysAddr(at), at | 1);
  memory->SetPageState(PhysAddr(0x7000), ByteState::kExcluded);
  return memory;
}

// Records a frame of Numbered() as it is there.
void Keep(RedactionMap& map, uint64_t frame, FrameLayout layout) {
  const auto memory = Numbered();
  const auto context = memory->MakeContext();
  Page page;
  memory->ReadPage(PhysAddr(frame * kFrameSize), *context, page);
  const uint32_t checksum = FrameChecksum(page.bytes);
  REQUIRE(map.Append(frame, 1, layout, std::span(&checksum, 1)));
}

TEST_CASE("the overlay gives kept words, recorded states, and unknown for all else") {
  RedactionMap map;
  const std::vector<WordRun> mixed = {{1, ByteState::kRedacted},   {2, ByteState::kData},
                                      {1, ByteState::kLost},       {1, ByteState::kZero},
                                      {506, ByteState::kRedacted}, {1, ByteState::kData}};
  Keep(map, 2, kWhole);
  Keep(map, 3, mixed);
  Keep(map, 7, kWhole);
  const RedactedMemory memory(Numbered(), map);
  const auto context = memory.MakeContext();
  Page page;

  memory.ReadPage(PhysAddr(0x1000), *context, page);
  CHECK(page.extents == std::vector<PageExtent>{{0, 4096, ByteState::kRedacted}});
  CHECK(page.bytes == std::vector<std::byte>(4096));
  CHECK(memory.PageStateHint(PhysAddr(0x1000)) == ByteState::kRedacted);

  memory.ReadPage(PhysAddr(0x2000), *context, page);
  CHECK(page.readable());
  CHECK(LoadUnchecked<uint64_t>(page.bytes, 4088) == 0x2ff9);

  memory.ReadPage(PhysAddr(0x3000), *context, page);
  CHECK(page.extents == std::vector<PageExtent>{{0, 8, ByteState::kRedacted},
                                                {8, 16, ByteState::kData},
                                                {24, 8, ByteState::kLost},
                                                {32, 8, ByteState::kZero},
                                                {40, 4048, ByteState::kRedacted},
                                                {4088, 8, ByteState::kData}});
  CHECK(LoadUnchecked<uint64_t>(page.bytes, 0) == 0);
  CHECK(LoadUnchecked<uint64_t>(page.bytes, 8) == 0x3009);
  CHECK(LoadUnchecked<uint64_t>(page.bytes, 24) == 0);
  CHECK(LoadUnchecked<uint64_t>(page.bytes, 32) == 0);
  CHECK(LoadUnchecked<uint64_t>(page.bytes, 40) == 0);
  CHECK(LoadUnchecked<uint64_t>(page.bytes, 4088) == 0x3ff9);

  // Kept in the note, missing in the file: the file decides.
  memory.ReadPage(PhysAddr(0x7000), *context, page);
  CHECK(page.extents == std::vector<PageExtent>{{0, 4096, ByteState::kExcluded}});
  // Never described as RAM: stays so.
  memory.ReadPage(PhysAddr(0x9000), *context, page);
  CHECK(page.extents == std::vector<PageExtent>{{0, 4096, ByteState::kAbsent}});
  CHECK(memory.PageStateHint(PhysAddr(0x9000)) == ByteState::kAbsent);
}

TEST_CASE("a frame that is not as it was written is corrupt, its recorded states stay") {
  RedactionMap map;
  const std::vector<WordRun> mixed = {{1, ByteState::kData},
                                      {1, ByteState::kLost},
                                      {509, ByteState::kRedacted},
                                      {1, ByteState::kData}};
  Keep(map, 2, kWhole);
  Keep(map, 3, mixed);
  auto shifted = std::make_unique<FakeMemory>();  // each page one further than it was
  for (uint64_t at = 0x1000; at < 0x8000; at += 8) shifted->WriteU64(PhysAddr(at + 0x1000), at | 1);
  const RedactedMemory memory(std::move(shifted), map);
  const auto context = memory.MakeContext();
  Page page;
  memory.ReadPage(PhysAddr(0x2000), *context, page);
  CHECK(page.extents == std::vector<PageExtent>{{0, 4096, ByteState::kCorrupt}});
  CHECK(page.bytes == std::vector<std::byte>(4096));
  memory.ReadPage(PhysAddr(0x3000), *context, page);
  CHECK(page.extents == std::vector<PageExtent>{{0, 8, ByteState::kCorrupt},
                                                {8, 8, ByteState::kLost},
                                                {16, 4072, ByteState::kRedacted},
                                                {4088, 8, ByteState::kCorrupt}});
}

TEST_CASE("reads cross kept words and stop at the first that is not") {
  RedactionMap map;
  Keep(map, 2, kWhole);
  const std::vector<WordRun> head = {{1, ByteState::kData}, {511, ByteState::kRedacted}};
  Keep(map, 3, head);
  const RedactedMemory memory(Numbered(), map);
  MemorySession session(memory);
  std::array<std::byte, 12> out{};
  CHECK(session.Read(PhysAddr(0x2ffc), out).ok());  // last half word, first word
  const ReadStatus status = session.Read(PhysAddr(0x2ffd), out);
  CHECK(status.state == ByteState::kRedacted);
  CHECK(status.where == PhysAddr(0x3008));
}

DumpNote NoteOf(const DistillNote& note) {
  return {std::string(kDistillNoteName), kDistillNoteType, EncodeDistillNote(note).value()};
}

TEST_CASE("the overlay follows the note, and loses everything with it") {
  DistillNote note;
  Keep(note.map, 2, kWhole);
  const DumpNote good = NoteOf(note);
  DumpNote damaged = good;
  damaged.descriptor.back() ^= std::byte{1};
  DumpNote newer = good;
  newer.descriptor[0] = std::byte{2};
  DumpNote other_type = good;
  other_type.type = 2;
  const DumpNote foreign = {"VMCOREINFO", 0, {}};

  struct Case {
    const char* name;
    std::vector<DumpNote> notes;
    bool marked;
    bool distilled;
    bool complaint;
    ByteState kept;
    ByteState rest;
  };
  const ByteState data = ByteState::kData;
  const ByteState redacted = ByteState::kRedacted;
  const std::vector<Case> cases = {
      {"not distilled", {foreign}, false, false, false, data, data},
      {"distilled", {foreign, good}, true, true, false, data, redacted},
      {"mark lost", {good}, false, true, false, data, redacted},
      {"note lost", {foreign}, true, true, true, redacted, redacted},
      {"damaged", {damaged}, true, true, true, redacted, redacted},
      {"damaged, mark lost", {damaged}, false, true, true, redacted, redacted},
      {"newer version", {newer}, true, true, true, redacted, redacted},
      {"newer type", {other_type}, true, true, true, redacted, redacted},
      {"two notes", {good, good}, true, true, true, redacted, redacted},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    DiagnosticSink sink;
    const OverlaidMemory overlaid = OverlayRedaction(Numbered(), c.notes, c.marked, sink);
    CHECK(overlaid.distilled == c.distilled);
    CHECK(sink.incomplete() == c.complaint);
    CHECK(sink.diagnostics().size() == (c.complaint ? 1 : 0));
    const auto context = overlaid.memory->MakeContext();
    Page page;
    overlaid.memory->ReadPage(PhysAddr(0x2000), *context, page);
    CHECK(page.extents[0].state == c.kept);
    overlaid.memory->ReadPage(PhysAddr(0x3000), *context, page);
    CHECK(page.extents[0].state == c.rest);
  }
}

}  // namespace
}  // namespace dmaudit
