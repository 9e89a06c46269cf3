// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/search_roots.h"

#include <doctest/doctest.h>

#include "support/machine_look.h"
#include "support/table_builder.h"

namespace dmaudit {
namespace {

using test::Look;
using test::MachineScene;

// A legacy root table with one device on each of `buses` buses.
PhysAddr AddRoot(MachineScene& scene, uint64_t at, uint8_t buses) {
  test::TableBuilder build(scene.memory(), at);
  const PhysAddr root = build.NewPage();
  for (uint8_t bus = 0; bus < buses; ++bus) {
    build.AttachLegacy(root, bus, 0x08, build.NewPage(), 3, 5);
  }
  return root;
}

TEST_CASE("the root table of a unit that is not in the dump is found by search") {
  Look look(nullptr, [](MachineScene& s) {
    s.SetState("iommu0", ByteState::kExcluded);
    AddRoot(s, MachineScene::kRoot, 2);
  });
  const UnitState& unit = look.unit();
  REQUIRE(unit.rtaddr.known());
  CHECK(unit.rtaddr.value() == MachineScene::kRoot);
  CHECK(unit.rtaddr.chosen().origin == Origin::kSearch);
  CHECK(
      unit.rtaddr.chosen().place.starts_with("search for a root table, the only hit; looked at "));
  CHECK(unit.rtaddr.chosen().place.ends_with("; 2 tables below it, no rejected entry"));
  for (const Diagnostic& d : look.diagnostics()) {
    if (d.id != "kernel.root-search") continue;
    CHECK(d.message.starts_with(
        "dmar0: root table 0xa000000 (legacy, 2 devices) found by search, not through the kernel's "
        "structures; CAP: log, ECAP: log, enables: intel_iommu_enabled = 1: "));
  }
  CHECK(look.scene.Count("kernel.unreadable", Effect::kIncomplete) == 1);
  CHECK(look.scene.Count("kernel.root-search", Effect::kIncomplete) == 1);
}

TEST_CASE("a root table that the kernel names is not searched for") {
  Look look(nullptr, [](MachineScene& s) { AddRoot(s, 0xb000000, 2); });
  CHECK(look.unit().rtaddr.value() == MachineScene::kRoot);
  CHECK(look.unit().rtaddr.claims().size() == 1);
  CHECK(look.diagnostics().empty());
}

TEST_CASE("several root tables are named and none is chosen") {
  Look look(nullptr, [](MachineScene& s) {
    s.SetState("iommu0", ByteState::kExcluded);
    AddRoot(s, 0xb000000, 1);
    AddRoot(s, 0xc000000, 2);
  });
  CHECK_FALSE(look.unit().rtaddr.known());
  REQUIRE(look.scene.Count("kernel.root-search", Effect::kIncomplete) == 1);
  for (const Diagnostic& d : look.diagnostics()) {
    if (d.id != "kernel.root-search") continue;
    CHECK(d.message.starts_with(
        "dmar0: root table not decided, found by search: 0xc000000 (legacy, 2 devices), 0xb000000 "
        "(legacy, 1 device); looked at "));
  }
}

TEST_CASE("a root table that fits two units is given to neither, one that is taken to no other") {
  const auto two = [](MachineScene& s) {
    s.units = 2;
    s.log.push_back("DMAR: dmar1: reg_base_addr fed91000 ver 1:0 cap d2008c22260206 ecap f00f4a");
  };
  Look both(two, [](MachineScene& s) {
    s.SetState("iommu0", ByteState::kExcluded);
    s.SetState("iommu1", ByteState::kExcluded);
    AddRoot(s, 0xb000000, 2);
  });
  for (const UnitState& unit : both.state.units) CHECK_FALSE(unit.rtaddr.known());
  CHECK(both.scene.Count("kernel.root-search", Effect::kIncomplete) == 2);
  Look one(two, [](MachineScene& s) {
    s.SetState("iommu1", ByteState::kExcluded);
    AddRoot(s, MachineScene::kRoot, 3);  // that of the first unit
    AddRoot(s, 0xb000000, 2);
  });
  REQUIRE(one.state.units.size() == 2);
  CHECK(one.state.units[0].rtaddr.value() == MachineScene::kRoot);
  CHECK(one.state.units[1].rtaddr.value() == 0xb000000);
}

TEST_CASE("no search without capabilities, or when translation was never switched on") {
  const auto lost = [](MachineScene& s) {
    s.SetState("iommu0", ByteState::kExcluded);
    AddRoot(s, MachineScene::kRoot, 2);
  };
  Look blind([](MachineScene& s) { s.log.clear(); }, lost);
  CHECK_FALSE(blind.unit().rtaddr.known());
  CHECK(blind.scene.Count("kernel.root-search", Effect::kIncomplete) == 1);
  Look off(nullptr, [&](MachineScene& s) {
    lost(s);
    s.Set32("intel_iommu_enabled", 0);
  });
  CHECK_FALSE(off.unit().rtaddr.known());
  CHECK(off.scene.Count("kernel.root-search", Effect::kIncomplete) == 0);
  CHECK(off.scene.Count("kernel.unreadable", Effect::kIncomplete) == 1);
}

}  // namespace
}  // namespace dmaudit
