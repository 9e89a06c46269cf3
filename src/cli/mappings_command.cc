// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/mappings.h"
#include "cli/commands.h"
#include "cli/output_file.h"
#include "cli/run.h"
#include "report/rows.h"

namespace dmaudit::cli {

Result<int> RunMappings(const CommandSyntax&, const Options& options) {
  DiagnosticSink sink;
  const Result<Dump> dump = OpenOneDump(options, sink);
  if (!dump) return tl::unexpected<Error>(dump.error());
  MemorySession session(*dump->memory);
  OutputFile out(options.output);
  const std::unique_ptr<RowWriter> rows = MakeRowWriter(options.format, out);
  rows->Header();
  const Result<bool> incomplete =
      StreamMappings(*dump, session, options.audit, sink, [&](const MappingRow& row) {
        rows->Row(row);
        return out.ok();
      });
  if (!incomplete) return CannotAudit(incomplete.error(), *dump, sink, options);
  if (*incomplete) rows->Incomplete(GapsOf(sink).size());
  PrintDiagnostics(sink, options);
  const Status written = out.Close();
  if (!written) return tl::unexpected<Error>(written.error());
  return *incomplete ? kExitIncomplete : kExitClean;
}

}  // namespace dmaudit::cli
