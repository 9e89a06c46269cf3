// SPDX-License-Identifier: GPL-2.0-or-later
// Units the user gives: beside a kernel, against it, and without one.
#include "kernel/user_units.h"

#include <doctest/doctest.h>

#include "support/machine_scene.h"
#include "support/table_builder.h"

namespace dmaudit {
namespace {

using test::MachineScene;
using test::TableBuilder;

constexpr PhysAddr kRoot{MachineScene::kRoot};

UserUnit Same(std::string name = "dmar0") {
  return {std::move(name), 0, MachineScene::kCap, MachineScene::kEcap, MachineScene::kRoot};
}

struct Look {
  explicit Look(DiscoveryOptions options, bool kernel = true, unsigned units = 1) {
    scene.units = units;
    scene.Build();
    TableBuilder tables(scene.memory(), 0x6000000);
    const PhysAddr top = tables.NewPage();
    scene.memory().AddZeroPage(kRoot);
    tables.AttachLegacy(kRoot, 0, 0x08, top, 3, 5);
    tables.AttachLegacy(kRoot, 0, 0x09, top, 3, 5);
    if (!kernel) scene.dump.notes.clear();
    Result<MachineState> found = scene.Discover(nullptr, options);
    REQUIRE_MESSAGE(found, (found ? "" : found.error().message));
    state = *std::move(found);
  }
  size_t Incomplete(std::string_view id) const { return scene.Count(id, Effect::kIncomplete); }

  MachineScene scene;
  MachineState state;
};

DiscoveryOptions Units(std::vector<UserUnit> units) {
  DiscoveryOptions options;
  options.units = std::move(units);
  return options;
}
DiscoveryOptions Roots(std::vector<UserRoot> roots) {
  DiscoveryOptions options;
  options.roots = std::move(roots);
  return options;
}

TEST_CASE("a unit that is as the kernel has it changes nothing but the origin") {
  const Look look(Units({Same()}));
  CHECK_FALSE(look.scene.sink.incomplete());
  REQUIRE(look.state.units.size() == 1);
  const UnitState& unit = look.state.units[0];
  for (const auto* known : {&unit.cap, &unit.ecap, &unit.rtaddr}) {
    CHECK(known->chosen().origin == Origin::kUser);
    CHECK(known->chosen().place == "--unit");
    CHECK_FALSE(known->disagrees());
  }
  // The kernel knows more than the user: the enables stay its word.
  CHECK(unit.gcmd.value() == 0x86000000);
  CHECK(unit.gcmd.chosen().origin == Origin::kKernelShadow);
}

TEST_CASE("a register that differs from the kernel's is taken, shown, and no certainty") {
  UserUnit other = Same();
  SUBCASE("CAP") { other.cap ^= 1; }
  SUBCASE("ECAP") { other.ecap ^= 1; }
  SUBCASE("root") { other.rtaddr ^= 0x1000; }
  SUBCASE("mode") { other.rtaddr ^= 0x400; }
  const Look look(Units({other}));
  CHECK(look.Incomplete("kernel.disagree") == 1);
  const UnitState& unit = look.state.units.at(0);
  CHECK(unit.cap.value() == other.cap);
  CHECK(unit.ecap.value() == other.ecap);
  CHECK(unit.rtaddr.value() == other.rtaddr);
  CHECK((unit.cap.disagrees() + unit.ecap.disagrees() + unit.rtaddr.disagrees()) == 1);
}

TEST_CASE("a unit that the kernel does not have is one more") {
  const Look look(Units({Same("dmar9")}));
  REQUIRE(look.state.units.size() == 2);
  CHECK(look.state.units[0].cap.chosen().origin == Origin::kKernelShadow);
  CHECK(look.state.units[1].name == "dmar9");
  CHECK(look.state.units[1].gcmd.chosen().origin == Origin::kUser);
  CHECK(look.scene.Count("kernel.disagree", Effect::kNote) == 1);
}

TEST_CASE("without a kernel the units are the user's, and that is a gap") {
  const Look look(Units({Same()}), false);
  CHECK(look.Incomplete("kernel.none") == 1);
  CHECK(look.state.iommu == IommuPresence::kIntel);
  CHECK_FALSE(look.state.reservations);
  CHECK(look.state.identity.symbols_from == "none: no kernel found");
  REQUIRE(look.state.units.size() == 1);
  CHECK((look.state.units[0].gcmd.value() >> 31) == 1);
  CHECK(look.state.system_ram.known());
}

TEST_CASE("a root table that the kernel names too belongs to its unit") {
  for (const std::optional<bool> scalable : {std::optional<bool>(), std::optional<bool>(false)}) {
    const Look look(Roots({{kRoot, scalable}}));
    CHECK_FALSE(look.scene.sink.incomplete());
    REQUIRE(look.state.units.size() == 1);
    CHECK(look.state.units[0].rtaddr.chosen().origin == Origin::kUser);
    CHECK(look.state.units[0].rtaddr.value() == kRoot.value());
  }
}

TEST_CASE("another root table is that of the only unit; of several it is none's") {
  const Look one(Roots({{PhysAddr(0xb000000), false}}));
  CHECK(one.Incomplete("kernel.disagree") == 1);
  REQUIRE(one.state.units.size() == 1);
  CHECK(one.state.units[0].rtaddr.value() == 0xb000000);

  const Look two(Roots({{PhysAddr(0xb000000), false}}), true, 2);
  REQUIRE(two.state.units.size() == 3);
  CHECK(two.state.units[2].name == "root@b000000");
  CHECK_FALSE(two.state.units[2].cap.known());
  CHECK(two.Incomplete("kernel.user-root") == 1);
}

TEST_CASE("the table mode is told from the tables when it is not given") {
  const Look look(Roots({{kRoot, std::nullopt}}), false);
  REQUIRE(look.state.units.size() == 1);
  const UnitState& unit = look.state.units[0];
  CHECK(unit.rtaddr.value() == kRoot.value());
  CHECK(unit.rtaddr.chosen().place ==
        "--root, table mode: the only one in which no entry is rejected");
  CHECK_FALSE(unit.gcmd.known());
  CHECK(look.Incomplete("kernel.user-root") == 1);  // CAP, ECAP, segment and enables
}

TEST_CASE("where the tables do not tell the mode the root is not known") {
  // An empty page reads in either mode, and leads nowhere in both.
  const Look look(Roots({{PhysAddr(0x6000000), std::nullopt}}), false);
  REQUIRE(look.state.units.size() == 1);
  CHECK_FALSE(look.state.units[0].rtaddr.known());
  CHECK(look.Incomplete("kernel.user-root") == 2);
}

TEST_CASE("with the way of the user alone the kernel's units are not looked at") {
  DiscoveryOptions options = Units({Same("mine")});
  options.roads = *Roads::Parse("user");
  const Look look(options);
  REQUIRE(look.state.units.size() == 1);
  CHECK(look.state.units[0].name == "mine");
  CHECK(look.Incomplete("kernel.user-units") == 1);
  CHECK(look.state.reservations);
}

TEST_CASE("ways to units that are closed are named as the reason why there are none") {
  for (const auto& [roads, reason] :
       {std::pair("user", "kernel-list is closed by --roads; log-search is closed by --roads"),
        std::pair("no-kernel-list,no-log-search",
                  "kernel-list is closed by --roads; log-search is closed by --roads")}) {
    DiscoveryOptions options;
    options.roads = *Roads::Parse(roads);
    const Look look(options);
    CHECK(look.state.units.empty());
    CHECK(look.state.iommu == IommuPresence::kUnknown);
    CHECK(look.state.iommu_evidence == std::string("dmar_drhd_units was not read: ") + reason);
  }
}

}  // namespace
}  // namespace dmaudit
