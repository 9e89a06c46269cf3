// SPDX-License-Identifier: GPL-2.0-or-later
// What a capture kernel would inherit: text for people, JSON for machines.
#ifndef DMAUDIT_REPORT_INHERITANCE_REPORT_H_
#define DMAUDIT_REPORT_INHERITANCE_REPORT_H_

#include <string>

#include "audit/inheritance.h"
#include "base/diagnostics.h"
#include "report/output.h"
#include "report/report.h"
#include "vmcore/dump.h"

namespace dmaudit {

// At most 100 columns; the prediction in short and its certainty are the first two lines.
void WriteTextInheritance(const DumpInfo& input, const AuditResult& audit,
                          const Inheritance& inheritance, const TextOptions& options,
                          Output& output);

// One JSON object as docs/inherit.md describes it.
void WriteJsonInheritance(const DumpInfo& input, const AuditResult& audit,
                          const Inheritance& inheritance, const DiagnosticSink& sink,
                          Output& output);

// "INHERITED: ...", "NOT INHERITED: ...", "PARTLY INHERITED: ...", "OPEN: ...", "NOTHING TO
// INHERIT: ...": the first line of the text, without colour.
std::string InheritanceLine(const AuditResult& audit, const Inheritance& inheritance);
// "Complete: ..." / "NOT COMPLETE: ...": the second.
std::string InheritanceCertaintyLine(const AuditResult& audit, const Inheritance& inheritance);

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_INHERITANCE_REPORT_H_
