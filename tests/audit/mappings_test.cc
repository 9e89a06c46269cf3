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
  std::vector<std::string> rows;
  MemorySession session(*scene.dump.memory);
  const Result<bool> incomplete =
      StreamMappings(scene.dump, session, {}, scene.sink, [&](const MappingRow& row) {
        rows.push_back(fmt::format("{} {:x} {:x}", row.unit, row.iova.value(), row.size));
        return true;
      });
  REQUIRE(incomplete);
  CHECK(rows ==
        std::vector<std::string>{"dmar0 1000 1000", "dmar0 40000000 200000", "dmar1 1000 1000"});
}

}  // namespace
}  // namespace dmaudit
