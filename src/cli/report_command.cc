// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/commands.h"
#include "cli/output_file.h"
#include "cli/run.h"
#include "report/report.h"

namespace dmaudit::cli {
namespace {

int StatusOf(const AuditResult& result, FailOn fail_on) {
  const std::optional<Severity> worst = result.worst();
  const bool fails = (fail_on == FailOn::kCritical && worst == Severity::kCritical) ||
                     (fail_on == FailOn::kWarning && worst >= Severity::kWarning);
  if (fails) return kExitFindings;
  return result.complete() ? kExitClean : kExitIncomplete;
}

}  // namespace

Result<int> RunReport(const CommandSyntax&, const Options& options) {
  DiagnosticSink sink;
  const Result<Dump> dump = OpenOneDump(options, sink);
  if (!dump) return tl::unexpected<Error>(dump.error());
  MemorySession session(*dump->memory);
  const Result<AuditResult> result = RunAudit(*dump, session, options.audit, sink);
  if (!result) return CannotAudit(result.error(), *dump, sink, options);
  OutputFile out(options.output);
  if (options.format == "json") {
    WriteJsonReport(dump->info, *result, sink, out);
  } else if (options.quiet) {
    out.Write(VerdictLine(*result) + "\n" + CertaintyLine(*result) + "\n");
  } else {
    WriteTextReport(dump->info, *result, {UseColour(options), options.verbose}, out);
  }
  PrintDiagnostics(sink, options);
  const Status written = out.Close();
  if (!written) return tl::unexpected<Error>(written.error());
  return StatusOf(*result, options.fail_on);
}

}  // namespace dmaudit::cli
