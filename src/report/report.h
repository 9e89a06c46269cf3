// SPDX-License-Identifier: GPL-2.0-or-later
// Reports of an audit: text for people, JSON for machines. No decoding here: everything shown is in
// AuditResult.
#ifndef DMAUDIT_REPORT_REPORT_H_
#define DMAUDIT_REPORT_REPORT_H_

#include "audit/audit.h"
#include "base/diagnostics.h"
#include "report/output.h"
#include "vmcore/dump.h"

namespace dmaudit {

struct TextOptions {
  bool colour = false;
  bool verbose =
      false;  // every device, entry chains, all ranges of a finding, all claims of a value
};

// At most 100 columns; the verdict and its certainty are the first two lines.
void WriteTextReport(const DumpInfo& input, const AuditResult& result, const TextOptions& options,
                     Output& output);

// One JSON object as docs/report.schema.json describes it.
void WriteJsonReport(const DumpInfo& input, const AuditResult& result, const DiagnosticSink& sink,
                     Output& output);

// The JSON object for a run that could not be made (exit status 2).
void WriteJsonError(const std::vector<std::string>& paths, const Error& error, Output& output);

// "CRITICAL: ..." / "CLEAN: ...": the first line of the text report, without colour.
std::string VerdictLine(const AuditResult& result);
// "Complete: ..." / "NOT COMPLETE: ...": the second.
std::string CertaintyLine(const AuditResult& result);

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_REPORT_H_
