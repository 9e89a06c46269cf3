// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/commands.h"
#include "cli/output_file.h"
#include "cli/run.h"
#include "report/info.h"

namespace dmaudit::cli {

Result<int> RunInfo(const CommandSyntax&, const Options& options) {
  DiagnosticSink sink;
  const Result<Dump> dump = OpenOneDump(options, sink);
  if (!dump) return tl::unexpected<Error>(dump.error());
  InfoReport info;
  info.input = dump->info;
  info.states = CountPageStates(*dump->memory);
  ReportDamage(info.states.pages, sink);
  MemorySession session(*dump->memory);
  Result<MachineState> machine = DiscoverMachine(*dump, session, sink, options.audit.discovery);
  if (!machine && machine.error().code == ErrorCode::kUsage) {
    return tl::unexpected<Error>(machine.error());
  }
  if (machine) {
    info.machine = std::move(*machine);
  } else {
    info.no_machine_because = machine.error().message;
    sink.Incomplete("info.no-kernel", "{}", machine.error().message);
  }
  OutputFile out(options.output);
  if (options.format == "json") {
    WriteJsonInfo(info, out);
  } else {
    WriteTextInfo(info, out);
  }
  ReportReadFaults(*dump, sink);
  PrintDiagnostics(sink, options);
  const Status written = out.Close();
  if (!written) return tl::unexpected<Error>(written.error());
  return sink.incomplete() ? kExitIncomplete : kExitClean;
}

}  // namespace dmaudit::cli
