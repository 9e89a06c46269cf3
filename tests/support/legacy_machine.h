// SPDX-License-Identifier: GPL-2.0-or-later
// A machine with one unit in legacy mode and one device, 0000:00:01.0, in domain 7 with a table of
// three levels that maps one page of plain RAM; a loaded crash kernel in kReserved. Clean and
// complete as it stands: a test changes one thing.
#ifndef DMAUDIT_TESTS_SUPPORT_LEGACY_MACHINE_H_
#define DMAUDIT_TESTS_SUPPORT_LEGACY_MACHINE_H_

#include <doctest/doctest.h>

#include "audit/audit.h"
#include "support/table_builder.h"

namespace dmaudit::test {

class LegacyMachine {
 public:
  static constexpr PhysRange kReserved{PhysAddr(0x10000000), PhysAddr(0x1fffffff)};
  static constexpr uint64_t kPlainRam = 0x8000000;  // RAM outside the reservation

  explicit LegacyMachine(uint64_t first_iova = 0x1000) {
    root = tables.NewPage();
    top = tables.NewPage();
    context = tables.AttachLegacy(root, 0, 0x08, top, 3, 7);
    UnitState unit;
    unit.name = "dmar0";
    unit.cap = {0xd2008c22260206, Origin::kKernelShadow, "test"};  // 39 bits, 4 KiB to 1 GiB
    unit.ecap = {0xf00f4a, Origin::kKernelShadow, "test"};
    unit.gcmd = {0x80000000, Origin::kKernelShadow, "test"};
    unit.host_address_width = {39, Origin::kLog, "test"};
    unit.rtaddr = {root.value(), Origin::kDerived, "test"};
    machine.units.push_back(unit);
    machine.iommu = IommuPresence::kIntel;
    machine.reservations.emplace();
    Reserve(ReservationKind::kHigh, kReserved);
    machine.crash_kernel_loaded = {true, Origin::kKernelObject, "test"};
    machine.system_ram = {
        {{PhysAddr(0x100000), PhysAddr(0x3fffffff)}}, Origin::kKernelObject, "test"};
    Map(first_iova, kPlainRam);
  }

  void Reserve(ReservationKind kind, PhysRange range) {
    machine.reservations->push_back({kind, Known<PhysRange>(range, Origin::kKernelObject, "test")});
  }
  void Map(uint64_t iova, uint64_t pa, uint64_t bits = TableBuilder::kReadWrite,
           unsigned level = 1) {
    tables.Map(top, 3, iova, pa, level, bits);
  }
  // What the kernel knows of the device: bus master, on, in a group of its own.
  DeviceFacts& AddFacts() {
    DeviceInventory& inventory = machine.inventory;
    inventory.complete = true;
    inventory.groups.resize(1);
    DeviceFacts& device = inventory.devices.emplace_back();
    device.bdf = Bdf{0, 0, 0x08};
    device.driver = "nvme";
    device.bus_master = true;
    device.power = PowerState::kD0;
    device.group = 0;
    return device;
  }
  AuditResult Audit() {
    MemorySession session(memory);
    AuditResult result = AuditMachine(machine, session, options, sink);
    CHECK(result.accounting.Closes());
    return result;
  }

  FakeMemory memory;
  TableBuilder tables{memory};
  PhysAddr root, top, context;
  MachineState machine;
  AuditOptions options;
  DiagnosticSink sink;
};

// The one finding of the result, which must be of this kind.
inline Finding Only(const AuditResult& result, const FindingKind& kind) {
  REQUIRE(result.findings.size() == 1);
  CHECK(result.findings[0].kind->id == kind.id);
  CHECK_FALSE(result.findings[0].headline.empty());
  CHECK(result.findings[0].headline.size() <= kMaxHeadline);
  return result.findings[0];
}

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_LEGACY_MACHINE_H_
