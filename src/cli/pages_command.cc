// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>

#include "audit/page_states.h"
#include "base/ordered_work.h"
#include "cli/commands.h"
#include "cli/output_file.h"
#include "cli/run.h"
#include "report/page_rows.h"

namespace dmaudit::cli {
Result<int> RunPages(const CommandSyntax&, const Options& options) {
  DiagnosticSink sink;
  const Result<Dump> dump = OpenOneDump(options, sink);
  if (!dump) return tl::unexpected<Error>(dump.error());
  OutputFile out(options.output);
  const std::unique_ptr<PageRowWriter> rows = MakePageRowWriter(options.format, out);
  std::array<uint64_t, kByteStateCount> pages{};
  if (options.crc32) {
    const DigestSummary summary =
        VisitPageDigests(*dump->memory, options.jobs.value_or(AvailableThreads()),
                         MaxUnknownPages(dump->info), [&](const PageDigest& digest) {
                           rows->Page(digest);
                           ++pages[static_cast<unsigned>(digest.state)];
                           return out.ok();
                         });
    if (summary.not_whole != 0) {
      sink.Incomplete("pages.unreadable", "{} pages are announced as data and cannot be read",
                      summary.not_whole);
    }
    if (summary.left_out != 0) {
      sink.Incomplete("pages.left-out",
                      "{} unknown pages are not listed: more than a file of this size justifies",
                      summary.left_out);
    }
  } else {
    PageStateCounter counter(dump->memory->page_size());
    std::array<bool, kByteStateCount> listed{};
    dump->memory->VisitStates([&](PhysRange range, ByteState state) {
      rows->Range(range, state);
      counter.Add(range, state);
      listed[static_cast<unsigned>(state)] = true;
      return out.ok();
    });
    pages = counter.Finish().pages;
    // A page counts in the first state that is not known; what else is listed of it is damage too.
    for (unsigned state = 0; state < kByteStateCount; ++state) {
      if (listed[state]) pages[state] = std::max<uint64_t>(pages[state], 1);
    }
  }
  ReportDamage(pages, sink);
  ReportReadFaults(*dump, sink);
  PrintDiagnostics(sink, options);
  const Status written = out.Close();
  if (!written) return tl::unexpected<Error>(written.error());
  return sink.incomplete() ? kExitIncomplete : kExitClean;
}

}  // namespace dmaudit::cli
