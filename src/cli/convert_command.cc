// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>

#include <algorithm>
#include <atomic>

#include "base/ordered_work.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "kernel/find_kernel.h"
#include "kernel/machine.h"
#include "kernel/virtual_layout.h"
#include "vmcore/write/convert.h"

namespace dmaudit::cli {
namespace {

std::atomic<bool> g_interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void Interrupt(int) { g_interrupted = true; }

// The file beside the target has to go before the process does.
void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = Interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one ends it at once
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
    struct sigaction before {};
    if (sigaction(number, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
      sigaction(number, &action, nullptr);
    }
  }
}

// What the header of a kdump file says beside the notes. A container that has no such header gets
// it from the kernel in the dump, or does without unless the user names a kernel.
Result<KdumpDescription> HeaderOf(const Dump& dump, const DiscoveryOptions& discovery) {
  KdumpDescription header;
  header.release = dump.info.release;
  header.version = dump.info.version;
  header.nodename = dump.info.nodename;
  header.machine = dump.info.machine;
  header.nr_cpus = static_cast<uint32_t>(std::max<std::ptrdiff_t>(
      1, std::count_if(dump.notes.begin(), dump.notes.end(), [](const DumpNote& note) {
        constexpr uint32_t kPrstatus = 1;
        return note.name == "CORE" && note.type == kPrstatus;
      })));
  DiagnosticSink unheard;  // of a kernel, not of the conversion
  MemorySession session(*dump.memory);
  const Result<MachineState> machine = DiscoverMachine(dump, session, unheard, discovery);
  if (!machine && discovery.which) return tl::unexpected<Error>(machine.error());
  if (!machine) return header;
  if (header.machine.empty()) header.machine = "x86_64";  // others are not read
  const KernelIdentity& kernel = machine->identity;
  if (header.release.empty()) header.release = kernel.release.value_or("");
  if (header.version.empty()) header.version = kernel.version.value_or("");
  header.phys_base = kernel.phys_base.value_or(0);
  header.timestamp = kernel.crash_time.value_or(0);
  return header;
}

// Virtual addresses from the kernel's page tables, or else, unless the user names a kernel, as the
// original has them.
Result<ElfDescription> ElfOf(const Dump& dump, const DiscoveryOptions& discovery) {
  ElfDescription elf;
  elf.machine = dump.info.machine;
  VirtualLayout layout = VirtualLayoutOf(dump.info);
  DiagnosticSink unheard;  // of a kernel, not of the conversion
  MemorySession session(*dump.memory);
  const Result<KernelChoice> choice = FindKernel(dump, session, discovery.which, unheard);
  if (!choice && discovery.which) return tl::unexpected<Error>(choice.error());
  if (choice) {
    const VirtualLayout found = FindVirtualLayout(session, choice->kernel.tables.root);
    if (found.direct_map) layout.direct_map = found.direct_map;
    if (!layout.image) layout.image = found.image;
  }
  elf.direct_map = layout.direct_map;
  elf.image = layout.image;
  return elf;
}

// Whether opening the dump found a gap that its pages and their states do not show: taken from a
// running machine, segments that disagree, notes cut. The copy says so by the mark of an incomplete
// dump, or else it would be judged whole. That a list of erased symbols comes along says itself.
bool HasGap(const DiagnosticSink& sink) {
  return std::ranges::any_of(sink.diagnostics(), [](const Diagnostic& diagnostic) {
    return diagnostic.effect == Effect::kIncomplete && diagnostic.id != "kdump.erased" &&
           diagnostic.id != "elf.erased";
  });
}

void Report(const ConvertSummary& summary, DiagnosticSink& sink) {
  const auto unknown = [&sink](uint64_t pages, std::string_view why) {
    if (pages != 0) sink.Incomplete("convert.unknown", "{} pages are {}", pages, why);
  };
  unknown(summary.pages.lost, "lost in the original, and are in the result");
  unknown(summary.pages.truncated, "beyond the end of the original, and of the result");
  unknown(summary.pages.corrupt, "undecodable in the original, and in the result");
  unknown(summary.partial_pages,
          "known in part: kdump holds whole pages only, they are unknown in the result");
}

void Report(const ElfSummary& summary, DiagnosticSink& sink) {
  const auto unknown = [&sink](uint64_t bytes, std::string_view why) {
    if (bytes != 0) sink.Incomplete("convert.unknown", "{} bytes are {}", bytes, why);
  };
  unknown(summary.lost, "lost in the original, and are in the result");
  unknown(summary.truncated, "beyond the end of the original, and of the result");
  unknown(summary.corrupt, "undecodable in the original, and in the result");
}

Result<int> Finish(const auto& summary, const Dump& dump, Progress& progress, DiagnosticSink& sink,
                   const Options& options) {
  progress.Clear();
  if (!summary) return tl::unexpected<Error>(summary.error());
  Report(*summary, sink);
  ReportReadFaults(dump, sink);
  PrintDiagnostics(sink, options);
  return sink.incomplete() ? kExitIncomplete : kExitClean;
}

}  // namespace

Result<int> RunConvert(const CommandSyntax&, const Options& options) {
  DiagnosticSink sink;
  Result<Dump> dump = OpenOneDump(options, sink);
  if (!dump) return tl::unexpected<Error>(dump.error());
  dump->info.incomplete |= HasGap(sink);
  CatchInterrupts();
  Progress progress(!options.quiet);
  const unsigned threads = options.jobs.value_or(AvailableThreads());
  if (options.format == "elf") {
    const auto show = [&](uint64_t done, uint64_t total) {
      progress.Update(done, total);
      return !g_interrupted;
    };
    Result<ElfDescription> elf = ElfOf(*dump, options.audit.discovery);
    if (!elf) return Within(options.paths[0], elf.error());
    return Finish(ConvertToElf(*dump, *std::move(elf), {threads, show}, options.output), *dump,
                  progress, sink, options);
  }
  Result<KdumpDescription> header = HeaderOf(*dump, options.audit.discovery);
  if (!header) return Within(options.paths[0], header.error());
  const uint64_t page_size = dump->memory->page_size();
  KdumpOptions kdump = options.kdump;
  kdump.threads = threads;
  kdump.progress = [&](uint64_t done, uint64_t total) {
    progress.Update(done * page_size, total * page_size);
    return !g_interrupted;
  };
  return Finish(ConvertToKdump(*dump, *std::move(header), kdump, options.output), *dump, progress,
                sink, options);
}

}  // namespace dmaudit::cli
