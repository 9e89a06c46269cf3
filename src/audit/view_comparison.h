// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's view against the hardware's: what the VT-d driver's records attach each device to
// (struct dmar_domain), held against the context or PASID entry of the device.
#ifndef DMAUDIT_AUDIT_VIEW_COMPARISON_H_
#define DMAUDIT_AUDIT_VIEW_COMPARISON_H_

#include <vector>

#include "audit/audit.h"
#include "audit/finding.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// Compares the top table, the domain id and the kind of translation of every device that the
// kernel attached, and counts the outcome in result.views. Differences that the driver makes on
// purpose are none (drivers/iommu/intel/iommu.c): a unit with fewer levels than the domain's table
// gets the table that many levels below its first entry (up to 6.18), pass-through entries have
// neither table nor the domain's id. Nested spaces are not compared. What is not known on either
// side is counted as unknown, and no finding.
std::vector<Finding> CompareViews(AuditResult& result, MemorySession& session);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_VIEW_COMPARISON_H_
