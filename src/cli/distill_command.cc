// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <cstdio>

#include "base/text.h"
#include "base/version.h"
#include "cli/commands.h"
#include "cli/run.h"
#include "kernel/cpu_notes.h"
#include "vmcore/write/distill.h"

namespace dmaudit::cli {
namespace {

// crash and libkdumpfile take release and machine from the header; the node name is left out: it
// names somebody's machine.
KdumpDescription HeaderOf(const DumpInfo& input, const KernelIdentity& kernel) {
  KdumpDescription header;
  header.release = kernel.release.value_or(input.release);
  header.version = kernel.version.value_or(input.version);
  header.machine = input.machine;
  header.phys_base = kernel.phys_base.value_or(0);
  header.timestamp = kernel.crash_time.value_or(0);
  return header;
}

}  // namespace

Result<int> RunDistill(const CommandSyntax&, const Options& options) {
  DiagnosticSink sink;
  const Result<Dump> dump = OpenOneDump(options, sink);
  if (!dump) return tl::unexpected<Error>(dump.error());
  const bool damaged = sink.incomplete();  // the container itself, whatever the audit reads
  EvidenceRecorder recorder;
  MemorySession session(*dump->memory, &recorder);
  const Result<AuditResult> result = RunAudit(*dump, session, options.audit, sink);
  if (!result) return CannotAudit(result.error(), *dump, sink, options);
  PrintDiagnostics(sink, options);

  DistillRequest request;
  request.header = HeaderOf(dump->info, result->machine.identity);
  request.header.incomplete = damaged || dump->info.incomplete;
  request.header.notes = NotesOfKernel(dump->notes);
  request.provenance.push_back(fmt::format("dmaudit {}", kVersion));
  request.provenance.push_back(
      fmt::format("from {} {}", dump->info.format, dump->info.format_detail));
  const Result<DistillSummary> written = Distill(*dump->memory, recorder, request, options.output);
  if (!written) return tl::unexpected<Error>(written.error());
  if (!options.quiet) {
    std::fputs(fmt::format("dmaudit: {}: {} pages of evidence, everything else redacted\n",
                           EscapeForTerminal(options.output), written->pages_stored)
                   .c_str(),
               stderr);
  }
  return result->complete() ? kExitClean : kExitIncomplete;
}

}  // namespace dmaudit::cli
