// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/firmware_scopes.h"

#include <doctest/doctest.h>

#include <functional>

#include "support/machine_look.h"

namespace dmaudit {
namespace {

using test::MachineScene;

struct Look : test::Look {
  explicit Look(const std::function<void(MachineScene&)>& after = nullptr,
                const std::function<void(MachineScene&)>& before = nullptr)
      : test::Look(before, after), scopes(state.scopes) {
    CHECK_FALSE(scene.sink.incomplete());
  }
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;

  const FirmwareScopes& scopes;
};

TEST_CASE("what firmware declared, list by list") {
  const Look look([](MachineScene& s) {
    s.AddScope("rmrr", 0x7000000, 0x70fffff);
    s.AddScope("atsr");
    s.AddScope("satc");
    s.SetWord("satc2-header", "acpi_dmar_satc.segment", 1);
  });
  CHECK(look.scene.sink.diagnostics().empty());
  CHECK(look.scopes.complete);
  REQUIRE(look.scopes.scopes.size() == 4);
  const FirmwareScope& unit = look.scopes.scopes[0];
  CHECK(unit.kind == ScopeKind::kUnit);
  CHECK(unit.registers == PhysAddr(MachineScene::kRegisters));
  CHECK(unit.devices.empty());
  CHECK(unit.flag == true);
  CHECK(unit.segment == 0);
  CHECK(unit.whole);
  const FirmwareScope& region = look.scopes.scopes[1];
  CHECK(region.kind == ScopeKind::kReservedMemory);
  CHECK(region.segment == 0);
  CHECK(region.range == PhysRange{PhysAddr(0x7000000), PhysAddr(0x70fffff)});
  CHECK(region.devices == std::vector<Bdf>{{0, 0, 8}, {0, 2, 0}});
  CHECK(region.absent == 1);
  CHECK(look.scopes.scopes[2].kind == ScopeKind::kAtsRoot);
  CHECK(look.scopes.scopes[3].kind == ScopeKind::kAtsDevices);
  CHECK(look.scopes.scopes[3].devices == std::vector<Bdf>{{1, 0, 8}, {1, 2, 0}});
}

TEST_CASE("a kernel whose scopes are arrays of pointers to PCI devices") {
  const auto with_old_scopes = [](MachineScene& s) { s.scopes_of_pci_dev = true; };
  const Look look([](MachineScene& s) { s.AddScope("rmrr", 0x7000000, 0x70fffff); },
                  with_old_scopes);
  CHECK(look.scene.sink.diagnostics().empty());
  CHECK(look.scopes.complete);
  REQUIRE(look.scopes.scopes.size() == 2);
  CHECK(look.scopes.scopes[1].devices == std::vector<Bdf>{{0, 0, 8}, {0, 2, 0}});
  CHECK(look.scopes.scopes[1].absent == 1);
  // The devices are other objects; one that the dump leaves out ends its scope, and is named.
  const Look lost(
      [](MachineScene& s) {
        s.AddScope("rmrr", 0x7000000, 0x70fffff);
        uint64_t second = 0;
        REQUIRE(MemorySession(s.memory())
                    .ReadU64(PhysAddr(MachineScene::Physical(s.At("rmrr0-devices") + 8)), second)
                    .ok());
        s.memory().SetPageState(PhysAddr(MachineScene::Physical(second)), ByteState::kExcluded);
      },
      with_old_scopes);
  CHECK_FALSE(lost.scopes.complete);
  CHECK(lost.scopes.scopes[1].devices == std::vector<Bdf>{{0, 0, 8}});
  CHECK(lost.scene.Count("kernel.unreadable", Effect::kNote) == 1);
}

TEST_CASE("a kernel before 5.15 has no SATC list") {
  const Look look(nullptr, [](MachineScene& s) {
    std::erase_if(s.variables, [](const MachineScene::Variable& variable) {
      return variable.name == "dmar_satc_units";
    });
  });
  CHECK(look.scopes.complete);
  CHECK(look.scene.sink.diagnostics().empty());
}

TEST_CASE("an RMRR whose header is not in the dump is in the segment of all units") {
  const Look look([](MachineScene& s) {
    s.AddScope("rmrr", 0x7000000, 0x70fffff);
    s.SetState("rmrr0-header", ByteState::kLost);
  });
  CHECK(look.scene.sink.diagnostics().empty());
  CHECK(look.scopes.complete);
  REQUIRE(look.scopes.scopes.size() == 2);
  const FirmwareScope& region = look.scopes.scopes[1];
  CHECK(region.segment == 0);
  CHECK(region.origin == Origin::kDerived);
  CHECK(region.devices == std::vector<Bdf>{{0, 0, 8}, {0, 2, 0}});
}

TEST_CASE("where units are of two segments its own is not known, and its devices are counted") {
  const Look look(
      [](MachineScene& s) {
        s.AddScope("rmrr", 0x7000000, 0x70fffff);
        s.SetState("rmrr0-header", ByteState::kLost);
        s.SetWord("drhd1", "dmar_drhd_unit.segment", 1);
      },
      [](MachineScene& s) { s.units = 2; });
  CHECK(look.scene.Count("kernel.unreadable", Effect::kNote) == 1);
  CHECK_FALSE(look.scopes.complete);
  const FirmwareScope& region = look.scopes.scopes.back();
  CHECK_FALSE(region.segment);
  CHECK(region.devices.empty());
  CHECK(region.unplaced == 2);
}

TEST_CASE("where not all units are read, theirs is not taken for the segment of all") {
  MachineScene scene;
  scene.units = 2;
  scene.Build();
  scene.AddScope("rmrr", 0x7000000, 0x70fffff);
  scene.SetState("rmrr0-header", ByteState::kLost);
  scene.Set("drhd0.list", 0);
  const Result<MachineState> found = scene.Discover();
  REQUIRE(found);
  CHECK_FALSE(found->scopes.units_complete);
  const FirmwareScope& region = found->scopes.scopes.back();
  CHECK(region.kind == ScopeKind::kReservedMemory);
  CHECK_FALSE(region.segment);
  CHECK(region.unplaced == 2);
}

TEST_CASE("a unit whose structure cannot be read has a flag and a segment that are not known") {
  // The list goes over the page of its only unit: the list itself is then not whole either.
  MachineScene scene;
  scene.Build();
  scene.SetState("drhd0", ByteState::kExcluded);
  Result<MachineState> found = scene.Discover();
  REQUIRE(found);
  CHECK_FALSE(found->scopes.units_complete);
  REQUIRE(found->scopes.scopes.size() == 1);
  const FirmwareScope& unit = found->scopes.scopes[0];
  CHECK_FALSE(unit.flag);
  CHECK_FALSE(unit.segment);
  CHECK_FALSE(unit.whole);
}

TEST_CASE("a list of devices that cannot be read leaves a unit's scope in part unknown") {
  const Look look([](MachineScene& s) {
    s.SetWord("drhd0", "dmar_drhd_unit.devices_cnt", 1);
    s.SetWord("drhd0", "dmar_drhd_unit.devices", 8);
  });
  CHECK_FALSE(look.scopes.units_complete);
  REQUIRE(look.scopes.scopes.size() == 1);
  CHECK(look.scopes.scopes[0].flag == true);
  CHECK_FALSE(look.scopes.scopes[0].whole);
}

TEST_CASE("damage costs what it hits, and is named") {
  const auto damaged = [](const std::function<void(MachineScene&)>& change, std::string_view id) {
    const Look look([&](MachineScene& s) {
      s.AddScope("rmrr", 0x7000000, 0x70fffff);
      change(s);
    });
    CHECK_FALSE(look.scopes.complete);
    CHECK(look.scene.Count(id, Effect::kNote) == 1);
    return look.scopes.scopes.size();
  };
  CHECK(damaged([](MachineScene& s) { s.SetWord("rmrr0", "dmar_rmrr_unit.base_address", 1 << 30); },
                "kernel.damaged") == 1);
  CHECK(damaged([](MachineScene& s) { s.SetWord("rmrr0", "dmar_rmrr_unit.list", 0); },
                "kernel.damaged") == 2);
  CHECK(damaged([](MachineScene& s) { s.SetState("rmrr0-devices", ByteState::kLost); },
                "kernel.unreadable") == 2);
  CHECK(
      damaged([](MachineScene& s) { s.SetWord("rmrr0", "dmar_rmrr_unit.devices_cnt", 0xffffffff); },
              "kernel.limit") == 2);
}

}  // namespace
}  // namespace dmaudit
