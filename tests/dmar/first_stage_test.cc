// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <array>

#include "dmar/walk_test_support.h"

namespace dmaudit::test {
namespace {

TEST_CASE("pages of the upper half have sign-extended addresses and come after the lower half") {
  for (const uint8_t levels : std::array<uint8_t, 2>{4, 5}) {
    CAPTURE(levels);
    FakeMemory memory;
    TableBuilder build(memory);
    const PhysAddr top = build.NewPage();
    const uint64_t half = uint64_t{1} << (11 + 9 * levels);
    build.MapFirst(top, levels, half, 0x7000000);
    build.MapFirst(top, levels, half - 0x1000, 0x6fff000);
    build.MapFirst(top, levels, ~uint64_t{0} & ~uint64_t{0xfff}, 0x9000000);
    const SpaceResult got = Walk(FirstStage(top, levels), MakeRules(true), memory);
    CHECK(got.rows() == std::vector<Row>{{half - 0x1000, 0x1000, 0x6fff000, "RW"},
                                         {~(half - 1), 0x1000, 0x7000000, "RW"},
                                         {0xfffffffffffff000, 0x1000, 0x9000000, "RW"}});
    CheckNoDiagnostics(got.sink);
  }
}

TEST_CASE("leaves of all sizes, XD on every level") {
  const uint64_t xd = uint64_t{1} << 63;
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  build.Map(top, 4, 0x1000, 0x5000, 1, xd | 0x67, xd | 0x27);
  build.Map(top, 4, 0x200000, 0x400000, 2, xd | 0x65, xd | 0x27);
  build.Map(top, 4, 0x40000000, 0x80000000, 3, xd | 0x1067, xd | 0x27);
  const SpaceResult got = Walk(FirstStage(top, 4), MakeRules(true), memory);
  CHECK(got.rows() == std::vector<Row>{{0x1000, 0x1000, 0x5000, "RW"},
                                       {0x200000, 0x200000, 0x400000, "R-"},
                                       {0x40000000, 0x40000000, 0x80000000, "RW"}});
  CheckNoDiagnostics(got.sink);
}

// A page of a process at 0x1000, and of the kernel's half.
struct ProcessTable {
  FakeMemory memory;
  TableBuilder build{memory};
  PhysAddr top = build.NewPage();
  PhysAddr user = build.MapFirst(top, 4, 0x1000, 0x5000);
  PhysAddr kernel = build.Map(top, 4, 0xffff888000000000, 0x6000, 1, 3, 3);

  SpaceResult Walk(bool supervisor, bool write_protect) {
    AddressSpace space = FirstStage(top, 4);
    space.supervisor_access = supervisor;
    space.write_protect = write_protect;
    return test::Walk(space, MakeRules(true), memory);
  }
};

TEST_CASE("the kernel's half of a shared process table is out of reach of user requests") {
  ProcessTable t;
  SpaceResult got = t.Walk(false, true);
  CHECK(got.rows() == std::vector<Row>{{0x1000, 0x1000, 0x5000, "RW"}});
  CHECK(got.accounting.dead == 1);
  CheckOnly(
      got.sink, "walk.dead-entries", Effect::kNote,
      "dmar0: first-stage table 0x100000 (level 4, IOVA 0x0): present entries that no request "
      "can reach: 1 (supervisor only)");
  got = t.Walk(true, true);
  CHECK(got.rows() == std::vector<Row>{{0x1000, 0x1000, 0x5000, "RW"},
                                       {0xffff888000000000, 0x1000, 0x6000, "RW"}});
  CheckNoDiagnostics(got.sink);
}

TEST_CASE("U/S and R/W count at every level; supervisor writes pass over R/W without WPE") {
  for (unsigned level = 1; level <= 4; ++level) {
    CAPTURE(level);
    ProcessTable t;
    const PhysAddr entry = t.build.PagingEntry(t.top, 4, 0x1000, level, 7);
    t.build.Xor(entry, 2);
    CHECK(t.Walk(false, true).rows() == std::vector<Row>{{0x1000, 0x1000, 0x5000, "R-"}});
    CHECK(t.Walk(true, true).rows()[0] == Row{0x1000, 0x1000, 0x5000, "R-"});
    CHECK(t.Walk(true, false).rows()[0] == Row{0x1000, 0x1000, 0x5000, "RW"});
    t.build.Xor(entry, 2 | 4);
    CHECK(t.Walk(false, true).rows().empty());
    CHECK(t.Walk(true, true).rows().size() == 2);
  }
}

TEST_CASE("one mutation each: not present, reserved bit, unreadable, loop") {
  ProcessTable gone;
  gone.build.Xor(gone.user, 1);
  CHECK(gone.Walk(false, true).rows().empty());

  ProcessTable reserved;
  reserved.build.Xor(TableBuilder::EntryAt(reserved.top, 0x1000, 4), 0x80);
  SpaceResult got = reserved.Walk(true, true);
  CHECK(got.rows().size() == 1);
  CheckOnly(got.sink, "walk.reserved-bits", Effect::kNote,
            "dmar0: first-stage table 0x100000 (level 4, IOVA 0x0): entry 0x0: reserved bits 7 are "
            "0x1, expected 0 (SFS.3), quadword 0 is 0x101087");

  ProcessTable lost;
  lost.memory.SetPageState(lost.user, ByteState::kExcluded);
  got = lost.Walk(true, true);
  CHECK(got.rows().size() == 1);
  CHECK(got.accounting.unreadable == 512);
  CHECK(got.sink.incomplete());

  ProcessTable loop;
  loop.build.Set(TableBuilder::EntryAt(loop.top, 0x8000000000, 4), loop.top.value() | 7);
  got = loop.Walk(true, true);
  CHECK(got.rows().size() == 2);
  CheckOnly(
      got.sink, "walk.loop", Effect::kIncomplete,
      "dmar0: first-stage table 0x100000 (level 4, IOVA 0x0): entry 0x1: links table 0x100000, "
      "which it lies under: not followed");
}

TEST_CASE("input limits of the second stage do not bind the first") {
  // MGAW 39.
  const UnitRules rules =
      MakeRules(true, (kRichCap & ~(uint64_t{0x3f} << 16)) | uint64_t{38} << 16);
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  build.MapFirst(top, 4, 0x7ffffffff000, 0x5000);
  CHECK(Walk(FirstStage(top, 4), rules, memory).rows().size() == 1);
}

TEST_CASE("a space without tables that can be walked is incomplete, never empty") {
  FakeMemory memory;
  AddressSpace space;
  space.stage = Stage::kFirst;
  CHECK(Walk(space, MakeRules(true), memory).sink.incomplete());
  for (const uint8_t levels : std::array<uint8_t, 4>{0, 2, 6, 255}) {
    CHECK(Walk(SecondStage(PhysAddr(0), levels), MakeRules(), memory).sink.incomplete());
    CHECK(Walk(FirstStage(PhysAddr(0), levels), MakeRules(), memory).sink.incomplete());
  }
  CHECK(Walk(FirstStage(PhysAddr(0), 3), MakeRules(), memory).sink.incomplete());
}

}  // namespace
}  // namespace dmaudit::test
