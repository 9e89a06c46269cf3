// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/find_root.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>

#include "dmar/walk_test_support.h"
#include "support/table_builder.h"

namespace dmaudit {
namespace {

using test::FakeMemory;
using test::MakeRules;
using test::TableBuilder;

// One scalable and one legacy root table, each with two devices on each of two buses, in a memory
// whose pages are stored in as many bytes as a test says.
class SizedMemory : public FakeMemory {
 public:
  void SetStoredSize(PhysAddr page, uint32_t size) { sizes_[page.value()] = size; }
  void VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const override {
    FakeMemory::VisitStored([&](PhysAddr base, uint32_t) {
      const auto it = sizes_.find(base.value());
      return visit(base, it == sizes_.end() ? 50 : it->second);
    });
  }

 private:
  std::map<uint64_t, uint32_t> sizes_;
};

struct Scene {
  SizedMemory memory;
  TableBuilder build{memory};

  // Devices on buses 0 and `last_bus`, functions 08 and 88.
  PhysAddr Scalable(uint8_t last_bus = 3) {
    const PhysAddr root = build.NewPage();
    for (const uint8_t bus : {uint8_t{0}, last_bus}) {
      for (const uint8_t devfn : {uint8_t{0x08}, uint8_t{0x88}}) {
        const PhysAddr directory = build.NewPage();
        build.SetSecondStage(directory, 0, build.NewPage(), 4, 5);
        build.AttachScalable(root, bus, devfn, directory);
      }
    }
    return root;
  }
  PhysAddr Legacy(uint8_t last_bus = 3) {
    const PhysAddr root = build.NewPage();
    for (const uint8_t bus : {uint8_t{0}, last_bus}) {
      build.AttachLegacy(root, bus, 0x08, build.NewPage(), 3, 5);
      build.AttachLegacy(root, bus, 0x88, build.NewPage(), 3, 6);
    }
    return root;
  }

  RootSearchResult Find(bool scalable, RootSearchBudget budget = {},
                        const std::unordered_set<PhysAddr>& taken = {}) {
    MemorySession session(memory);
    const std::array trials = {MakeRules(scalable)};
    return RootFinder(session, budget).Find(trials, taken);
  }
};

PhysAddr TargetOf(TableBuilder& build, PhysAddr entry) {
  return PhysAddr(build.Get(entry) & 0xffffffffff000);
}

void CheckOnly(const RootSearchResult& result, PhysAddr root, uint64_t devices) {
  REQUIRE(result.found.size() == 1);
  CHECK(result.found[0].table == root);
  CHECK(result.found[0].devices == devices);
  CHECK(result.found[0].unreadable == 0);
  CHECK(result.partial.empty());
  CHECK(result.more == 0);
  CHECK_FALSE(result.budget_reached);
}
void CheckNothing(const RootSearchResult& result) {
  CHECK(result.found.empty());
  CHECK(result.partial.empty());
  CHECK_FALSE(result.budget_reached);
}

TEST_CASE("a scalable root table is found among the tables below it") {
  Scene scene;
  const PhysAddr root = scene.Scalable();
  const RootSearchResult result = scene.Find(true);
  CheckOnly(result, root, 4);
  CHECK(result.found[0].scalable);
  CHECK(result.found[0].pointers == 4);
  CHECK(result.found[0].tables == 12);  // contexts, directories, PASID tables: four each
  CHECK(result.found[0].not_present == 4 * 127 + 4 * 127 + 4 * 63);
  CHECK(result.pages_looked_at == result.pages_stored);
  CHECK(result.stored_limit == 400);
}

TEST_CASE("a legacy root table is found") {
  Scene scene;
  const PhysAddr root = scene.Legacy();
  const RootSearchResult result = scene.Find(false);
  CheckOnly(result, root, 4);
  CHECK_FALSE(result.found[0].scalable);
  CHECK(result.found[0].pointers == 2);
}

TEST_CASE("a table of one mode is none in the other; both modes can be tried at once") {
  Scene scalable;
  const PhysAddr root = scalable.Scalable();
  CheckNothing(scalable.Find(false));
  Scene legacy;
  legacy.Legacy();
  CheckNothing(legacy.Find(true));

  MemorySession session(scalable.memory);
  const std::array trials = {MakeRules(false), MakeRules(true)};
  const RootSearchResult both = RootFinder(session).Find(trials);
  CheckOnly(both, root, 4);
  CHECK(both.found[0].scalable);
}

TEST_CASE("memory without a root table gives none") {
  Scene scene;
  scene.build.NewPages(8);
  CheckNothing(scene.Find(true));
  CheckNothing(scene.Find(false));
  CHECK(scene.Find(true).patterns == 0);  // an empty page is no root table
}

TEST_CASE("a context table alone is no root table") {
  Scene scene;
  const PhysAddr root = scene.Scalable();
  for (const uint8_t bus : {uint8_t{0}, uint8_t{3}}) {
    scene.build.Set(TableBuilder::ScalableRootEntry(root, bus, false), 0);
    scene.build.Set(TableBuilder::ScalableRootEntry(root, bus, true), 0);
  }
  CheckNothing(scene.Find(true));
  CheckNothing(scene.Find(false));
}

TEST_CASE("a page full of small integers is no root table, whatever they point at") {
  Scene scene;
  const PhysAddr page = scene.build.NewPage();
  scene.memory.AddZeroPage(PhysAddr(0));
  for (uint64_t i = 0; i < 512; ++i) scene.build.Set(PhysAddr(page.value() + i * 8), i & 1);
  CheckNothing(scene.Find(true));
  CheckNothing(scene.Find(false));
  for (uint64_t i = 0; i < 512; ++i) scene.build.Set(PhysAddr(page.value() + i * 8), i);
  CheckNothing(scene.Find(true));
}

TEST_CASE("one reserved bit on the way and it is no root table") {
  struct Case {
    const char* where;
    PhysAddr (*entry)(Scene&, PhysAddr root);
    uint64_t bit;
  };
  const auto context = [](Scene& s, PhysAddr root) {
    return s.build.ScalableContext(root, 3, 0x88);
  };
  const auto directory = [](Scene& s, PhysAddr root) {
    return TargetOf(s.build, s.build.ScalableContext(root, 3, 0x88));
  };
  const auto pasid = [](Scene& s, PhysAddr root) {
    return TargetOf(s.build, TargetOf(s.build, s.build.ScalableContext(root, 3, 0x88)));
  };
  const Case cases[] = {
      {"root: bit 1",
       [](Scene&, PhysAddr root) { return TableBuilder::ScalableRootEntry(root, 3, true); }, 1},
      {"root: bit 11",
       [](Scene&, PhysAddr root) { return TableBuilder::ScalableRootEntry(root, 3, true); }, 11},
      {"root: beyond the address width",
       [](Scene&, PhysAddr root) { return TableBuilder::ScalableRootEntry(root, 3, true); }, 46},
      {"context: beyond the address width", context, 46},
      {"directory: bit 2", directory, 2},
      {"PASID entry: bit 10", pasid, 10},
  };
  for (const Case& c : cases) {
    CAPTURE(c.where);
    Scene scene;
    const PhysAddr root = scene.Scalable();
    scene.build.Xor(c.entry(scene, root), uint64_t{1} << c.bit);
    CheckNothing(scene.Find(true));
  }
  Scene legacy;
  const PhysAddr root = legacy.Legacy();
  legacy.build.Xor(legacy.build.LegacyContext(root, 3, 0x88), 0x10);
  CheckNothing(legacy.Find(false));
}

TEST_CASE("a root entry that is not present must be zero") {
  Scene scene;
  const PhysAddr root = scene.Scalable();
  scene.build.Set(TableBuilder::ScalableRootEntry(root, 0x40, false), 0x7000);
  CheckNothing(scene.Find(true));
}

TEST_CASE("tables that lead to no device are no root table") {
  Scene scene;
  const PhysAddr root = scene.build.NewPage();
  scene.build.ScalableContext(root, 0, 0);  // an empty context table
  const RootSearchResult result = scene.Find(true);
  CheckNothing(result);
  CHECK(result.patterns == 1);
}

TEST_CASE("of two root tables both are given, the one with more devices first") {
  Scene scene;
  const PhysAddr stale = scene.build.NewPage();
  scene.build.AttachLegacy(stale, 0, 0x08, scene.build.NewPage(), 3, 9);
  const PhysAddr root = scene.Legacy();
  const RootSearchResult result = scene.Find(false);
  REQUIRE(result.found.size() == 2);
  CHECK(result.found[0].table == root);
  CHECK(result.found[0].devices == 4);
  CHECK(result.found[1].table == stale);
  CHECK(result.found[1].devices == 1);

  const RootSearchResult other = scene.Find(false, {}, {root});
  CheckOnly(other, stale, 1);
}

TEST_CASE("root tables of equal worth are given by address") {
  Scene scene;
  const PhysAddr first = scene.Legacy();
  const PhysAddr second = scene.Legacy();
  const RootSearchResult result = scene.Find(false);
  REQUIRE(result.found.size() == 2);
  CHECK(result.found[0].table == first);
  CHECK(result.found[1].table == second);
  CHECK(result.found[0].devices == result.found[1].devices);
}

TEST_CASE("no more candidates than are kept, the others are counted") {
  for (const size_t count : {RootSearchResult::kMaxKept - 1, RootSearchResult::kMaxKept,
                             RootSearchResult::kMaxKept + 1}) {
    Scene scene;
    for (size_t i = 0; i < count; ++i) scene.Legacy();
    const RootSearchResult result = scene.Find(false);
    CHECK(result.found.size() == std::min(count, RootSearchResult::kMaxKept));
    CHECK(result.more == count - result.found.size());
  }
}

TEST_CASE("a table below a root table is left out though it reads as one too") {
  // A context table of one entry that reads as a scalable root entry, over a directory that reads
  // as a context table, over a PASID table that reads as a directory: only the last one can not be.
  // So the part is made by linking a whole root table where a PASID directory is expected: its
  // pointers lead to context tables, which no rules take for PASID tables with a live entry, unless
  // they are empty.
  Scene scene;
  const PhysAddr root = scene.Scalable();
  const PhysAddr part = scene.build.NewPage();
  const PhysAddr tables = scene.build.NewPage();
  scene.build.Set(part, tables.value() | 1);
  scene.build.AttachScalable(root, 0, 0x10, part);
  // As context table: one device. As PASID table: word 0 is read as a not-present entry.
  const PhysAddr directory = scene.build.NewPage();
  scene.build.SetSecondStage(directory, 0, scene.build.NewPage(), 4, 5);
  // 32 bytes into a PASID entry of 64 bytes whose P is clear.
  scene.build.Set(PhysAddr(tables.value() + 32), directory.value() | 1);
  const RootSearchResult result = scene.Find(true);
  CheckOnly(result, root, 4);

  scene.build.Set(scene.build.ScalableContext(root, 0, 0x10), 0);
  CHECK(scene.Find(true).found.size() == 2);  // apart from each other both stand
}

TEST_CASE("a table that is not in the dump makes a candidate partial, never a hit") {
  for (const ByteState state : {ByteState::kExcluded, ByteState::kLost, ByteState::kRedacted}) {
    Scene scene;
    const PhysAddr root = scene.Scalable();
    const PhysAddr context = TargetOf(scene.build, TableBuilder::ScalableRootEntry(root, 3, true));
    scene.memory.SetPageState(context, state);
    const RootSearchResult result = scene.Find(true);
    CHECK(result.found.empty());
    REQUIRE(result.partial.size() == 1);
    CHECK(result.partial[0].table == root);
    CHECK(result.partial[0].devices == 3);
    CHECK(result.partial[0].unreadable == 1);
  }
  Scene scene;
  const PhysAddr root = scene.Legacy();
  scene.memory.SetPageState(root, ByteState::kExcluded);
  CheckNothing(scene.Find(false));
}

TEST_CASE("only small pages are looked at as long as one of them is a root table") {
  Scene scene;
  const PhysAddr large = scene.Legacy();
  scene.memory.SetStoredSize(large, 401);
  const RootSearchResult all = scene.Find(false);
  CheckOnly(all, large, 4);
  CHECK(all.stored_limit == 0);
  CHECK(all.pages_looked_at == all.pages_stored);

  const PhysAddr small = scene.build.NewPage();
  scene.build.AttachLegacy(small, 0, 0x08, scene.build.NewPage(), 3, 9);
  scene.memory.SetStoredSize(small, 400);
  const RootSearchResult first = scene.Find(false);
  CheckOnly(first, small, 1);
  CHECK(first.stored_limit == 400);
  CHECK(first.pages_looked_at == first.pages_stored - 1);
  CHECK(DescribeCoverage(first) ==
        fmt::format("looked at {} of {} pages (those stored in at most 400 bytes), 1 with the "
                    "pattern",
                    first.pages_looked_at, first.pages_stored));
}

TEST_CASE("every budget ends the search, and is said") {
  Scene scene;
  const PhysAddr first = scene.Legacy();
  const PhysAddr second = scene.Legacy();
  const uint64_t stored = scene.Find(false).pages_stored;

  RootSearchBudget pages;
  pages.pages = stored;
  CHECK_FALSE(scene.Find(false, pages).budget_reached);
  pages.pages = stored - 1;
  CHECK(scene.Find(false, pages).budget_reached);
  CHECK(scene.Find(false, pages).pages_looked_at == stored - 1);

  RootSearchBudget large = pages;
  large.small_page = 0;
  CHECK(scene.Find(false, large).budget_reached);
  CHECK(scene.Find(false, large).pages_looked_at == stored - 1);

  RootSearchBudget asked;
  asked.asked = stored;
  CHECK_FALSE(scene.Find(false, asked).budget_reached);
  asked.asked = stored - 1;
  CHECK(scene.Find(false, asked).budget_reached);

  RootSearchBudget sorted;
  sorted.sorted_pages = stored;
  CHECK_FALSE(scene.Find(false, sorted).budget_reached);
  sorted.sorted_pages = stored - 1;
  CHECK(scene.Find(false, sorted).budget_reached);

  RootSearchBudget patterns;
  patterns.patterns = 2;
  CHECK_FALSE(scene.Find(false, patterns).budget_reached);
  patterns.patterns = 1;
  const RootSearchResult one = scene.Find(false, patterns);
  CHECK(one.budget_reached);
  REQUIRE(one.found.size() == 1);
  CHECK(one.found[0].table == first);

  RootSearchBudget tables;
  tables.tables = 4;
  CHECK_FALSE(scene.Find(false, tables).budget_reached);
  tables.tables = 3;
  const RootSearchResult cut = scene.Find(false, tables);
  CHECK(cut.budget_reached);
  REQUIRE(cut.found.size() == 1);
  CHECK(cut.found[0].table == first);
  CHECK(DescribeCoverage(cut).ends_with(", cut by a budget"));
  CHECK(second != first);
}

TEST_CASE("tables that lead to themselves end") {
  Scene scene;
  const PhysAddr page = scene.build.NewPage();
  scene.build.Set(page, page.value() | 1);
  CHECK(scene.Find(true).patterns == 0);
  const PhysAddr root = scene.build.NewPage();
  const PhysAddr context = scene.build.NewPage();
  scene.build.Set(root, context.value() | 1);
  scene.build.Set(context, root.value() | 1);
  CheckNothing(scene.Find(true));
}

TEST_CASE("the largest PASID directory is followed to its last page and no further") {
  for (const bool beyond : {false, true}) {
    Scene scene;
    const PhysAddr root = scene.build.NewPage();
    const PhysAddr directory = scene.build.NewPages(33);
    scene.build.AttachScalable(root, 0, 0x08, directory, 7);
    scene.build.SetSecondStage(directory, (1 << 20) - 64, scene.build.NewPage(), 4, 5);
    if (beyond) scene.memory.WriteU64(PhysAddr(directory.value() + 32 * 0x1000), 0x7);
    CheckOnly(scene.Find(true), root, 1);
  }
  Scene scene;
  const PhysAddr root = scene.build.NewPage();
  const PhysAddr directory = scene.build.NewPages(32);
  scene.build.AttachScalable(root, 0, 0x08, directory, 7);
  scene.build.SetSecondStage(directory, 0, scene.build.NewPage(), 4, 5);
  scene.memory.WriteU64(PhysAddr(directory.value() + 32 * 0x1000 - 8), 0x7);
  CheckNothing(scene.Find(true));
}

TEST_CASE("searching leaves no evidence") {
  class Recorder : public ReadRecorder {
   public:
    void OnRead(PhysAddr, uint64_t) override { ++reads; }
    int reads = 0;
  };
  Scene scene;
  scene.Legacy();
  Recorder recorder;
  MemorySession session(scene.memory, &recorder);
  const std::array trials = {MakeRules(false)};
  CHECK(RootFinder(session).Find(trials).found.size() == 1);
  CHECK(recorder.reads == 0);
}

}  // namespace
}  // namespace dmaudit
