// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/inheritance.h"
#include "cli/commands.h"
#include "cli/output_file.h"
#include "cli/run.h"
#include "report/inheritance_report.h"

namespace dmaudit::cli {

Result<int> RunInherit(const CommandSyntax&, const Options& options) {
  DiagnosticSink sink;
  const Result<Dump> dump = OpenOneDump(options, sink);
  if (!dump) return tl::unexpected<Error>(dump.error());
  MemorySession session(*dump->memory);
  const Result<AuditResult> audit = RunAudit(*dump, session, options.audit, sink);
  if (!audit) return CannotAudit(audit.error(), *dump, sink, options);
  const CaptureKernel capture =
      FindCaptureKernel(*dump, *audit, options.audit, options.capture_command_line, session);
  const Inheritance inheritance = PredictInheritance(*audit, capture, session, sink);
  OutputFile out(options.output);
  if (options.format == "json") {
    WriteJsonInheritance(dump->info, *audit, inheritance, sink, out);
  } else if (options.quiet) {
    out.Write(InheritanceLine(*audit, inheritance) + "\n" +
              InheritanceCertaintyLine(*audit, inheritance) + "\n");
  } else {
    WriteTextInheritance(dump->info, *audit, inheritance, {UseColour(options), options.verbose},
                         out);
  }
  PrintDiagnostics(sink, options);
  const Status written = out.Close();
  if (!written) return tl::unexpected<Error>(written.error());
  return inheritance.complete() ? kExitClean : kExitIncomplete;
}

}  // namespace dmaudit::cli
