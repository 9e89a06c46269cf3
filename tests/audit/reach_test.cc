// SPDX-License-Identifier: GPL-2.0-or-later
// Reach to all memory: pass-through, identity domains, units that do not translate, no IOMMU.
#include <doctest/doctest.h>

#include "audit/audit.h"
#include "support/legacy_machine.h"

namespace dmaudit {
namespace {

using test::Only;
using test::TableBuilder;
using Scene = test::LegacyMachine;

constexpr uint64_t kPlainRam = Scene::kPlainRam;

TEST_CASE("devices in pass-through are one finding, and no overlap") {
  Scene scene;
  for (const uint8_t devfn : {uint8_t{0x08}, uint8_t{0x10}}) {
    const PhysAddr entry = scene.tables.LegacyContext(scene.root, 0, devfn);
    scene.tables.Set(entry, 0b1001);                            // present, type 2
    scene.tables.Set(PhysAddr(entry.value() + 8), 1 | 1 << 8);  // width 39, domain 1
  }
  const AuditResult result = scene.Audit();
  const Finding finding = Only(result, findings::kPassThrough);
  CHECK(finding.devices.size() == 2);
  CHECK(finding.message ==
        "2 devices in hardware pass-through reach all memory, the crash kernel's included");
  CHECK(finding.headline == "2 devices in pass-through reach all memory, crash kernel included");
  CHECK(result.complete());
  // Where none is reserved, nothing is said of it.
  scene.machine.reservations->clear();
  const AuditResult none = scene.Audit();
  CHECK(none.findings.front().kind == &findings::kPassThrough);
  CHECK(none.findings.front().message == "2 devices in hardware pass-through reach all memory");
  CHECK(none.findings.front().headline == "2 devices in pass-through reach all memory");
}

TEST_CASE("a headline of reach names the crash kernel where it has room: at the limit and beyond") {
  MachineState machine;
  const std::string fits(kMaxHeadline - 23, 'x');
  CHECK(OfAllMemory(fits, machine) == fits);
  machine.reservations.emplace();
  CHECK(OfAllMemory(fits, machine) == fits);
  machine.reservations->push_back({});
  CHECK(OfAllMemory(fits, machine) == fits + ", crash kernel included");
  CHECK(OfAllMemory(fits, machine).size() == kMaxHeadline);
  CHECK(OfAllMemory(fits + "x", machine) == fits + "x");
}

TEST_CASE(
    "a domain with all RAM at its own address is one finding; one page short of it is not whole") {
  Scene scene;
  scene.machine.system_ram = {
      {{PhysAddr(0x100000), PhysAddr(0x3fffffff)}}, Origin::kKernelObject, "t"};
  scene.tables.Set(TableBuilder::EntryAt(scene.top, 0, 3), 0);  // drop the mapping of the scene
  scene.Map(0, 0, TableBuilder::kReadWrite, 3);                 // 1 GiB, 1:1
  AuditResult result = scene.Audit();
  CHECK(Only(result, findings::kIdentityDomain).headline ==
        "1 device in an identity domain reaches all memory, crash kernel included");
  CHECK(result.domains[0].identity == IdentityKind::kWhole);

  scene.machine.system_ram = {
      {{PhysAddr(0x100000), PhysAddr(0x40000fff)}}, Origin::kKernelObject, "t"};
  result = scene.Audit();
  Only(result, findings::kOverlapWritable);
  CHECK(result.domains[0].identity == IdentityKind::kRanges);
}

TEST_CASE("a 1:1 range outside the reservation is shown and is no finding") {
  Scene scene;
  scene.Map(kPlainRam + 0x5000, kPlainRam + 0x5000);
  const AuditResult result = scene.Audit();
  CHECK(result.findings.empty());
  CHECK(result.domains[0].identity == IdentityKind::kRanges);
  CHECK(result.domains[0].identity_bytes == 0x1000);
}

TEST_CASE("a unit with translation off is one warning, and its tables are not walked") {
  Scene scene;
  scene.Map(0x5000, 0x10003000);
  scene.machine.units[0].gcmd = {0, Origin::kKernelShadow, "test"};
  const AuditResult result = scene.Audit();
  const Finding finding = Only(result, findings::kTranslationOff);
  CHECK(finding.units == std::vector<std::string>{"dmar0"});
  CHECK(finding.headline ==
        "translation off on 1 unit: all memory in reach, crash kernel included");
  CHECK(result.devices.empty());
}

TEST_CASE("enables that are not known: the tables count, and the audit is not complete") {
  Scene scene;
  scene.Map(0x5000, 0x10003000);
  scene.machine.units[0].gcmd = {};
  const AuditResult result = scene.Audit();
  Only(result, findings::kOverlapWritable);
  CHECK_FALSE(result.complete());
}

TEST_CASE("an ignored unit is a warning unless nothing is behind it") {
  Scene scene;
  scene.machine.units[0].ignored = true;
  CHECK(Only(scene.Audit(), findings::kUnitIgnored).headline ==
        "the kernel ignores 1 unit: all memory in reach, crash kernel included");
  scene.machine.units[0].scope_devices = {1, Origin::kKernelObject, "test"};
  Only(scene.Audit(), findings::kUnitIgnored);
  scene.machine.units[0].scope_devices = {0, Origin::kKernelObject, "test"};
  // Then devices are behind no unit at all.
  CHECK(Only(scene.Audit(), findings::kNoIommu).headline ==
        "no IOMMU in use: all memory in reach, crash kernel included");
  Scene beside;
  beside.machine.units.push_back(beside.machine.units[0]);
  beside.machine.units[1].ignored = true;
  beside.machine.units[1].scope_devices = {0, Origin::kKernelObject, "test"};
  CHECK(beside.Audit().findings.empty());
}

TEST_CASE("no IOMMU is a warning; one that is not read, or not known, is a gap") {
  Scene scene;
  scene.machine.units.clear();
  scene.machine.iommu = IommuPresence::kNone;
  const AuditResult none = scene.Audit();
  CHECK(Only(none, findings::kNoIommu).headline ==
        "no IOMMU: every bus master reaches all memory, crash kernel included");
  CHECK(none.complete());
  for (const IommuPresence presence :
       {IommuPresence::kAmd, IommuPresence::kOther, IommuPresence::kUnknown}) {
    scene.machine.iommu = presence;
    scene.sink = {};
    const AuditResult result = scene.Audit();
    CHECK(result.findings.empty());
    CHECK(result.incomplete_because.size() == 1);
  }
}

}  // namespace
}  // namespace dmaudit
