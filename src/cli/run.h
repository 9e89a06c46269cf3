// SPDX-License-Identifier: GPL-2.0-or-later
// What every subcommand does around its work.
#ifndef DMAUDIT_CLI_RUN_H_
#define DMAUDIT_CLI_RUN_H_

#include <array>
#include <cstdint>

#include "base/diagnostics.h"
#include "base/result.h"
#include "cli/options.h"
#include "vmcore/dump.h"
#include "vmcore/memory/byte_state.h"

namespace dmaudit::cli {

// Opens the paths, which must be one dump (in parts or whole).
Result<Dump> OpenOneDump(const Options& options, DiagnosticSink& sink);

// Diagnostics go to standard error, escaped; the first of each kind unless -v, none with -q.
void PrintDiagnostics(const DiagnosticSink& sink, const Options& options);

// The error of a dump that could be opened and not audited (DiscoverMachine): no kernel is in it,
// or the request is at fault. With its path, with the first cause where the dump is a part of one,
// and with what to do. One line says it; what led there is printed with -v only.
tl::unexpected<Error> CannotAudit(const Error& error, const Dump& dump, const DiagnosticSink& sink,
                                  const Options& options);

// Says how many pages (by ByteState) are lost, truncated or corrupt: opening a dump looks at
// samples of the page descriptors only, and exit status 0 says that everything is known.
void ReportDamage(const std::array<uint64_t, kByteStateCount>& pages, DiagnosticSink& sink);

// What --color, the terminal and its environment ask for.
bool UseColour(const Options& options);

}  // namespace dmaudit::cli

#endif  // DMAUDIT_CLI_RUN_H_
