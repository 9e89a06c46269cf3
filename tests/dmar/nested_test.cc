// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include "dmar/walk_test_support.h"

namespace dmaudit::test {
namespace {

// A guest whose memory starts at host 0x40000000: second stage of 3 levels, the first stage's
// tables at guest-physical 0x10000 on.
struct Guest {
  static constexpr uint64_t kHost = 0x40000000;
  static constexpr uint64_t kTop = 0x10000;  // guest-physical

  FakeMemory memory;
  TableBuilder host{memory, 0x100000};
  PhysAddr second = host.NewPage();

  Guest() {
    // Tables at 0x10000, 0x11000, ... one 4 KiB leaf each; data from 0x100000 on.
    for (uint64_t gpa = kTop; gpa < kTop + 0x8000; gpa += 0x1000) {
      host.Map(second, 3, gpa, kHost + gpa);
      memory.AddZeroPage(PhysAddr(kHost + gpa));
    }
    Table(0, 0, 0x11007);
    Table(1, 0, 0x12007);
    Table(2, 0, 0x13007);
    Table(3, 1, 0x100007);  // IOVA 0x1000 -> guest 0x100000
    host.Map(second, 3, 0x100000, 0x7000000);
  }
  // Entry `index` of the guest's table number `number`.
  PhysAddr Entry(unsigned number, unsigned index) const {
    return PhysAddr(kHost + kTop + number * 0x1000 + index * 8);
  }
  void Table(unsigned number, unsigned index, uint64_t value) {
    host.Set(Entry(number, index), value);
  }
  PhysAddr SecondEntry(uint64_t gpa) { return host.PagingEntry(second, 3, gpa, 1, 3); }
  SpaceResult Walk() {
    return test::Walk(Nested(second, 3, PhysAddr(kTop), 4), MakeRules(true), memory);
  }
};

TEST_CASE("a nested page goes through both stages, with the permissions of both") {
  Guest guest;
  SpaceResult got = guest.Walk();
  CHECK(got.rows() == std::vector<Row>{{0x1000, 0x1000, 0x7000000, "RW"}});
  CHECK(got.accounting ==
        WalkAccounting{.visited = 4 * 512, .tables = 3, .leaves = 1, .not_present = 4 * 511});
  CheckNoDiagnostics(got.sink);
  CHECK(got.collected.bound.empty());

  guest.host.Xor(guest.SecondEntry(0x100000), 2);
  CHECK(guest.Walk().rows() == std::vector<Row>{{0x1000, 0x1000, 0x7000000, "R-"}});
  guest.host.Xor(guest.SecondEntry(0x100000), 3);  // write only
  CHECK(guest.Walk().rows() == std::vector<Row>{{0x1000, 0x1000, 0x7000000, "-W"}});
  guest.host.Xor(guest.Entry(3, 1), 2);  // read only in the first stage
  got = guest.Walk();
  CHECK(got.rows().empty());
  CHECK(got.accounting.dead == 1);
}

TEST_CASE("the way of guest tables through the second stage draws on the budget") {
  Guest guest;
  const auto walk = [&guest](WalkBudget& budget, DiagnosticSink& sink) {
    MemorySession session(guest.memory);
    Collector collector;
    const WalkAccounting got = WalkAddressSpace(Nested(guest.second, 3, PhysAddr(Guest::kTop), 4),
                                                MakeRules(true), session, sink, collector, &budget);
    CheckInvariants(got, collector);
    return got;
  };
  DiagnosticSink sink;
  WalkBudget plain;
  walk(plain, sink);
  CHECK_FALSE(sink.incomplete());
  for (unsigned i = 1; i < 512; ++i) guest.Table(2, i, 0x800007);  // blocked
  WalkBudget blocked;
  CHECK(walk(blocked, sink).rejected == 511);
  CHECK_FALSE(sink.incomplete());
  CHECK(plain.entries - blocked.entries > 511 * UnitRules::kMaxLevels * WalkBudget::kPageCost);

  WalkBudget half{(WalkBudget::kDefault - blocked.entries) / 2};
  CHECK(walk(half, sink).rejected < 511);
  CHECK(sink.incomplete("walk.budget"));
}

TEST_CASE("a large page of the guest is split by smaller ones of the host") {
  Guest guest;
  guest.Table(2, 0, 0x200087);  // IOVA 0 -> guest 2 MiB at 0x200000
  guest.host.Map(guest.second, 3, 0x200000, 0x7000000);
  guest.host.Map(guest.second, 3, 0x201000, 0x7001000);
  guest.host.Map(guest.second, 3, 0x203000, 0x9000000, 1, TableBuilder::kRead);
  guest.host.Map(guest.second, 3, 0x3ff000, 0xa000000);
  const SpaceResult got = guest.Walk();
  CHECK(got.rows() == std::vector<Row>{{0, 0x2000, 0x7000000, "RW"},
                                       {0x3000, 0x1000, 0x9000000, "R-"},
                                       {0x1ff000, 0x1000, 0xa000000, "RW"}});
  CHECK(got.accounting.leaves == 1);
  CHECK(got.collected.pieces.at(0).page_size == 0x1000);
}

TEST_CASE("a small page of the guest inside a large one of the host") {
  Guest guest;
  guest.host.Map(guest.second, 3, 0x80000000, 0x80000000, 3);
  guest.Table(3, 1, 0x80345007);
  const SpaceResult got = guest.Walk();
  CHECK(got.rows() == std::vector<Row>{{0x1000, 0x1000, 0x80345000, "RW"}});
  CHECK(got.collected.pieces.at(0).page_size == 0x1000);
}

TEST_CASE("guest-physical addresses that the second stage does not translate") {
  Guest leaf;
  leaf.host.Set(leaf.SecondEntry(0x100000), 0);
  SpaceResult got = leaf.Walk();
  CHECK(got.rows().empty());
  CHECK(got.accounting.dead == 1);
  CheckOnly(
      got.sink, "walk.dead-entries", Effect::kNote,
      "dmar0: first-stage table 0x40013000 (level 1, IOVA 0x0): present entries that no request "
      "can reach: 1 (blocked by the second stage)");

  Guest table;
  table.host.Set(table.SecondEntry(0x13000), 0);
  got = table.Walk();
  CHECK(got.rows().empty());
  CHECK(got.accounting.rejected == 1);
  CheckOnly(got.sink, "walk.blocked", Effect::kNote,
            "dmar0: first-stage table 0x40012000 (level 2, IOVA 0x0): entry 0x0: next table at "
            "guest-physical 0x13000: not readable through the second stage (SFS.7)");

  Guest beyond;
  beyond.Table(1, 0, 0x8000000007);  // 39 bits are the second stage's limit
  got = beyond.Walk();
  CHECK(got.rows().empty());
  REQUIRE(got.sink.diagnostics().size() == 1);
  CHECK(
      got.sink.diagnostics()[0].message.ends_with("beyond the limit of the second stage (SFS.5)"));

  Guest leaf_beyond;
  leaf_beyond.Table(3, 1, 0x8000000007);
  got = leaf_beyond.Walk();
  CHECK(got.rows().empty());
  CHECK(got.accounting.dead == 1);

  Guest top;
  top.host.Set(top.SecondEntry(Guest::kTop), 0);
  got = top.Walk();
  CHECK(got.rows().empty());
  REQUIRE(got.sink.diagnostics().size() == 1);
  CHECK(
      got.sink.diagnostics()[0].message.ends_with("not readable through the second stage (SFS.6)"));
  CHECK_FALSE(got.sink.incomplete());
}

TEST_CASE("an unknown first stage is bounded by the second") {
  const std::vector<Row> bound = {{0x10000, 0x8000, 0x40010000, "RW"},
                                  {0x100000, 0x1000, 0x7000000, "RW"}};
  Guest top;
  top.memory.SetPageState(top.Entry(0, 0), ByteState::kExcluded);
  SpaceResult got = top.Walk();
  CHECK(got.rows().empty());
  CHECK(got.collected.bound == bound);
  CHECK(got.accounting.unreadable == 512);
  CHECK(got.sink.incomplete());
  CHECK(got.sink.diagnostics().back().id == "walk.nested-bound");

  Guest lower;
  lower.memory.SetPageState(lower.Entry(3, 0), ByteState::kExcluded);
  CHECK(lower.Walk().collected.bound == bound);

  Guest entry;
  entry.memory.SetState(entry.Entry(3, 7), 8, ByteState::kLost);
  got = entry.Walk();
  CHECK(got.rows().size() == 1);
  CHECK(got.collected.bound == bound);
}

TEST_CASE("an unknown second stage is incomplete, on the way to tables and to leaves") {
  Guest on_way;
  on_way.memory.SetState(on_way.SecondEntry(0x13000), 8, ByteState::kExcluded);
  SpaceResult got = on_way.Walk();
  CHECK(got.rows().empty());
  CHECK(got.sink.incomplete());
  Guest leaf;
  leaf.memory.SetState(leaf.SecondEntry(0x100000), 8, ByteState::kExcluded);
  got = leaf.Walk();
  CHECK(got.rows().empty());
  CHECK(got.accounting.unreadable == 1);
  CHECK(got.sink.incomplete());
}

TEST_CASE("a host table page linked by both stages in the same role stays two things") {
  // The guest maps a table of the second stage as if it were one of its own.
  Guest guest;
  const PhysAddr leaf_table = guest.SecondEntry(0).AlignDown(4096);
  guest.host.Map(guest.second, 3, 0x20000, leaf_table.value());
  guest.Table(2, 1, 0x20007);
  const SpaceResult got = guest.Walk();
  CHECK(got.rows().size() >= 1);
  CHECK(got.rows()[0] == Row{0x1000, 0x1000, 0x7000000, "RW"});
}

}  // namespace
}  // namespace dmaudit::test
