// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/untranslated_devices.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

#include "support/legacy_machine.h"

namespace dmaudit {
namespace {

constexpr uint64_t kRegisters = 0xfed90000;

// One unit with translation off that covers the segment; one device. A test changes one thing.
class Scene : public test::LegacyMachine {
 public:
  Scene() {
    machine.units[0].gcmd = {0, Origin::kKernelShadow, "test"};
    machine.units[0].register_base = {PhysAddr(kRegisters), Origin::kKernelObject, "test"};
    machine.scopes.complete = machine.scopes.units_complete = true;
    AddScope(kRegisters, true, {});
    AddFacts().path = {Bdf{0, 0, 8}};
  }
  void AddScope(uint64_t registers, bool rest, std::vector<Bdf> devices) {
    FirmwareScope scope;
    scope.segment = 0;
    scope.registers = PhysAddr(registers);
    scope.flag = rest;
    scope.devices = std::move(devices);
    machine.scopes.scopes.push_back(scope);
  }
  // A unit that translates, with tables in which nothing is.
  UnitState& AddUnit(uint64_t registers) {
    UnitState unit = machine.units[0];
    unit.name = "dmar1";
    unit.gcmd = {0x80000000, Origin::kKernelShadow, "test"};
    unit.register_base = {PhysAddr(registers), Origin::kKernelObject, "test"};
    unit.rtaddr = {tables.NewPage().value(), Origin::kDerived, "test"};
    return machine.units.emplace_back(unit);
  }
  DeviceFacts& device() { return machine.inventory.devices[0]; }
  // The finding of this kind.
  Finding Of(const AuditResult& result, const FindingKind& kind) const {
    const auto found = std::find_if(result.findings.begin(), result.findings.end(),
                                    [&](const Finding& one) { return one.kind == &kind; });
    REQUIRE(found != result.findings.end());
    return *found;
  }
};

TEST_CASE("a device behind a unit whose translation is off is named by the finding") {
  Scene scene;
  const AuditResult result = scene.Audit();
  REQUIRE(result.untranslated.size() == 1);
  CHECK(result.untranslated[0].facts == 0);
  CHECK(result.untranslated[0].why == WhyUntranslated::kTranslationOff);
  CHECK(result.untranslated[0].unit == size_t{0});
  const Finding finding = scene.Of(result, findings::kTranslationOff);
  REQUIRE(finding.devices.size() == 1);
  CHECK(finding.devices[0].bdf == Bdf{0, 0, 8});
  CHECK(finding.devices[0].ability == DmaAbility::kAble);
  CHECK_FALSE(finding.idle);
}

TEST_CASE("nothing is idle where a device may be missing from the list") {
  Scene scene;
  scene.device().power = PowerState::kD3Hot;
  CHECK(scene.Of(scene.Audit(), findings::kTranslationOff).idle);
  scene.machine.inventory.complete = false;
  CHECK_FALSE(scene.Of(scene.Audit(), findings::kTranslationOff).idle);
  scene.machine.inventory.complete = true;
  // One of which it is not known by which bridge it is reached.
  DeviceFacts other = scene.device();
  other.bdf = Bdf{0, 1, 0};
  other.path.reset();
  scene.machine.inventory.devices.push_back(other);
  const AuditResult result = scene.Audit();
  CHECK(result.untranslated.size() == 1);
  CHECK_FALSE(scene.Of(result, findings::kTranslationOff).idle);
  scene.machine.inventory.devices.pop_back();
  CHECK(scene.Of(scene.Audit(), findings::kTranslationOff).idle);
  // Part of a scope is not known: another unit may be named there.
  scene.machine.scopes.scopes[0].whole = false;
  const AuditResult doubtful = scene.Audit();
  CHECK(doubtful.untranslated.empty());
  CHECK_FALSE(scene.Of(doubtful, findings::kTranslationOff).idle);
}

TEST_CASE("of two units the one whose scope names the device or a bridge above it covers it") {
  const auto covered = [](std::vector<Bdf> path, std::vector<Bdf> named) {
    Scene scene;
    scene.AddUnit(kRegisters + 0x1000);
    scene.AddScope(kRegisters + 0x1000, false, std::move(named));
    scene.device().path = std::move(path);
    return scene.Audit().untranslated.size() == 1;
  };
  const Bdf own{0, 0, 8};
  const Bdf bridge{0, 0, 0x10};
  CHECK(covered({own}, {}));
  CHECK_FALSE(covered({own}, {own}));
  CHECK(covered({own}, {bridge}));
  CHECK_FALSE(covered({own, bridge}, {bridge}));
}

TEST_CASE("a unit is known by its registers") {
  Scene scene;
  scene.machine.scopes.scopes[0].registers = PhysAddr(kRegisters + 0x1000);
  CHECK(scene.Audit().untranslated.empty());
  scene.machine.scopes.scopes[0].registers.reset();
  CHECK(scene.Audit().untranslated.empty());
  scene.machine.scopes.scopes[0].registers = PhysAddr(kRegisters);
  CHECK(scene.Audit().untranslated.size() == 1);
  scene.AddUnit(kRegisters);  // two of the same
  CHECK(scene.Audit().untranslated.empty());
}

TEST_CASE("no IOMMU, a unit that the kernel ignores, no unit, and one that translates") {
  const auto why = [](Scene& scene) -> std::optional<WhyUntranslated> {
    const AuditResult result = scene.Audit();
    if (result.untranslated.empty()) return std::nullopt;
    return result.untranslated[0].why;
  };
  Scene none;
  none.machine.units.clear();
  none.machine.scopes = {};
  none.machine.iommu = IommuPresence::kNone;
  CHECK(why(none) == WhyUntranslated::kNoIommu);
  CHECK(none.Of(none.Audit(), findings::kNoIommu).devices.size() == 1);
  none.machine.iommu = IommuPresence::kUnknown;
  CHECK_FALSE(why(none));
  Scene ignored;
  ignored.machine.units[0].ignored = true;
  CHECK(why(ignored) == WhyUntranslated::kUnitIgnored);
  CHECK(ignored.Of(ignored.Audit(), findings::kUnitIgnored).devices.size() == 1);
  Scene no_unit;
  no_unit.machine.scopes.scopes[0].flag = false;
  CHECK(why(no_unit) == WhyUntranslated::kNoUnit);
  Scene on;
  on.machine.units[0].gcmd = {0x80000000, Origin::kKernelShadow, "test"};
  CHECK_FALSE(why(on));
}

TEST_CASE("with a filter only the chosen devices are told of") {
  Scene scene;
  scene.options.devices = ParseBdfFilter("00:01.0");
  CHECK(scene.Audit().untranslated.size() == 1);
  scene.options.devices = ParseBdfFilter("00:02.0");
  CHECK(scene.Audit().untranslated.empty());
}

}  // namespace
}  // namespace dmaudit
