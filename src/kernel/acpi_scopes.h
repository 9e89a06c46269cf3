// SPDX-License-Identifier: GPL-2.0-or-later
// A DMAR table that the user gives, held against and added to what the kernel kept of it.
#ifndef DMAUDIT_KERNEL_ACPI_SCOPES_H_
#define DMAUDIT_KERNEL_ACPI_SCOPES_H_

#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "base/result.h"
#include "dmar/unit_state.h"
#include "kernel/acpi_dmar.h"
#include "kernel/device_facts.h"
#include "kernel/firmware_scopes.h"

namespace dmaudit {

// Reads the file; an error (kUsage) when it cannot be opened or is no DMAR table.
Result<AcpiDmar> LoadAcpiDmar(const std::string& path);

// Adds the structures of `table` that `scopes` lacks, and what those it has lack
// (Origin::kAcpiTable; `path` names the file). Units are the same by their registers, RMRRs by
// segment and first address, the others by segment and devices. Where both say something and
// differ, the kernel's word stays, the table's is a rival, and "kernel.disagree" says it (kNote).
//
// Where firmware gives a bridge, the bus behind it is the kernel's (`inventory`); without it an
// entry is unplaced. Problems of the table and structures that are skipped are notes
// ("kernel.acpi-table", "kernel.acpi-skipped"); that something was taken from a table with problems
// is kIncomplete. One without closes what of the kernel's lists could not be read. A unit of the
// table that is none of `units` is not audited (kIncomplete, "kernel.unit-not-listed").
void MergeAcpiDmar(const AcpiDmar& table, const std::string& path, const DeviceInventory& inventory,
                   const std::vector<UnitState>& units, FirmwareScopes& scopes,
                   DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_ACPI_SCOPES_H_
