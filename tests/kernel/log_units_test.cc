// SPDX-License-Identifier: GPL-2.0-or-later
// Units out of the log, with their root tables beside the kernel's copies of CAP and ECAP.
#include "kernel/log_units.h"

#include <doctest/doctest.h>

#include <functional>

#include "support/machine_scene.h"
#include "support/table_builder.h"

namespace dmaudit {
namespace {

using test::MachineScene;
using test::TableBuilder;

constexpr PhysAddr kRoot{MachineScene::kRoot};

struct Look {
  explicit Look(const std::function<void(MachineScene&)>& before = nullptr,
                const std::function<void(MachineScene&, TableBuilder&)>& after = nullptr,
                std::string_view roads = "log-search") {
    if (before) before(scene);
    scene.Build();
    TableBuilder tables(scene.memory(), 0x6000000);
    scene.memory().AddZeroPage(kRoot);
    tables.AttachLegacy(kRoot, 0, 0x08, tables.NewPage(), 3, 5);
    tables.AttachLegacy(kRoot, 1, 0x00, tables.NewPage(), 3, 6);
    if (after) after(scene, tables);
    DiscoveryOptions options;
    options.roads = *Roads::Parse(roads);
    Result<MachineState> found = scene.Discover(nullptr, options);
    REQUIRE_MESSAGE(found, (found ? "" : found.error().message));
    state = *std::move(found);
  }
  const UnitState& unit() const {
    REQUIRE(state.units.size() == 1);
    return state.units[0];
  }

  MachineScene scene;
  MachineState state;
};

TEST_CASE("a unit of the log has the kernel's registers and root table") {
  const Look look;
  const UnitState& unit = look.unit();
  CHECK(unit.name == "dmar0");
  CHECK(unit.register_base.value() == PhysAddr(MachineScene::kRegisters));
  CHECK(unit.cap.value() == MachineScene::kCap);
  CHECK(unit.cap.chosen().origin == Origin::kLog);
  CHECK(unit.ecap.value() == MachineScene::kEcap);
  CHECK(unit.version.value() == 0x10);
  CHECK(unit.host_address_width.value() == 39);
  CHECK(unit.rtaddr.value() == MachineScene::kRoot);
  CHECK(unit.rtaddr.chosen().origin == Origin::kSearch);
  CHECK(unit.rtaddr.chosen().place.find("search for CAP and ECAP") == 0);
  CHECK(unit.rtaddr.chosen().place.find("2 devices") != std::string::npos);
  CHECK(look.state.iommu_evidence == "the log names 1 unit");
  CHECK(look.scene.Count("kernel.log-units", Effect::kIncomplete) == 1);
}

TEST_CASE("neither symbols nor types are needed") {
  const Look look(nullptr, nullptr, "no-vmcoreinfo,no-signature,no-btf-symbols,no-btf-search");
  CHECK(look.state.identity.symbols_from.starts_with("none: vmcoreinfo is closed by --roads"));
  CHECK(look.unit().rtaddr.value() == MachineScene::kRoot);
  CHECK_FALSE(look.unit().gcmd.known());
}

TEST_CASE("a pair without the address of the registers before it is none of the unit's") {
  const Look look(nullptr, [](MachineScene& s, TableBuilder&) {
    s.Set("iommu0.reg_phys", MachineScene::kRegisters + 0x1000);
  });
  CHECK(look.scene.Count("kernel.log-units", Effect::kIncomplete) == 1);
  // The search for a root table by what it leads to goes on without.
  CHECK(look.unit().rtaddr.value() == MachineScene::kRoot);
  CHECK(look.unit().rtaddr.chosen().place.starts_with("search for a root table"));
}

TEST_CASE("of two root tables behind the pair neither is taken") {
  const Look look(nullptr, [](MachineScene& s, TableBuilder& tables) {
    const PhysAddr second = tables.NewPage();
    tables.AttachLegacy(second, 0, 0x08, tables.NewPage(), 3, 5);
    s.Set("iommu0.prq", MachineScene::kDirect + second.value());
  });
  CHECK_FALSE(look.unit().rtaddr.known());
}

TEST_CASE("an entry that the unit rejects makes a page no root table") {
  const Look look(nullptr, [](MachineScene&, TableBuilder& tables) {
    tables.Xor(TableBuilder::LegacyRootEntry(kRoot, 7), 0x3);
  });
  CHECK_FALSE(look.unit().rtaddr.known());
}

TEST_CASE("a pair in a page that is not in the dump is not found") {
  const Look look(nullptr, [](MachineScene& s, TableBuilder&) {
    s.SetState("iommu0.cap", ByteState::kExcluded);
  });
  CHECK(look.unit().rtaddr.chosen().place.starts_with("search for a root table"));
}

TEST_CASE("lines that repeat are one unit; those that differ leave its capabilities in doubt") {
  const Look same([](MachineScene& s) { s.log.push_back(s.log.back()); });
  CHECK(same.unit().cap.claims().size() == 1);
  const Look differ([](MachineScene& s) {
    s.log.push_back("DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c22260207 ecap f00f4a");
  });
  CHECK(differ.unit().cap.claims().size() == 2);
}

TEST_CASE("a log without units gives none, and does not search") {
  const Look look([](MachineScene& s) { s.log.clear(); });
  CHECK(look.state.units.empty());
  CHECK(look.state.iommu == IommuPresence::kUnknown);
  CHECK(look.state.iommu_evidence ==
        "dmar_drhd_units was not read: kernel-list is closed by --roads; the log names no unit");
}

TEST_CASE("units of as many kinds as are looked for one by one, of one less and of one more") {
  for (const unsigned units : {7U, 8U, 9U}) {
    const Look look(
        [units](MachineScene& s) {
          s.units = units;
          s.log.clear();
          for (unsigned i = 0; i < units; ++i) {
            s.log.push_back(
                fmt::format("DMAR: dmar{}: reg_base_addr {:x} ver 1:0 cap {:x} ecap f00f4a", i,
                            MachineScene::kRegisters + i * 0x1000, MachineScene::kCap + i));
          }
        },
        [units](MachineScene& s, TableBuilder&) {
          for (unsigned i = 0; i < units; ++i) {
            s.Set(fmt::format("iommu{}.cap", i), MachineScene::kCap + i);
          }
        });
    CHECK(look.state.units.size() == units);
    size_t found = 0;
    for (const Diagnostic& d : look.scene.sink.diagnostics()) {
      // Only the first has a root table.
      found += d.message.find("beside CAP, ECAP and register address") != std::string::npos ||
               d.message.find("found together at 1 place,") != std::string::npos;
    }
    CHECK(found == units);
  }
}

TEST_CASE("the kernel's own list goes first where it can be read") {
  const Look look(nullptr, nullptr, "kernel-list,log-search");
  CHECK(look.unit().rtaddr.chosen().origin == Origin::kDerived);
  CHECK_FALSE(look.scene.sink.incomplete());
}

TEST_CASE("kallsyms without variables names what is missing") {
  const Look look([](MachineScene& s) { s.variables.clear(); }, nullptr, "kernel-list,log-search");
  CHECK(look.scene.Count("kernel.text-symbols", Effect::kIncomplete) == 1);
  CHECK(look.unit().rtaddr.value() == MachineScene::kRoot);
  for (const Diagnostic& d : look.scene.sink.diagnostics()) {
    if (d.id != "kernel.text-symbols") continue;
    CHECK(d.message.find("dmar_drhd_units") != std::string::npos);
    CHECK(d.message.find("crashk_res") != std::string::npos);
  }
}

}  // namespace
}  // namespace dmaudit
