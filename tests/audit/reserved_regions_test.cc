// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/reserved_regions.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "support/legacy_machine.h"

namespace dmaudit {
namespace {

using test::Only;
using test::TableBuilder;
using Scene = test::LegacyMachine;

FirmwareScope Region(uint64_t first, uint64_t last) {
  FirmwareScope scope;
  scope.kind = ScopeKind::kReservedMemory;
  scope.range = PhysRange{PhysAddr(first), PhysAddr(last)};
  scope.devices = {{0, 0, 0x08}};
  scope.place = "test";
  return scope;
}

TEST_CASE("a region outside RAM that is mapped at its own address is as it should be") {
  Scene scene;
  scene.machine.scopes.scopes = {Region(0x7f000000, 0x7f001fff)};
  scene.Map(0x7f000000, 0x7f000000);
  scene.Map(0x7f001000, 0x7f001000);
  CHECK(scene.Audit().findings.empty());
}

TEST_CASE("a region that is not mapped in full") {
  for (const uint64_t bits : {TableBuilder::kRead, TableBuilder::kReadWrite}) {
    Scene scene;
    scene.machine.scopes.scopes = {Region(0x7f000000, 0x7f001fff)};
    scene.Map(0x7f000000, 0x7f000000);
    // Readable alone, or at another address.
    scene.Map(0x7f001000, bits == TableBuilder::kRead ? 0x7f001000 : 0x7f002000, bits);
    const Finding finding = Only(scene.Audit(), findings::kRegionNotMapped);
    CHECK(finding.devices == std::vector<DeviceRef>{{{0, 0, 8}, {}}});
    // Who holds the device for itself maps what it likes.
    scene.AddFacts();
    scene.machine.inventory.groups[0].domain = DomainType::kUnmanaged;
    CHECK(scene.Audit().findings.empty());
    scene.machine.inventory.groups[0].domain = DomainType::kDma;
    CHECK(scene.Audit().findings.size() == 1);
  }
}

TEST_CASE(
    "a region of a bridge is for what is behind it, one of a physical function for that alone") {
  const Bdf own{0, 0, 0x08};
  const Bdf bridge{0, 0, 0x10};
  const Bdf other{0, 0, 0x18};
  const auto audit = [&](std::vector<Bdf> path, Bdf named) {
    Scene scene;
    scene.machine.scopes.scopes = {Region(0x7f000000, 0x7f000fff)};
    scene.machine.scopes.scopes[0].devices = {named};
    DeviceFacts& device = scene.AddFacts();
    device.path = std::move(path);
    return scene.Audit();
  };
  const Finding finding = Only(audit({own, other, bridge}, bridge), findings::kRegionNotMapped);
  REQUIRE(finding.devices.size() == 1);
  CHECK(finding.devices[0].bdf == own);
  Only(audit({own, bridge, other}, bridge), findings::kRegionNotMapped);
  CHECK(audit({own, other}, bridge).findings.empty());
  // The function that `own` is a virtual one of.
  CHECK(audit({other, bridge}, other).findings.empty());
  Only(audit({other, bridge}, bridge), findings::kRegionNotMapped);
  // Named beside its bridge: still one device.
  Scene scene;
  scene.machine.scopes.scopes = {Region(0x7f000000, 0x7f000fff)};
  scene.machine.scopes.scopes[0].devices = {bridge, own};
  scene.AddFacts().path = {own, bridge};
  CHECK(Only(scene.Audit(), findings::kRegionNotMapped).devices.size() == 1);
}

TEST_CASE("regions whose bridges have more devices behind them than are looked at") {
  const auto noted = [](size_t devices) {
    Scene scene;
    const Bdf bridge{0, 0, 0x10};
    scene.machine.scopes.scopes.assign(16, Region(0x7f000000, 0x7f000fff));
    for (FirmwareScope& scope : scene.machine.scopes.scopes) scope.devices = {bridge};
    scene.AddFacts();
    for (size_t i = 0; i < devices; ++i) {
      DeviceFacts& device = scene.machine.inventory.devices.emplace_back();
      device.bdf = Bdf{1, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
      device.path = {*device.bdf, bridge};
    }
    scene.Audit();
    return std::any_of(scene.sink.diagnostics().begin(), scene.sink.diagnostics().end(),
                       [](const Diagnostic& said) { return said.id == "audit.region-limit"; });
  };
  CHECK_FALSE(noted(65535));
  CHECK_FALSE(noted(65536));
  CHECK(noted(65537));
}

TEST_CASE("two pages that lead to one of a region do not map it in full") {
  Scene scene;
  scene.machine.scopes.scopes = {Region(0x7f000000, 0x7f001fff)};
  scene.Map(0x7f000000, 0x7f000000);
  scene.Map(0x7f001000, 0x7f000000);
  Only(scene.Audit(), findings::kRegionNotMapped);
}

TEST_CASE("where a table cannot be read, that a region is not mapped is not said") {
  Scene scene;
  scene.machine.scopes.scopes = {Region(0x7f000000, 0x7f000fff)};
  const PhysAddr entry = scene.tables.Map(scene.top, 3, 0x7f000000, 0x7f000000);
  scene.memory.SetPageState(entry.AlignDown(0x1000), ByteState::kExcluded);
  const AuditResult result = scene.Audit();
  CHECK(result.findings.empty());
  CHECK_FALSE(result.complete());
}

TEST_CASE("a region in RAM, and one over the crash kernel") {
  const auto kinds = [](uint64_t first, uint64_t last) {
    Scene scene;
    scene.machine.scopes.scopes = {Region(first, last)};
    std::vector<std::string_view> ids;
    for (const Finding& finding : scene.Audit().findings) {
      CHECK(finding.headline.size() <= kMaxHeadline);
      ids.push_back(finding.kind->id);
    }
    return ids;
  };
  using Ids = std::vector<std::string_view>;
  CHECK(kinds(0x40000000, 0x40000fff) == Ids{"rmrr.not-mapped"});
  CHECK(kinds(0x3ffff000, 0x3fffffff) == Ids{"rmrr.in-ram", "rmrr.not-mapped"});
  CHECK(kinds(0x0ffff000, 0x0fffffff) == Ids{"rmrr.in-ram", "rmrr.not-mapped"});
  CHECK(kinds(0x0ffff000, 0x10000fff) == Ids{"rmrr.crash-kernel", "rmrr.not-mapped"});
  CHECK(kinds(0x1ffff000, 0x1fffffff) == Ids{"rmrr.crash-kernel", "rmrr.not-mapped"});
}

TEST_CASE("a region that the memory map reserves in part, as a whole, and next to it") {
  const auto kinds = [](std::vector<PhysRange> reserved) {
    Scene scene;
    scene.machine.scopes.scopes = {Region(0x7f000000, 0x7f001fff)};
    scene.Map(0x7f000000, 0x7f000000);
    scene.Map(0x7f001000, 0x7f001000);
    scene.machine.firmware_reserved.Add(std::move(reserved), Origin::kKernelObject, "test");
    std::vector<std::string_view> ids;
    for (const Finding& finding : scene.Audit().findings) ids.push_back(finding.kind->id);
    return ids;
  };
  using Ids = std::vector<std::string_view>;
  const Ids not_reserved = {"rmrr.not-reserved"};
  CHECK(kinds({}) == not_reserved);
  CHECK(kinds({{PhysAddr(0x7f000000), PhysAddr(0x7f001fff)}}).empty());
  CHECK(kinds({{PhysAddr(0x7f000000), PhysAddr(0x7f001ffe)}}) == not_reserved);
  CHECK(kinds({{PhysAddr(0x7f000001), PhysAddr(0x7f001fff)}}) == not_reserved);
  CHECK(kinds({{PhysAddr(0x7effffff), PhysAddr(0x7f002000)}}).empty());
  // In RAM it is not reserved either: one finding says so.
  Scene scene;
  scene.machine.scopes.scopes = {Region(0x3ffff000, 0x3fffffff)};
  scene.Map(0x3ffff000, 0x3ffff000);
  scene.machine.firmware_reserved.Add({}, Origin::kKernelObject, "test");
  Only(scene.Audit(), findings::kRegionInRam);
}

}  // namespace
}  // namespace dmaudit
