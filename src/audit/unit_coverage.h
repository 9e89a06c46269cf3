// SPDX-License-Identifier: GPL-2.0-or-later
// Which devices are behind a DMAR unit at all, by the scopes that firmware declared.
#ifndef DMAUDIT_AUDIT_UNIT_COVERAGE_H_
#define DMAUDIT_AUDIT_UNIT_COVERAGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "audit/audit.h"
#include "audit/device_states.h"

namespace dmaudit {

// PCI devices with a requester id, of the chosen ones where there is a filter.
bool CoverageApplies(const AuditResult& result, const DeviceFacts& device);

// One answer per device of the inventory, in its order. kNone only where every unit's scope, flag
// and segment and the device's whole path are known; all kUnknown where no scope of a unit is. Only
// PCI devices with a requester id are judged: others have kUnknown. One that no scope covers and
// that a unit's tables name all the same is kUnknown too: one of the two is not what it seems.
std::vector<Coverage> CoverageOf(const AuditResult& result);

// Which unit that is, where one does: indices into `result.units`. Nothing where no unit does, or
// which one is not known. The kernel takes the first whose scope names the device or a bridge above
// it, else the one for the rest of the segment.
std::vector<std::optional<size_t>> CoveringUnits(const AuditResult& result);

// Devices whose answer is kNone as findings name them, at most one finding; and where it is not
// known whether a unit translates a device, and no table names it, a gap.
std::vector<Finding> CheckCoverage(const AuditResult& result, const DeviceStates& states,
                                   DiagnosticSink& sink);

// Devices to which coverage applies.
struct CoverageCounts {
  uint64_t unit = 0;
  uint64_t none = 0;
  uint64_t unknown = 0;
};
CoverageCounts CountCoverage(const AuditResult& result);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_UNIT_COVERAGE_H_
