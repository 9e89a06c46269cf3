// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/mappings.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/machine_scene.h"
#include "support/table_builder.h"

namespace dmaudit {
namespace {

using test::MachineScene;
using test::TableBuilder;

// The rows as text; what keeps them from being all is in the scene's sink.
std::vector<std::string> Rows(MachineScene& scene) {
  std::vector<std::string> rows;
  MemorySession session(*scene.dump.memory);
  const Result<bool> incomplete =
      StreamMappings(scene.dump, session, {}, scene.sink, [&](const MappingRow& row) {
        rows.push_back(fmt::format("{} {:x} {:x}", row.unit, row.iova.value(), row.size));
        return true;
      });
  REQUIRE(incomplete);
  CHECK(*incomplete == scene.sink.incomplete());
  return rows;
}

// One unit with one mapping for the scene's device.
void MapOnePage(MachineScene& scene) {
  scene.Build();
  TableBuilder tables(scene.memory(), 0xb000000);
  const PhysAddr root(MachineScene::kRoot);
  scene.memory().AddZeroPage(root);
  const PhysAddr top = tables.NewPage();
  tables.AttachLegacy(root, 0, 0x08, top, 3, 7);
  tables.Map(top, 3, 0x1000, 0x8001000);
}

TEST_CASE("that a unit does not translate is no empty list of mappings") {
  constexpr uint32_t kTranslationEnable = uint32_t{1} << 31;
  MachineScene on;
  MapOnePage(on);
  CHECK(Rows(on) == std::vector<std::string>{"dmar0 1000 1000"});
  CHECK_FALSE(on.sink.incomplete());

  MachineScene off;
  MapOnePage(off);
  off.Set32("iommu0.gcmd", 0x86000000 & ~kTranslationEnable);
  CHECK(Rows(off).empty());
  REQUIRE(GapsOf(off.sink).size() == 1);
  CHECK(GapsOf(off.sink)[0] ==
        "dmar0: DMA translation is off; every bus master behind it reaches all memory; there are "
        "no rows for that");
}

TEST_CASE("that there is no IOMMU, or one that is not read, is no empty list of mappings") {
  MachineScene none;
  none.units = 0;
  none.log = {"Linux version 6.1.0"};
  none.Build();
  CHECK(Rows(none).empty());
  REQUIRE(GapsOf(none.sink).size() == 1);
  CHECK(GapsOf(none.sink)[0].starts_with("no IOMMU ("));

  MachineScene amd;
  amd.units = 0;
  amd.log = {"AMD-Vi: Interrupt remapping enabled"};
  amd.Build();
  CHECK(Rows(amd).empty());
  CHECK(amd.sink.incomplete("audit.iommu-not-read"));
}

TEST_CASE("rows of each unit follow its own capabilities") {
  constexpr uint64_t kLargePages = uint64_t{3} << 34;  // SSLPS
  MachineScene scene;
  scene.units = 2;
  scene.Build();
  scene.Set("iommu1.cap", MachineScene::kCap & ~kLargePages);
  TableBuilder tables(scene.memory(), 0xb000000);
  for (uint64_t unit = 0; unit < scene.units; ++unit) {
    const PhysAddr root(MachineScene::kRoot + 0x10000 * unit);
    scene.memory().AddZeroPage(root);
    const PhysAddr top = tables.NewPage();
    tables.AttachLegacy(root, 0, 0x08, top, 3, 7);
    tables.Map(top, 3, 0x40000000, 0x8000000, 2);
    tables.Map(top, 3, 0x1000, 0x8001000);
  }
  CHECK(Rows(scene) ==
        std::vector<std::string>{"dmar0 1000 1000", "dmar0 40000000 200000", "dmar1 1000 1000"});
}

TEST_CASE("a shared table draws on the budget each time that its rows are shown") {
  // 65,536 devices of one domain, with 127 links to one table whose 512 pages lie apart.
  MachineScene scene;
  scene.Build();
  TableBuilder tables(scene.memory(), 0xb000000);
  const PhysAddr root(MachineScene::kRoot);
  scene.memory().AddZeroPage(root);
  const PhysAddr contexts = tables.NewPage();
  const PhysAddr top = tables.NewPage();
  const PhysAddr middle = tables.NewPage();
  const PhysAddr leaves = tables.NewPage();
  for (uint64_t i = 0; i < 256; ++i) {
    tables.Set(PhysAddr(root.value() + i * 16), contexts.value() | 1);
    tables.Set(PhysAddr(contexts.value() + i * 16), top.value() | 1);
    tables.Set(PhysAddr(contexts.value() + i * 16 + 8), 7 << 8 | 1);
  }
  tables.Set(top, middle.value() | 3);
  for (uint64_t i = 0; i < 127; ++i) {
    tables.Set(PhysAddr(middle.value() + i * 8), leaves.value() | 3);
  }
  for (uint64_t i = 0; i < 512; ++i) {
    tables.Set(PhysAddr(leaves.value() + i * 8), (0x8000000 + i * 0x2000) | 3);
  }
  constexpr uint64_t kTooMany = uint64_t{1} << 25;
  uint64_t rows = 0;
  MemorySession session(*scene.dump.memory);
  const Result<bool> incomplete = StreamMappings(
      scene.dump, session, {}, scene.sink, [&](const MappingRow&) { return ++rows < kTooMany; });
  REQUIRE(incomplete);
  CHECK(*incomplete);
  CHECK(rows < kTooMany);
  CHECK(rows > 100 * 127 * 512);
  CHECK(scene.sink.incomplete("walk.budget"));
}

}  // namespace
}  // namespace dmaudit
