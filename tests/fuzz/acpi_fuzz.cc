// SPDX-License-Identifier: GPL-2.0-or-later
// A DMAR table. What is understood stays within the limits, and merging it into a kernel's scopes
// loses none of them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "kernel/acpi_scopes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dmaudit;
  const Result<AcpiDmar> table = ParseAcpiDmar(std::as_bytes(std::span(data, size)));
  if (!table) return 0;
  if (table->scopes.size() > kMaxScopes || table->problems.size() > kMaxAcpiProblems + 1) abort();
  for (const AcpiScope& scope : table->scopes) {
    if (scope.range && scope.range->last < scope.range->first) abort();
    for (const AcpiScopeEntry& entry : scope.entries) {
      if (entry.path.empty()) abort();
    }
  }
  DeviceInventory inventory;
  DeviceFacts device;
  device.bdf = Bdf{0, 1, 0};
  device.path = {Bdf{0, 1, 0}, Bdf{0, 0, 8}};
  inventory.devices.push_back(device);
  FirmwareScopes scopes;
  scopes.complete = scopes.units_complete = true;
  FirmwareScope unit;
  unit.registers = PhysAddr(0xfed90000);
  unit.segment = 0;
  unit.devices = {{0, 0, 8}};
  scopes.scopes.push_back(unit);
  DiagnosticSink sink;
  MergeAcpiDmar(*table, "table", inventory, {}, scopes, sink);
  if (scopes.scopes.size() > table->scopes.size() + 1) abort();
  for (const FirmwareScope& scope : scopes.scopes) {
    if (scope.origin != Origin::kAcpiTable && scope.registers == unit.registers) return 0;
  }
  abort();
}
