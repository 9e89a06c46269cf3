// SPDX-License-Identifier: GPL-2.0-or-later
// Findings as a text report shows them.
#ifndef DMAUDIT_REPORT_TEXT_FINDINGS_H_
#define DMAUDIT_REPORT_TEXT_FINDINGS_H_

#include <cstddef>
#include <string>

#include "audit/audit.h"
#include "report/output.h"
#include "report/report.h"

namespace dmaudit {

// Each with its devices, overlaps and the entries that prove it; briefly without -v.
void WriteTextFindings(const AuditResult& result, const TextOptions& options, Output& output);

// "segment 1: 2e000000-2effffff initrd".
std::string SegmentText(const CrashImage& image, size_t index);

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_TEXT_FINDINGS_H_
