// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <algorithm>

#include "audit/unit_coverage.h"
#include "base/ranges.h"
#include "base/text.h"
#include "report/device_list.h"
#include "report/device_table.h"
#include "report/info.h"
#include "report/layout.h"
#include "report/report.h"
#include "report/text_findings.h"
#include "report/text_units.h"

namespace dmaudit {
namespace {

// Reasons and domains list this many of a kind unless -v asks for all.
constexpr size_t kBriefReasons = 12;
constexpr size_t kBriefRows = 32;

class TextReport {
 public:
  TextReport(const DumpInfo& input, const AuditResult& result, const TextOptions& options,
             Output& output)
      : input_(input), result_(result), options_(options), out_(output) {}

  void Write() {
    Verdict();
    Input();
    CrashKernel();
    Findings();
    Units();
    Scopes();
    Domains();
    Devices();
    Coverage();
  }

 private:
  static std::string Safe(std::string_view text) { return EscapeForTerminal(text); }

  void Heading(std::string_view title) {
    out_.Write("\n");
    out_.Write(Coloured("1", title));
    out_.Write("\n");
  }

  std::string Coloured(std::string_view code, std::string_view text) const {
    if (!options_.colour) return std::string(text);
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
  }

  // Wraps first and colours the whole line after, so that escape codes do not count as columns.
  void WriteColouredLine(std::string_view code, const std::string& line) {
    StringOutput plain;
    WriteWrapped("", line, plain);
    std::string text = plain.text();
    text.pop_back();
    out_.Write(Coloured(code, text));
    out_.Write("\n");
  }

  void Verdict() {
    const std::optional<Severity> worst = result_.worst();
    const bool critical = worst == Severity::kCritical;
    const std::string_view colour = critical ? "1;31" : result_.has_findings() ? "1;33" : "1;32";
    WriteColouredLine(colour, VerdictLine(result_));
    WriteColouredLine(result_.complete() ? "32" : "1;33", CertaintyLine(result_));
    const std::vector<std::string>& gaps = result_.incomplete_because;
    const size_t shown = options_.verbose ? gaps.size() : std::min(kBriefReasons, gaps.size());
    for (size_t i = 0; i < shown; ++i) WriteWrapped("  - ", Safe(gaps[i]), out_);
    MoreRows(gaps.size(), shown, "gap");
  }

  void Input() {
    Heading("Dump");
    const KernelIdentity& kernel = result_.machine.identity;
    std::string format = input_.format;
    if (!input_.format_detail.empty()) format += ", " + input_.format_detail;
    if (!input_.compression.empty()) format += ", " + input_.compression;
    if (input_.distilled) format += ", distilled";
    for (const std::string& path : input_.paths) WriteWrapped("  file    ", Safe(path), out_);
    WriteWrapped("  format  ", Safe(format), out_);
    if (kernel.release) WriteWrapped("  kernel  ", Safe(kernel.release.value()), out_);
    if (kernel.crash_time) WriteWrapped("  crashed ", FormatUtc(*kernel.crash_time), out_);
    if (!kernel.panic_line.empty()) WriteWrapped("  panic   ", Safe(kernel.panic_line), out_);
    if (!kernel.whose_tables.empty() && (kernel.two_kernels || options_.verbose)) {
      WriteWrapped("  tables  ", Safe(kernel.whose_tables), out_);
    }
    if (options_.verbose) {
      WriteWrapped("  symbols ", Safe(kernel.symbols_from), out_);
      WriteWrapped("  types   ", Safe(kernel.types_from), out_);
    }
  }

  void CrashKernel() {
    Heading("Crash kernel memory");
    const MachineState& machine = result_.machine;
    if (!machine.reservations) {
      out_.Write("  not known\n");
      return;
    }
    if (machine.reservations->empty()) {
      out_.Write("  none reserved\n");
      return;
    }
    TextTable table({"name", "start-end", "size", "from"});
    for (const Reservation& reservation : *machine.reservations) {
      if (!reservation.range) continue;
      const Claim<PhysRange>& chosen = reservation.range.chosen();
      std::string from = fmt::format("{}: {}", ToString(chosen.origin), Safe(chosen.place));
      for (const Claim<PhysRange>& claim : reservation.range.claims()) {
        const bool same = claim.value == chosen.value;
        if (&claim == &chosen || (same && !options_.verbose)) continue;
        from += fmt::format("; {} {}: {}", same ? "agrees" : "DISAGREES " + ToString(claim.value),
                            ToString(claim.origin), Safe(claim.place));
      }
      table.AddRow({std::string(ToString(reservation.kind)), ToString(chosen.value),
                    HumanSize(chosen.value.size()), std::move(from)});
    }
    table.Write(out_);
    if (machine.crash_kernel_loaded) {
      out_.Write(machine.crash_kernel_loaded.value() ? "  a crash kernel was loaded\n"
                                                     : "  no crash kernel was loaded\n");
    } else {
      out_.Write("  whether a crash kernel was loaded is not known\n");
    }
    if (machine.crash_image && options_.verbose) {
      const auto& segments = machine.crash_image->segments;
      for (size_t i = 0; i < segments.size(); ++i) {
        out_.Write(fmt::format("  {}, {} of it loaded\n", SegmentText(*machine.crash_image, i),
                               HumanSize(segments[i].loaded_bytes)));
      }
    }
  }

  void Findings() {
    if (result_.findings.empty()) return;
    Heading("Findings");
    WriteTextFindings(result_, options_, out_);
  }

  void Units() {
    Heading("Units");
    WriteTextUnits(result_, options_, out_);
  }

  void Scopes() {
    const TextTable table = ScopeTable(result_, options_.verbose);
    if (table.empty()) return;
    Heading("Declared by firmware");
    table.Write(out_);
  }

  void Domains() {
    if (result_.domains.empty()) return;
    Heading("Domains");
    TextTable table({"unit", "did", "stage", "lvl", "root", "mapped", "writable", "ranges",
                     "tables", "1:1", "devices"});
    const size_t shown =
        options_.verbose ? result_.domains.size() : std::min(kBriefRows, result_.domains.size());
    for (size_t i = 0; i < shown; ++i) {
      const AuditedDomain& domain = result_.domains[i];
      const bool pass = domain.space.stage == Stage::kPassThrough;
      const std::optional<TableRoot>& root =
          domain.space.first && !domain.space.second ? domain.space.first : domain.space.second;
      std::vector<DeviceRef> devices;
      for (const size_t index : domain.devices) {
        devices.push_back({result_.devices[index].bdf, result_.devices[index].pasid});
      }
      table.AddRow(
          {Safe(result_.units[domain.unit].state.name), std::to_string(domain.space.did.value),
           std::string(ToString(domain.space.stage)), root ? std::to_string(root->levels) : "-",
           root ? fmt::format("{:x}", root->table.value()) : "-",
           pass ? "all" : HumanSize(domain.mapped_bytes),
           pass ? "all" : HumanSize(domain.writable_bytes),
           pass ? "-" : std::to_string(domain.ranges),
           pass ? "-" : std::to_string(domain.table_pages), IdentityCell(domain),
           DeviceList(devices, !options_.verbose)});
    }
    table.Write(out_);
    MoreRows(result_.domains.size(), shown, "domain");
  }

  static std::string IdentityCell(const AuditedDomain& domain) {
    if (domain.space.stage == Stage::kPassThrough || domain.identity == IdentityKind::kWhole) {
      return "all";
    }
    return domain.identity == IdentityKind::kRanges ? HumanSize(domain.identity_bytes) : "-";
  }

  void MoreRows(size_t total, size_t shown, std::string_view noun) {
    if (total > shown)
      out_.Write(fmt::format("  ... and {} (-v lists them)\n", Counted(total - shown, noun)));
  }

  void Devices() {
    const DeviceRows rows = options_.verbose ? RequesterTable(result_, SIZE_MAX)
                                             : BriefDeviceTable(result_, kBriefRows);
    if (!rows.table.empty()) {
      Heading("Devices");
      rows.table.Write(out_);
      MoreRows(rows.left_out, 0, "row");
    }
    if (options_.verbose && !result_.machine.inventory.devices.empty()) {
      Heading("Devices as the kernel knew them");
      InventoryTable(result_, SIZE_MAX).table.Write(out_);
    }
  }

  void Coverage() {
    Heading("Coverage");
    const WalkAccounting& a = result_.accounting;
    WriteWrapped(
        "  ",
        fmt::format("{} entries visited = {} tables + {} leaves + {} not present + {} dead + "
                    "{} rejected + {} unreadable; {} decoded",
                    a.visited, a.tables, a.leaves, a.not_present, a.dead, a.rejected, a.unreadable,
                    Counted(result_.pages_read, "page")),
        out_);
    const ViewCounts& views = result_.views;
    WriteWrapped(
        "  ",
        fmt::format("kernel's records and tables compared for {} of {}: {} agree, {} differ, "
                    "{} not known",
                    views.agree + views.differ, Counted(views.attached, "device"), views.agree,
                    views.differ, views.unknown),
        out_);
    for (const UnknownViews& unknown : views.gaps) {
      WriteWrapped(
          "    ",
          fmt::format("{}: {}", Counted(unknown.devices.size(), "device"), Describe(unknown.gap)),
          out_);
    }
    const CoverageCounts counts = CountCoverage(result_);
    if (counts.unit + counts.none + counts.unknown == 0) return;
    WriteWrapped("  ",
                 fmt::format("PCI devices by firmware's scopes: {} behind a unit, {} behind none, "
                             "{} not known{}",
                             counts.unit, counts.none, counts.unknown,
                             result_.machine.inventory.complete ? "" : "; not all are listed"),
                 out_);
  }

  const DumpInfo& input_;
  const AuditResult& result_;
  const TextOptions& options_;
  Output& out_;
};

}  // namespace

void WriteTextReport(const DumpInfo& input, const AuditResult& result, const TextOptions& options,
                     Output& output) {
  TextReport(input, result, options, output).Write();
}

}  // namespace dmaudit
