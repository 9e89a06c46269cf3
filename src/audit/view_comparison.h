// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's view against the hardware's: what the VT-d driver's records attach each device to
// (struct dmar_domain), held against the context or PASID entry of the device.
#ifndef DMAUDIT_AUDIT_VIEW_COMPARISON_H_
#define DMAUDIT_AUDIT_VIEW_COMPARISON_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "audit/audit.h"
#include "audit/finding.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

struct ViewFinding {
  Finding finding;
  std::optional<size_t> entry;  // index into AuditResult::devices; nothing where no entry is live
};

// Compares the kind of translation, the top table and the domain id of every device that the
// kernel attached with the entry that the device's own unit has under its own id, and counts the
// outcome in result.views. Differences that the driver makes on purpose are none
// (drivers/iommu/intel/iommu.c): a unit with fewer levels than the domain's table gets the table
// that many levels below its first entry (up to 6.18), pass-through entries have neither table nor
// the domain's id. Nested spaces and those of processes are not compared, and on a unit that was
// taken over from an earlier kernel no difference is told: the entry may be that kernel's. What is
// not known on either side is counted as unknown, by its reason, and no finding.
std::vector<ViewFinding> CompareViews(AuditResult& result, MemorySession& session);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_VIEW_COMPARISON_H_
