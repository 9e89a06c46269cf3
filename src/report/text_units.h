// SPDX-License-Identifier: GPL-2.0-or-later
// DMAR units, and what firmware declares of them, as a text report shows it.
#ifndef DMAUDIT_REPORT_TEXT_UNITS_H_
#define DMAUDIT_REPORT_TEXT_UNITS_H_

#include "audit/audit.h"
#include "report/layout.h"
#include "report/output.h"
#include "report/report.h"

namespace dmaudit {

// A table of the units, or why there is none; with -v every claim about their registers.
void WriteTextUnits(const AuditResult& result, const TextOptions& options, Output& output);

// What firmware declared; briefly the regions of memory, and what a table that the user gives adds
// or says otherwise.
TextTable ScopeTable(const AuditResult& result, bool verbose);

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_TEXT_UNITS_H_
