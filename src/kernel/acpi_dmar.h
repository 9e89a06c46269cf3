// SPDX-License-Identifier: GPL-2.0-or-later
// The DMAR table as firmware wrote it: bytes in, structures out. It lies in memory that is not in a
// dump; a running machine gives it (acpidump -b).
#ifndef DMAUDIT_KERNEL_ACPI_DMAR_H_
#define DMAUDIT_KERNEL_ACPI_DMAR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "kernel/firmware_scopes.h"

namespace dmaudit {

// One entry of a device scope.
struct AcpiScopeEntry {
  enum class Type : uint8_t {
    kEndpoint = 1,
    kBridge = 2,  // with all that is behind it
    kIoApic = 3,
    kHpet = 4,
    kNamespace = 5,  // a device that firmware describes (ANDD)
  };
  Type type = Type::kEndpoint;
  uint8_t start_bus = 0;
  // From a device of the start bus down, each but the last a bridge: device in bits 7:3, function
  // in bits 2:0. Never empty.
  std::vector<uint8_t> path;
  friend bool operator==(const AcpiScopeEntry&, const AcpiScopeEntry&) = default;
};

// A DRHD, RMRR, ATSR or SATC.
struct AcpiScope {
  ScopeKind kind = ScopeKind::kUnit;
  size_t offset = 0;  // in the table
  uint16_t segment = 0;
  std::optional<PhysAddr> registers;  // of a unit
  std::optional<PhysRange> range;     // of an RMRR
  bool flag = false;                  // INCLUDE_PCI_ALL, ALL_PORTS, ATC required
  std::vector<AcpiScopeEntry> entries;
  bool whole = true;  // no entry is damaged
};

struct AcpiDmar {
  std::vector<AcpiScope> scopes;      // in the table's order
  std::vector<std::string> skipped;   // structures that are not used: "ANDD @ 0x60", "SIDP @ 0x80"
  std::vector<std::string> problems;  // what is wrong with the table, one sentence each
  bool whole() const { return problems.empty(); }
};

// A table beyond it is no DMAR table; machines have some KiB.
inline constexpr size_t kMaxAcpiTable = size_t{1} << 20;
// Problems that are listed one by one.
inline constexpr size_t kMaxAcpiProblems = 16;

// An error when `table` is no DMAR table at all. Damage further on is a problem, and costs what it
// hits: a wrong checksum, a length beyond the bytes, a structure or an entry that does not fit.
Result<AcpiDmar> ParseAcpiDmar(std::span<const std::byte> table);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_ACPI_DMAR_H_
