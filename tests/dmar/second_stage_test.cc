// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>

#include "dmar/space_walk.h"
#include "dmar/walk_test_support.h"

namespace dmaudit::test {
namespace {

TEST_CASE("neighbouring pages join to one range across tables, others do not") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  build.Map(top, 3, 0x1ff000, 0x7000000);  // last page of one table
  build.Map(top, 3, 0x200000, 0x7001000);  // first page of the next
  build.Map(top, 3, 0x201000, 0x7002000, 1, TableBuilder::kRead);
  build.Map(top, 3, 0x202000, 0x9000000, 1, TableBuilder::kRead);
  build.Map(top, 3, 0x400000, 0x8000000, 2);
  build.Map(top, 3, 0x40000000, 0x40000000, 3, TableBuilder::kWrite);
  const SpaceResult got = Walk(SecondStage(top, 3), MakeRules(), memory);
  CHECK(got.rows() == std::vector<Row>{{0x1ff000, 0x2000, 0x7000000, "RW"},
                                       {0x201000, 0x1000, 0x7002000, "R-"},
                                       {0x202000, 0x1000, 0x9000000, "R-"},
                                       {0x400000, 0x200000, 0x8000000, "RW"},
                                       {0x40000000, 0x40000000, 0x40000000, "-W"}});
  CHECK(got.accounting ==
        WalkAccounting{.visited = 4 * 512, .tables = 3, .leaves = 6, .not_present = 4 * 512 - 9});
  CheckNoDiagnostics(got.sink);
}

TEST_CASE("every number of levels translates its lowest and its highest page") {
  for (const uint8_t levels : std::array<uint8_t, 3>{3, 4, 5}) {
    CAPTURE(levels);
    FakeMemory memory;
    TableBuilder build(memory);
    const PhysAddr top = build.NewPage();
    const uint64_t last = (uint64_t{1} << (12 + 9 * levels)) - 0x1000;
    build.Map(top, levels, 0, 0x5000);
    build.Map(top, levels, last, 0x6000);
    const SpaceResult got = Walk(SecondStage(top, levels), MakeRules(), memory);
    // MGAW is 57 bits, so that every depth counts in full.
    CHECK(got.rows() == std::vector<Row>{{0, 0x1000, 0x5000, "RW"}, {last, 0x1000, 0x6000, "RW"}});
    CheckNoDiagnostics(got.sink);
  }
}

// A 3-level space with one page at IOVA 0x1000, and the entries on its way.
struct OnePage {
  FakeMemory memory;
  TableBuilder build{memory};
  PhysAddr top = build.NewPage();
  PhysAddr leaf = build.Map(top, 3, 0x1000, 0x7000000);
  PhysAddr directory = TableBuilder::EntryAt(top, 0x1000, 3);
  PhysAddr middle = PhysAddr(build.Get(directory) & ~uint64_t{0xfff});

  SpaceResult Walk() { return test::Walk(SecondStage(top, 3), MakeRules(), memory); }
};

TEST_CASE("permissions are ANDed over the levels") {
  const std::array<std::string, 4> names = {"--", "R-", "-W", "RW"};
  for (uint64_t above = 1; above < 4; ++above) {
    for (uint64_t own = 1; own < 4; ++own) {
      CAPTURE(above);
      CAPTURE(own);
      OnePage t;
      t.build.Xor(t.directory, 3 ^ above);
      t.build.Xor(t.leaf, 3 ^ own);
      const SpaceResult got = t.Walk();
      if ((above & own) == 0) {
        CHECK(got.rows().empty());
        CHECK(got.accounting.dead == 1);
        CheckOnly(got.sink, "walk.dead-entries", Effect::kNote,
                  "dmar0: second-stage table 0x102000 (level 1, IOVA 0x0): present entries that no "
                  "request can reach: 1 (no permission left)");
      } else {
        CHECK(got.rows() == std::vector<Row>{{0x1000, 0x1000, 0x7000000, names[above & own]}});
      }
    }
  }
}

TEST_CASE("a reserved bit at each level stops its subtree, with a note that has the raw value") {
  OnePage leaf;
  leaf.build.Xor(leaf.leaf, uint64_t{1} << 50);
  SpaceResult got = leaf.Walk();
  CHECK(got.rows().empty());
  CHECK(got.accounting.rejected == 1);
  CheckOnly(
      got.sink, "walk.reserved-bits", Effect::kNote,
      "dmar0: second-stage table 0x102000 (level 1, IOVA 0x0): entry 0x1: reserved bits 51:46 "
      "are 0x10, expected 0 (LSL.2), quadword 0 is 0x4000007000003");
  OnePage above;
  above.build.Xor(above.directory, 0x800);
  got = above.Walk();
  CHECK(got.rows().empty());
  CHECK(got.accounting.visited == 512);
  CHECK(got.accounting.rejected == 1);
  CheckOnly(
      got.sink, "walk.reserved-bits", Effect::kNote,
      "dmar0: second-stage table 0x100000 (level 3, IOVA 0x0): entry 0x0: reserved bits 11 are "
      "0x1, expected 0 (LSL.2), quadword 0 is 0x101803");
}

TEST_CASE("a page whose bytes are unknown is never read as empty") {
  for (const ByteState state : {ByteState::kExcluded, ByteState::kLost, ByteState::kTruncated,
                                ByteState::kCorrupt, ByteState::kRedacted}) {
    OnePage t;
    t.memory.SetPageState(t.middle, state);
    const SpaceResult got = t.Walk();
    CHECK(got.rows().empty());
    CHECK(got.accounting ==
          WalkAccounting{.visited = 1024, .tables = 1, .not_present = 511, .unreadable = 512});
    CheckOnly(got.sink, "walk.unreadable", Effect::kIncomplete,
              fmt::format("dmar0: second-stage table 0x101000 (level 2, IOVA 0x0): unreadable: {}: "
                          "what it maps is unknown",
                          ToString(state)));
  }
}

TEST_CASE("pages stated to be zero are empty tables") {
  OnePage t;
  t.build.Set(TableBuilder::EntryAt(t.middle, 0x1000, 2), 0);
  t.memory.SetPageState(t.middle, ByteState::kZero);
  const SpaceResult got = t.Walk();
  CHECK(got.rows().empty());
  CheckNoDiagnostics(got.sink);
}

TEST_CASE("in a page that is partly unknown the known entries count") {
  OnePage t;
  t.memory.SetState(PhysAddr(t.leaf.value() + 8), 16, ByteState::kRedacted);
  SpaceResult got = t.Walk();
  CHECK(got.rows().size() == 1);
  CHECK(got.accounting.unreadable == 2);
  CHECK(got.accounting.leaves == 1);
  CheckOnly(got.sink, "walk.unreadable", Effect::kIncomplete,
            "dmar0: second-stage table 0x102000 (level 1, IOVA 0x0): bytes 0x10..0x1f: unreadable: "
            "redacted: what it maps is unknown");
  // One byte of the leaf itself.
  OnePage torn;
  torn.memory.SetState(PhysAddr(torn.leaf.value() + 7), 1, ByteState::kTruncated);
  got = torn.Walk();
  CHECK(got.rows().empty());
  CHECK(got.accounting.unreadable == 1);
  CHECK(got.sink.incomplete());
}

TEST_CASE("a pointer outside the dumped memory is said to be one") {
  OnePage t;
  t.build.Set(t.directory, 0x3ff00000003);
  const SpaceResult got = t.Walk();
  CHECK(got.rows().empty());
  CHECK(got.accounting.unreadable == 512);
  CheckOnly(got.sink, "walk.wild-pointer", Effect::kIncomplete,
            "dmar0: second-stage table 0x3ff00000000 (level 2, IOVA 0x0): lies outside the memory "
            "that the dump describes: what it maps is unknown");
}

TEST_CASE("an unreadable top table leaves everything unknown") {
  FakeMemory memory;
  const SpaceResult got = Walk(SecondStage(PhysAddr(0x5000), 4), MakeRules(), memory);
  CHECK(got.accounting == WalkAccounting{.visited = 512, .unreadable = 512});
  CHECK(got.sink.incomplete());
}

TEST_CASE("a table that lies under itself stops its subtree, and the rest is walked") {
  OnePage t;
  t.build.Set(TableBuilder::EntryAt(t.middle, 0x200000, 2), t.top.value() | 3);
  SpaceResult got = t.Walk();
  CHECK(got.rows() == std::vector<Row>{{0x1000, 0x1000, 0x7000000, "RW"}});
  CHECK(got.accounting.tables == 3);
  CheckOnly(
      got.sink, "walk.loop", Effect::kIncomplete,
      "dmar0: second-stage table 0x101000 (level 2, IOVA 0x0): entry 0x1: links table 0x100000, "
      "which it lies under: not followed");
  OnePage self;
  self.build.Set(TableBuilder::EntryAt(self.top, 0x40000000, 3), self.top.value() | 3);
  got = self.Walk();
  CHECK(got.rows().size() == 1);
  REQUIRE(got.sink.diagnostics().size() == 1);
  CHECK(got.sink.diagnostics()[0].id == "walk.loop");
}

TEST_CASE("entries beyond the input limit are dead: last one below, first one above") {
  // MGAW of 40 bits over 48-bit tables: entries 0 and 1 of the top table count.
  const UnitRules rules =
      MakeRules(false, (kRichCap & ~(uint64_t{0x3f} << 16)) | uint64_t{39} << 16);
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  build.Map(top, 4, 0xfffffff000, 0x5000);
  SpaceResult got = Walk(SecondStage(top, 4), rules, memory);
  CHECK(got.rows() == std::vector<Row>{{0xfffffff000, 0x1000, 0x5000, "RW"}});
  CheckNoDiagnostics(got.sink);
  build.Map(top, 4, 0x10000000000, 0x6000);
  got = Walk(SecondStage(top, 4), rules, memory);
  CHECK(got.rows().size() == 1);
  CHECK(got.accounting.dead == 1);
  CheckOnly(
      got.sink, "walk.dead-entries", Effect::kNote,
      "dmar0: second-stage table 0x100000 (level 4, IOVA 0x0): present entries that no request "
      "can reach: 1 (beyond the input limit)");
}

TEST_CASE("the interrupt window is cut out of input and of output") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  build.Map(top, 3, 0xc0000000, 0xc0000000, 3);
  SpaceResult got = Walk(SecondStage(top, 3), MakeRules(), memory);
  CHECK(got.rows() == std::vector<Row>{{0xc0000000, 0x3ee00000, 0xc0000000, "RW"},
                                       {0xfef00000, 0x1100000, 0xfef00000, "RW"}});
  CHECK(got.accounting.leaves == 1);
  CheckNoDiagnostics(got.sink);

  // Moved by 1 GiB: the input window alone, and with a PASID the output window alone.
  build.Map(top, 3, 0xc0000000, 0x100000000, 3);
  got = Walk(SecondStage(top, 3), MakeRules(), memory);
  CHECK(got.rows() == std::vector<Row>{{0xc0000000, 0x3ee00000, 0x100000000, "RW"},
                                       {0xfef00000, 0x1100000, 0x13ef00000, "RW"}});
  AddressSpace with_pasid = SecondStage(top, 3);
  with_pasid.pasid_requests = true;
  got = Walk(with_pasid, MakeRules(), memory);
  CHECK(got.rows() == std::vector<Row>{{0xc0000000, 0x40000000, 0x100000000, "RW"}});
}

TEST_CASE("pages at the edges of the interrupt window") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  build.Map(top, 3, 0xfedff000, 0x1000);
  build.Map(top, 3, 0xfee00000, 0x2000);
  build.Map(top, 3, 0xfeeff000, 0x3000);
  build.Map(top, 3, 0xfef00000, 0x4000);
  build.Map(top, 3, 0x10000, 0xfee00000);
  const SpaceResult got = Walk(SecondStage(top, 3), MakeRules(), memory);
  CHECK(got.rows() ==
        std::vector<Row>{{0xfedff000, 0x1000, 0x1000, "RW"}, {0xfef00000, 0x1000, 0x4000, "RW"}});
  CHECK(got.accounting.dead == 3);
  CHECK(got.accounting.leaves == 2);
}

TEST_CASE("neighbouring leaves come as one piece, up to the interrupt window") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  for (uint64_t at = 0; at < 0x4000; at += 0x1000) {
    build.Map(top, 3, 0x40000000 + at, 0xfedfe000 + at);  // two pages lead into it
    build.Map(top, 3, 0x80000000 + at, at < 0x3000 ? 0x200000 + at : 0x300000);
    build.Map(top, 3, 0xfedfe000 + at, 0x100000 + at);  // two pages lie in it
  }
  const SpaceResult got = Walk(SecondStage(top, 3), MakeRules(), memory);
  const std::vector<std::pair<Row, uint32_t>> want = {
      {{0x40000000, 0x2000, 0xfedfe000, "RW"}, 2},
      {{0x80000000, 0x3000, 0x200000, "RW"}, 3},
      {{0x80003000, 0x1000, 0x300000, "RW"}, 1},
      {{0xfedfe000, 0x2000, 0x100000, "RW"}, 2},
  };
  REQUIRE(got.collected.pieces.size() == want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    CHECK(ToRow(got.collected.pieces[i].range) == want[i].first);
    CHECK(got.collected.pieces[i].leaves == want[i].second);
    CHECK(got.collected.pieces[i].page_size == 0x1000);
  }
  CHECK(got.accounting.leaves == 8);
  CHECK(got.accounting.dead == 4);
}

TEST_CASE("a table linked from many places is shown at each, up to the budget") {
  // Every entry of three levels links the next; the last level maps one page. 512 + 512^2 links.
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  const PhysAddr middle = build.NewPage();
  const PhysAddr last = build.NewPage();
  for (uint64_t i = 0; i < 512; ++i) {
    build.Set(PhysAddr(top.value() + i * 8), middle.value() | 3);
    build.Set(PhysAddr(middle.value() + i * 8), last.value() | 3);
  }
  build.Set(PhysAddr(last.value() + 511 * 8), 0x7000003);  // clear of the interrupt window
  const SpaceResult got = Walk(SecondStage(top, 3), MakeRules(), memory);
  // The second visit of each of the two tables is free.
  CHECK(got.accounting.visited == (1 + 2 + 2 + SpaceWalk::kMaxRepeatedTables) * 512);
  CHECK(got.sink.incomplete());
  CHECK(got.sink.diagnostics()[0].id == "walk.budget");
  CHECK(got.collected.visits[0].new_page);
  CHECK_FALSE(got.collected.visits[3].new_page);
  CHECK(got.collected.visits[3].repeated);
}

TEST_CASE("the budget of all walks ends a walk with a diagnostic, at its last entry and below") {
  const auto walk = [](uint64_t entries) {
    FakeMemory memory;
    TableBuilder build(memory);
    const PhysAddr top = build.NewPage();
    build.Map(top, 3, 0x1000, 0x7000000, 1, TableBuilder::kReadWrite);
    WalkBudget budget{entries};
    MemorySession session(memory);
    DiagnosticSink sink;
    Collector collector;
    const WalkAccounting got =
        WalkAddressSpace(SecondStage(top, 3), MakeRules(), session, sink, collector, &budget);
    CHECK(got.Closes());
    CHECK(sink.incomplete() == (got.leaves == 0));
    return got.leaves;
  };
  constexpr uint64_t kReadTable = 512 + WalkBudget::kPageCost;
  constexpr uint64_t kThreeTables =
      3 * kReadTable + 2 * (WalkBudget::kTableCost + WalkBudget::kVerdictCost);
  CHECK(walk(kThreeTables - 1) == 0);
  CHECK(walk(kThreeTables) == 1);
  CHECK(walk(kThreeTables + 1) == 1);
}

TEST_CASE("what takes longer to look at draws more on the budget") {
  // Two full leaf tables: what 512 entries of `step` and `bits` cost.
  const auto cost = [](uint64_t step, uint64_t bits) {
    FakeMemory memory;
    TableBuilder build(memory);
    const PhysAddr top = build.NewPage();
    const PhysAddr middle = build.NewPage();
    const PhysAddr leaves = build.NewPage();
    build.Set(top, middle.value() | 3);
    build.Set(middle, leaves.value() | 3);
    for (uint64_t i = 0; i < 512; ++i) {
      build.Set(PhysAddr(leaves.value() + i * 8), (0x7000000 + i * step) | bits);
    }
    WalkBudget budget;
    MemorySession session(memory);
    DiagnosticSink sink;
    Collector collector;
    WalkAddressSpace(SecondStage(top, 3), MakeRules(), session, sink, collector, &budget);
    return WalkBudget::kDefault - budget.entries;
  };
  const uint64_t absent = cost(0x1000, 0);
  CHECK(cost(0x1000, 3) == absent);
  CHECK(cost(0x2000, 3) == absent + 511 * WalkBudget::kRangeCost);
  constexpr uint64_t kReserved = uint64_t{1} << 51;
  CHECK(cost(0x1000, kReserved | 3) == absent + 512 * WalkBudget::kVerdictCost);
}

TEST_CASE("a visitor can skip a table and end the walk") {
  struct Picky : Collector {
    bool OnTableVisit(const TableVisit& visit) override {
      if (visit.table.levels == 1 && visit.iova == Iova(0x200000)) return false;
      return Collector::OnTableVisit(visit);
    }
    bool OnRange(const LiveRange& range) override {
      Collector::OnRange(range);
      return rows.size() < limit;
    }
    size_t limit = 1000;
  };
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  for (uint64_t i = 0; i < 3; ++i)
    build.Map(top, 3, i * 0x200000 + 0x1ff000, 0x7000000 + i * 0x10000);
  MemorySession session(memory);
  DiagnosticSink sink;
  Picky skip;
  WalkAccounting accounting =
      WalkAddressSpace(SecondStage(top, 3), MakeRules(), session, sink, skip);
  CheckInvariants(accounting, skip);
  CHECK(skip.rows.size() == 2);
  CHECK(accounting.visited == 4 * 512);
  Picky one;
  one.limit = 1;
  accounting = WalkAddressSpace(SecondStage(top, 3), MakeRules(), session, sink, one);
  CHECK(accounting.Closes());
  CHECK(one.rows.size() == 1);
}

TEST_CASE("a leaf that only an unknown capability makes valid is taken, and said to be doubtful") {
  OnePage t;
  t.build.Xor(t.leaf, 0x800);
  UnitState unit = MakeUnit(PhysAddr(0), false);
  unit.ecap = {};
  const SpaceResult got = Walk(SecondStage(t.top, 3), UnitRules::For(unit), t.memory);
  CHECK(got.rows().size() == 1);
  CheckOnly(
      got.sink, "walk.doubtful", Effect::kNote,
      "dmar0: second-stage table 0x102000 (level 1, IOVA 0x0): entry 0x1: taken as valid, which "
      "is not certain: reserved bits 11 are 0x1, expected 0 (LSL.2), quadword 0 is 0x7000803");
}

TEST_CASE("pages of the dump larger than a table hold several tables") {
  // 64 KiB pages put together from a memory of 4 KiB ones.
  class Coarse : public PhysicalMemory {
   public:
    explicit Coarse(const FakeMemory& fine) : fine_(fine) {}
    uint32_t page_size() const override { return 65536; }
    std::unique_ptr<DecodeContext> MakeContext() const override { return fine_.MakeContext(); }
    void ReadPage(PhysAddr base, DecodeContext& context, Page& page) const override {
      page.Reset(base, 65536, ByteState::kAbsent);
      Page part;
      for (uint32_t at = 0; at < 65536; at += 4096) {
        fine_.ReadPage(PhysAddr(base.value() + at), context, part);
        std::copy(part.bytes.begin(), part.bytes.end(),
                  page.bytes.begin() + static_cast<std::ptrdiff_t>(at));
        for (const PageExtent& extent : part.extents) {
          page.SetState(at + extent.offset, extent.size, extent.state);
        }
      }
    }
    ByteState PageStateHint(PhysAddr) const override { return ByteState::kData; }
    void VisitRam(const std::function<bool(PhysRange)>& visit) const override {
      fine_.VisitRam(visit);
    }

   private:
    const FakeMemory& fine_;
  };
  OnePage t;
  const SpaceResult fine = t.Walk();
  const SpaceResult coarse = Walk(SecondStage(t.top, 3), MakeRules(), Coarse(t.memory));
  CHECK(coarse.rows() == fine.rows());
  CHECK(coarse.accounting == fine.accounting);
  CheckNoDiagnostics(coarse.sink);
}

}  // namespace
}  // namespace dmaudit::test
