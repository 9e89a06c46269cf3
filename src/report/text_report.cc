// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "audit/unit_coverage.h"
#include "base/ranges.h"
#include "base/text.h"
#include "dmar/hw/global_status_register.h"
#include "dmar/hw/root_table_address_register.h"
#include "report/device_list.h"
#include "report/device_table.h"
#include "report/info.h"
#include "report/layout.h"
#include "report/report.h"

namespace dmaudit {
namespace {

// Findings, reasons and domains list this many of a kind unless -v asks for all.
constexpr size_t kBriefOverlaps = 8;
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
        out_.Write(fmt::format("  {}, {} of it loaded\n", SegmentText(i),
                               HumanSize(segments[i].loaded_bytes)));
      }
    }
  }

  std::string SegmentText(size_t index) const {
    const ImageSegment& segment = result_.machine.crash_image->segments[index];
    std::string text = fmt::format("segment {}: {}", index, ToString(segment.range));
    if (segment.role != SegmentRole::kUnknown) text += fmt::format(" {}", ToString(segment.role));
    return text;
  }

  void Findings() {
    if (result_.findings.empty()) return;
    Heading("Findings");
    for (const Finding& finding : result_.findings) {
      const Severity severity = finding.kind->severity;
      WriteWrapped(fmt::format("  {:<9}", ToString(severity)),
                   fmt::format("{} [{}]", Safe(finding.message), finding.kind->id), out_);
      if (!finding.devices.empty()) {
        WriteWrapped("           devices: ", DeviceList(finding.devices, !options_.verbose), out_);
        WhoRows(finding);
      }
      OverlapRows(finding);
      ImageRows(finding);
      if (options_.verbose || severity == Severity::kCritical) EvidenceRows(finding);
      if (options_.verbose) WriteWrapped("           ", finding.kind->explanation, out_);
    }
  }

  // Who drives the devices, and which of them could not have started anything.
  void WhoRows(const Finding& finding) {
    std::map<std::string, size_t> drivers;
    std::map<std::string, size_t> idle;
    for (const DeviceRef& device : finding.devices) {
      if (!device.facts) continue;
      const DeviceFacts& facts = result_.machine.inventory.devices[*device.facts];
      if (facts.driver) ++drivers[facts.driver->empty() ? "no driver" : Safe(*facts.driver)];
      if (device.ability == DmaAbility::kUnable) ++idle[StateText(facts)];
    }
    const auto row = [&](std::string_view head, const std::map<std::string, size_t>& counts) {
      std::string text;
      for (const auto& [name, count] : counts) {
        text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
        if (finding.devices.size() > 1) text += fmt::format(" ({})", count);
      }
      if (!text.empty()) WriteWrapped(head, text, out_);
    };
    row("           drivers: ", drivers);
    row(finding.idle ? "           idle at the crash, by the kernel's records: "
                     : "           of these idle, by the kernel's records: ",
        idle);
  }

  void OverlapRows(const Finding& finding) {
    const size_t shown = options_.verbose ? finding.overlaps.size()
                                          : std::min(kBriefOverlaps, finding.overlaps.size());
    for (size_t i = 0; i < shown; ++i) {
      const Overlap& overlap = finding.overlaps[i];
      const uint64_t skip = overlap.overlap.first.value() - overlap.range.pa.value();
      const uint64_t first = overlap.range.iova.value() + skip;
      out_.Write(fmt::format("           IOVA {:x}-{:x} -> {} {} ({})\n", first,
                             first + overlap.overlap.size() - 1, ToString(overlap.overlap),
                             ToString(overlap.range.permissions),
                             HumanSize(overlap.overlap.size())));
    }
    if (finding.overlap_count > shown) {
      out_.Write(fmt::format("           ... and {} more{}\n", finding.overlap_count - shown,
                             shown < finding.overlaps.size() ? " (-v lists them)" : ""));
    }
  }

  // Whether the loaded crash kernel is hit, or memory it would only have used later.
  void ImageRows(const Finding& finding) {
    if (!finding.hits_image) return;
    if (!*finding.hits_image) {
      out_.Write(
          "           no part of the loaded crash kernel: memory that it uses once it runs\n");
      return;
    }
    for (const size_t index : finding.image_segments) {
      out_.Write(fmt::format("           in the loaded crash kernel: {}\n", SegmentText(index)));
    }
  }

  void EvidenceRows(const Finding& finding) {
    for (const EntryRef& entry : finding.evidence) {
      const bool two_words =
          entry.kind == "root" || entry.kind == "context" || entry.kind == "pasid";
      std::string value = fmt::format("{:#x}", entry.raw);
      if (two_words) value += fmt::format(", {:#x}", entry.raw_high);
      const std::string kind = entry.level == 0
                                   ? std::string(entry.kind)
                                   : fmt::format("{} level {}", entry.kind, entry.level);
      out_.Write(
          fmt::format("           {} entry at {:x}: {}\n", kind, entry.address.value(), value));
    }
  }

  static std::string Enables(const UnitState& state) {
    if (!state.gcmd) return "enables not known";
    std::string text;
    const auto add = [&](const Field& field, std::string_view name) {
      if (field.Get(state.gcmd.value()) != 0)
        text += fmt::format("{}{}", text.empty() ? "" : " ", name);
    };
    add(hw::gsts::kTes, "TE");
    add(hw::gsts::kQies, "QIE");
    add(hw::gsts::kIres, "IRE");
    return text.empty() ? "nothing enabled" : text;
  }

  static std::string RootMode(const UnitState& state) {
    if (!state.rtaddr) return "root not known";
    static constexpr std::array<std::string_view, 4> kModes = {"legacy", "scalable", "extended",
                                                               "abort"};
    const uint64_t raw = state.rtaddr.value();
    return fmt::format("{} mode, root {:x}", kModes[hw::rtaddr::kTtm.Get(raw)],
                       raw & ~uint64_t{0xfff});
  }

  void Units() {
    Heading("Units");
    if (result_.units.empty()) {
      out_.Write(fmt::format("  none ({})\n", Safe(result_.machine.iommu_evidence)));
      return;
    }
    TextTable table({"unit", "segment", "registers", "status", "devices", "state"});
    for (const AuditedUnit& unit : result_.units) {
      const UnitState& state = unit.state;
      std::string text = fmt::format("{}; {}", Enables(state), RootMode(state));
      if (!unit.status_reason.empty()) text += "; " + Safe(unit.status_reason);
      table.AddRow({Safe(state.name), fmt::format("{:04x}", state.segment),
                    state.register_base ? fmt::format("{:x}", state.register_base.value().value())
                                        : "not known",
                    std::string(ToString(unit.status)), std::to_string(unit.devices),
                    std::move(text)});
    }
    table.Write(out_);
    if (options_.verbose) UnitRegisters();
  }

  void UnitRegisters() {
    for (const AuditedUnit& unit : result_.units) {
      const UnitState& state = unit.state;
      const auto row = [&](std::string_view name, const auto& known) {
        if (!known) {
          out_.Write(fmt::format("  {} {:<7} not known\n", Safe(state.name), name));
          return;
        }
        for (const auto& claim : known.claims()) {
          WriteWrapped(fmt::format("  {} {:<7} {:#018x}  ", Safe(state.name), name, claim.value),
                       fmt::format("{}: {}", ToString(claim.origin), Safe(claim.place)), out_);
        }
      };
      row("CAP", state.cap);
      row("ECAP", state.ecap);
      row("GCMD", state.gcmd);
      row("RTADDR", state.rtaddr);
      row("IQA", state.iqa);
      row("IRTA", state.irta);
      row("PQA", state.pqa);
    }
  }

  // What firmware declared; without -v the regions of memory, and what a table that
  // the user gives adds or says otherwise.
  void Scopes() {
    TextTable table({"scope", "segment", "what", "devices"});
    for (const FirmwareScope& scope : result_.machine.scopes.scopes) {
      const bool asked = scope.origin == Origin::kAcpiTable || !scope.rivals.empty();
      if (!options_.verbose && !scope.range && !asked) continue;
      std::vector<DeviceRef> devices;
      for (const Bdf& bdf : scope.devices) devices.push_back({bdf, std::nullopt});
      std::string names = DeviceList(devices, !options_.verbose);
      if (scope.unplaced != 0) {
        names += fmt::format("{}{} of unknown segment", names.empty() ? "" : ", ", scope.unplaced);
      }
      if (scope.absent != 0) {
        names += fmt::format("{}{} absent", names.empty() ? "" : ", ", scope.absent);
      }
      const bool flag = scope.flag.value_or(false);
      if (scope.kind != ScopeKind::kAtsDevices && (flag || !scope.flag)) {
        names += fmt::format("{}all others{}", names.empty() ? "" : ", ", flag ? "" : "?");
      }
      std::string what = flag && scope.kind == ScopeKind::kAtsDevices ? "ATS required" : "-";
      if (scope.registers) what = fmt::format("registers {:x}", scope.registers->value());
      if (scope.range) {
        what = fmt::format("{} ({})", ToString(*scope.range), HumanSize(scope.range->size()));
      }
      if (scope.origin == Origin::kAcpiTable) what += " (ACPI table)";
      for (const Claim<std::string>& rival : scope.rivals) {
        what += fmt::format("; {}: {}", ToString(rival.origin), Safe(rival.value));
      }
      table.AddRow({std::string(ToString(scope.kind)),
                    scope.segment ? fmt::format("{:04x}", *scope.segment) : "-", std::move(what),
                    names.empty() ? "none" : std::move(names)});
    }
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
