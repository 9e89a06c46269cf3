// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "base/text.h"
#include "cli/output_file.h"

namespace dmaudit::cli {
namespace {

// With what went wrong while reading, where something did: it is the likely cause of all else.
Error WithFault(const Error& error, const DiagnosticSink& faults) {
  if (faults.diagnostics().empty()) return error;
  const std::string& fault = faults.diagnostics().front().message;
  if (fault.starts_with(error.message)) return error;
  return {error.code, fmt::format("{} ({})", error.message, fault)};
}

// The names of what opening a dump found damaged or missing in it.
std::string DamageOf(const DiagnosticSink& sink) {
  std::string names;
  std::set<std::string_view> seen;
  for (const Diagnostic& diagnostic : sink.diagnostics()) {
    const std::string_view id = diagnostic.id;
    const bool of_container =
        std::ranges::any_of(std::array{"avml.", "elf.", "flattened.", "kdump.", "lime."},
                            [id](std::string_view prefix) { return id.starts_with(prefix); });
    if (!of_container || diagnostic.effect != Effect::kIncomplete) continue;
    if (id.ends_with(".live") || id.ends_with(".erased") || !seen.insert(id).second) continue;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", id);
  }
  return names;
}

}  // namespace

Result<Dump> OpenOneDump(const Options& options, DiagnosticSink& sink) {
  std::vector<DumpInput> inputs;
  std::vector<std::shared_ptr<const ByteSource>> files;
  for (const std::string& path : options.paths) {
    Result<std::unique_ptr<FileSource>> source =
        OpenOrSpool(path, options.spool, [&](std::span<const std::byte> start) {
          return CheckDumpStart(start, path, options.open);
        });
    if (!source) return tl::unexpected<Error>(source.error());
    files.push_back(*std::move(source));
    inputs.push_back({path, files.back()});
  }
  Result<std::vector<Dump>> dumps = OpenInputs(std::move(inputs), sink, options.open);
  if (!dumps) {
    DiagnosticSink faults;
    for (const auto& file : files) file->ReportFaults(faults);
    return tl::unexpected<Error>(WithFault(dumps.error(), faults));
  }
  if (dumps->size() != 1) {
    const std::string& first = (*dumps)[0].info.paths[0];
    if (first == (*dumps)[1].info.paths[0]) {
      return Fail(ErrorCode::kUsage, "{} is given twice", first);
    }
    return Fail(ErrorCode::kUsage,
                "{} different dumps given where one (or all parts of one) is expected: {} and {} "
                "do not belong together",
                dumps->size(), first, (*dumps)[1].info.paths[0]);
  }
  return std::move(dumps->front());
}

void PrintDiagnostics(const DiagnosticSink& sink, const Options& options) {
  if (options.quiet) return;
  // Without -v, three of a kind tell enough; the rest is a number.
  constexpr uint64_t kBriefPerKind = 3;
  std::map<std::string_view, uint64_t> printed, left_out;
  for (const Diagnostic& diagnostic : sink.diagnostics()) {
    if (!options.verbose && printed[diagnostic.id] == kBriefPerKind) {
      ++left_out[diagnostic.id];
      continue;
    }
    ++printed[diagnostic.id];
    const std::string_view level = diagnostic.effect == Effect::kIncomplete ? "warning" : "note";
    std::string line = fmt::format("dmaudit: {}: {} [{}]", level,
                                   EscapeForTerminal(diagnostic.message), diagnostic.id);
    if (diagnostic.count > 1) line += fmt::format(" ({} times)", diagnostic.count);
    line += '\n';
    std::fputs(line.c_str(), stderr);
  }
  for (const auto& [id, count] : sink.suppressed()) left_out[id] += count;
  for (const auto& [id, count] : left_out) {
    std::fputs(fmt::format("dmaudit: note: {} more [{}]\n", count, id).c_str(), stderr);
  }
}

tl::unexpected<Error> CannotAudit(const Error& error, const Dump& dump, const DiagnosticSink& sink,
                                  const Options& options) {
  if (options.verbose) PrintDiagnostics(sink, options);
  DiagnosticSink faults;
  ReportReadFaults(dump, faults);
  if (faults.incomplete()) return Within(options.paths[0], WithFault(error, faults));
  std::string message;
  // Of what the user asked for, the dump is not the reason.
  if (dump.info.incomplete && error.code != ErrorCode::kUsage) {
    const std::string damage = DamageOf(sink);
    message = fmt::format("the dump is not whole{}: ",
                          damage.empty() ? "" : fmt::format(" ({})", damage));
  }
  message += error.message;
  if (error.code != ErrorCode::kUsage && error.code != ErrorCode::kUnsupported) {
    message += "; --unit or --root gives tables to walk without a kernel";
    if (options.open.raw_base) {
      message += fmt::format(", --raw=ADDRESS where memory begins (taken as {:#x})",
                             options.open.raw_base->value());
    }
  }
  return Within(options.paths[0], {error.code, std::move(message)});
}

void ReportDamage(const std::array<uint64_t, kByteStateCount>& pages, DiagnosticSink& sink) {
  for (const ByteState state : {ByteState::kLost, ByteState::kTruncated, ByteState::kCorrupt}) {
    const uint64_t count = pages[static_cast<unsigned>(state)];
    if (count != 0) sink.Incomplete("pages.damaged", "{} pages are {}", count, ToString(state));
  }
}

bool UseColour(const Options& options) {
  if (options.colour != ColourMode::kAuto) return options.colour == ColourMode::kAlways;
  // https://no-color.org: any non-empty value turns colour off.
  const char* no_colour = std::getenv("NO_COLOR");
  if (no_colour != nullptr && no_colour[0] != '\0') return false;
  if (std::getenv("TERM") == nullptr || TerminalIsDumb()) return false;
  return options.output.empty() && StdoutIsTerminal();
}

}  // namespace dmaudit::cli
