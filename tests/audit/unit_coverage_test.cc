// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/unit_coverage.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>

namespace dmaudit {
namespace {

constexpr Bdf kDevice{0, 0x02, 0x00};  // behind the bridge
constexpr Bdf kBridge{0, 0x00, 0x08};

// Segment 0 with a unit for one device of bus 0 and one that takes the rest, segment 1 with a unit
// for one device; a device behind a bridge in segment 0. Each test changes one thing.
struct Scene {
  Scene() {
    MachineState& machine = result.machine;
    machine.iommu = IommuPresence::kIntel;
    machine.scopes.complete = machine.scopes.units_complete = true;
    AddUnit(0, false, {{0, 0, 0x10}});
    AddUnit(0, true, {});
    AddUnit(1, false, {{1, 0, 0x08}});
    DeviceFacts device;
    device.bdf = kDevice;
    device.path = {kDevice, kBridge};
    device.bus_master = true;
    device.power = PowerState::kD0;
    machine.inventory.complete = true;
    machine.inventory.devices.push_back(device);
  }
  void AddUnit(uint16_t segment, bool rest, std::vector<Bdf> devices) {
    FirmwareScope scope;
    scope.segment = segment;
    scope.flag = rest;
    scope.devices = std::move(devices);
    result.machine.scopes.scopes.push_back(scope);
  }
  FirmwareScope& unit(size_t i) { return result.machine.scopes.scopes[i]; }
  DeviceFacts& device() { return result.machine.inventory.devices[0]; }

  Coverage Check() {
    result.coverage = CoverageOf(result);
    findings = CheckCoverage(result, DeviceStates(result.machine.inventory), sink);
    REQUIRE(result.coverage.size() == 1);
    CHECK(findings.size() == (result.coverage[0] == Coverage::kNone && !result.filter ? 1 : 0));
    return result.coverage[0];
  }

  AuditResult result;
  DiagnosticSink sink;
  std::vector<Finding> findings;
};

// A unit that only a table of the user declares.
FirmwareScope& AddDeclared(Scene& scene, std::vector<Bdf> devices) {
  scene.AddUnit(0, devices.empty(), std::move(devices));
  FirmwareScope& scope = scene.result.machine.scopes.scopes.back();
  scope.origin = Origin::kAcpiTable;
  scope.registers = PhysAddr(0xfed92000);
  return scope;
}

Coverage After(const std::function<void(Scene&)>& change) {
  Scene scene;
  change(scene);
  return scene.Check();
}

TEST_CASE("a unit that takes the rest of the segment covers every device of it") {
  Scene scene;
  CHECK(scene.Check() == Coverage::kUnit);
  CHECK(scene.sink.diagnostics().empty());
  CHECK(CountCoverage(scene.result).unit == 1);
}

TEST_CASE("a device in no unit's scope is one finding, and reaches all memory") {
  Scene scene;
  scene.unit(1).flag = false;
  CHECK(scene.Check() == Coverage::kNone);
  CHECK(scene.sink.diagnostics().empty());
  REQUIRE(scene.findings.size() == 1);
  const Finding& finding = scene.findings[0];
  CHECK(finding.kind == &findings::kNoUnit);
  CHECK(finding.devices == std::vector<DeviceRef>{{kDevice, std::nullopt, 0, DmaAbility::kAble}});
  CHECK(finding.headline == "1 device behind no unit: all memory in reach");
  CHECK(CountCoverage(scene.result).none == 1);
}

TEST_CASE("a device that is not listed may be behind no unit, unless units take the rest") {
  const auto incomplete = [](const std::function<void(Scene&)>& change) {
    Scene scene;
    scene.unit(2).flag = true;
    scene.result.machine.inventory.complete = false;
    change(scene);
    scene.Check();
    const bool told = scene.sink.incomplete("audit.devices-unlisted");
    CHECK(scene.sink.diagnostics().size() == (told ? 1 : 0));
    return told;
  };
  CHECK_FALSE(incomplete([](Scene&) {}));
  CHECK(incomplete([](Scene& s) { s.unit(2).flag = false; }));  // segment 1
  CHECK(incomplete([](Scene& s) {
    s.unit(1).flag = false;
    s.unit(0).devices = {kDevice};  // all that are listed are covered
  }));
  CHECK_FALSE(incomplete([](Scene& s) {
    s.unit(1).flag = false;
    s.unit(0).devices = {kDevice};
    s.result.machine.inventory.complete = true;
  }));
  CHECK(incomplete([](Scene& s) { s.result.machine.scopes.units_complete = false; }));
}

TEST_CASE("without a unit for the rest, the device or a bridge above it must be named") {
  const auto named = [](const std::vector<Bdf>& devices) {
    return After([&](Scene& s) {
      s.unit(1).flag = false;
      s.unit(0).devices = devices;
    });
  };
  CHECK(named({kDevice}) == Coverage::kUnit);
  CHECK(named({kBridge}) == Coverage::kUnit);
  CHECK(named({{0, 0x02, 0x01}}) == Coverage::kNone);
  CHECK(named({{1, 0x02, 0x00}}) == Coverage::kNone);
  CHECK(named({}) == Coverage::kNone);
}

TEST_CASE("a unit covers nothing of another segment") {
  CHECK(After([](Scene& s) {
          s.device().bdf = Bdf{1, 2, 0};
          s.device().path = {Bdf{1, 2, 0}};
        }) == Coverage::kNone);
  CHECK(After([](Scene& s) {
          s.device().bdf = Bdf{1, 0, 0x08};
          s.device().path = {Bdf{1, 0, 0x08}};
        }) == Coverage::kUnit);
}

TEST_CASE("what is not known decides nothing, and is a gap") {
  const auto unknown = [](const std::function<void(Scene&)>& change) {
    Scene scene;
    scene.unit(1).flag = false;
    change(scene);
    CHECK(scene.Check() == Coverage::kUnknown);
    CHECK(scene.sink.incomplete("audit.coverage-unknown"));
    CHECK(scene.sink.diagnostics().size() == 1);
    CHECK(CountCoverage(scene.result).unknown == 1);
  };
  unknown([](Scene& s) { s.unit(1).flag = std::nullopt; });
  unknown([](Scene& s) { s.unit(0).whole = false; });
  unknown([](Scene& s) { s.unit(0).unplaced = 1; });
  unknown([](Scene& s) { s.unit(2).segment = std::nullopt; });
  unknown([](Scene& s) { s.result.machine.scopes.units_complete = false; });
  unknown([](Scene& s) { s.device().path = std::nullopt; });
}

TEST_CASE("what is not known of another segment's unit does not matter") {
  Scene scene;
  scene.unit(1).flag = false;
  scene.unit(2).flag = std::nullopt;
  CHECK(scene.Check() == Coverage::kNone);
}

TEST_CASE("a device that a unit's tables name is not said to be behind none") {
  Scene scene;
  scene.unit(1).flag = false;
  scene.result.devices.push_back({kDevice, std::nullopt});
  CHECK(scene.Check() == Coverage::kUnknown);
  CHECK(scene.sink.diagnostics().empty());
}

TEST_CASE(
    "nothing is judged without a unit's scope, for what is no PCI, and without a requester id") {
  const auto nothing = [](const std::function<void(Scene&)>& change) {
    Scene scene;
    scene.unit(1).flag = false;
    change(scene);
    CHECK(scene.Check() == Coverage::kUnknown);
    CHECK(scene.sink.diagnostics().empty());
  };
  nothing([](Scene& s) { s.result.machine.scopes.scopes.clear(); });
  nothing([](Scene& s) { s.device().pci = false; });
  nothing([](Scene& s) { s.device().bdf = std::nullopt; });
}

TEST_CASE("with a filter only the chosen devices are judged") {
  Scene scene;
  scene.unit(1).flag = false;
  scene.result.filter = ParseBdfFilter("0000:05:00.0");
  REQUIRE(scene.result.filter);
  CHECK(scene.Check() == Coverage::kNone);
  CHECK(scene.findings.empty());
  CHECK(CountCoverage(scene.result).none == 0);
}

TEST_CASE(
    "a unit that only the user's table declares translates nothing as long as the dump lacks it") {
  const auto with = [](std::vector<Bdf> devices, uint64_t registers) {
    return After([&](Scene& scene) {
      scene.unit(1).flag = false;  // no unit for the rest
      AddDeclared(scene, std::move(devices));
      AuditedUnit unit;
      unit.state.register_base = {PhysAddr(registers), Origin::kLog, "test"};
      scene.result.units.push_back(unit);
    });
  };
  for (const std::vector<Bdf>& devices : {std::vector<Bdf>{kDevice}, {kBridge}, {}}) {
    CHECK(with(devices, 0xfed92000) == Coverage::kUnit);
    CHECK(with(devices, 0xfed92001) == Coverage::kUnknown);
    CHECK(with(devices, 0xfed91fff) == Coverage::kUnknown);
  }
  // Nor does the unit for the rest then take the device.
  CHECK(After([](Scene& scene) { AddDeclared(scene, {kDevice}); }) == Coverage::kUnknown);
  CHECK(After([](Scene& scene) { AddDeclared(scene, {{0, 9, 0}}); }) == Coverage::kUnit);
}

}  // namespace
}  // namespace dmaudit
