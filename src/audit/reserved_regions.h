// SPDX-License-Identifier: GPL-2.0-or-later
// Memory that firmware wants devices to reach (RMRR), held against the tables, RAM and the crash
// kernel's reservation.
#ifndef DMAUDIT_AUDIT_RESERVED_REGIONS_H_
#define DMAUDIT_AUDIT_RESERVED_REGIONS_H_

#include <vector>

#include "audit/audit.h"
#include "audit/finding.h"
#include "base/diagnostics.h"
#include "dmar/rules.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// `rules` has one element per unit of `result`, whose domains were walked: damage of their tables
// has been reported. A note ("audit.region-limit") where not every device was looked at.
std::vector<Finding> CheckReservedRegions(const AuditResult& result,
                                          const std::vector<UnitRules>& rules,
                                          MemorySession& session, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_RESERVED_REGIONS_H_
