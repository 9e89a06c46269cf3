// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/text_units.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ranges.h"
#include "base/text.h"
#include "dmar/hw/global_status_register.h"
#include "dmar/hw/root_table_address_register.h"
#include "report/device_list.h"

namespace dmaudit {
namespace {

std::string Safe(std::string_view text) { return EscapeForTerminal(text); }

std::string Enables(const UnitState& state) {
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

std::string RootMode(const UnitState& state) {
  if (!state.rtaddr) return "root not known";
  static constexpr std::array<std::string_view, 4> kModes = {"legacy", "scalable", "extended",
                                                             "abort"};
  const uint64_t raw = state.rtaddr.value();
  return fmt::format("{} mode, root {:x}", kModes[hw::rtaddr::kTtm.Get(raw)],
                     raw & ~uint64_t{0xfff});
}

void UnitRegisters(const AuditResult& result, Output& output) {
  for (const AuditedUnit& unit : result.units) {
    const UnitState& state = unit.state;
    const auto row = [&](std::string_view name, const auto& known) {
      if (!known) {
        output.Write(fmt::format("  {} {:<7} not known\n", Safe(state.name), name));
        return;
      }
      for (const auto& claim : known.claims()) {
        WriteWrapped(fmt::format("  {} {:<7} {:#018x}  ", Safe(state.name), name, claim.value),
                     fmt::format("{}: {}", ToString(claim.origin), Safe(claim.place)), output);
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

}  // namespace

void WriteTextUnits(const AuditResult& result, const TextOptions& options, Output& output) {
  if (result.units.empty()) {
    output.Write(fmt::format("  none ({})\n", Safe(result.machine.iommu_evidence)));
    return;
  }
  TextTable table({"unit", "segment", "registers", "status", "devices", "state"});
  for (const AuditedUnit& unit : result.units) {
    const UnitState& state = unit.state;
    std::string text = fmt::format("{}; {}", Enables(state), RootMode(state));
    if (!unit.status_reason.empty()) text += "; " + Safe(unit.status_reason);
    table.AddRow({Safe(state.name), fmt::format("{:04x}", state.segment),
                  state.register_base ? fmt::format("{:x}", state.register_base.value().value())
                                      : "not known",
                  std::string(ToString(unit.status)), std::to_string(unit.devices),
                  std::move(text)});
  }
  table.Write(output);
  if (options.verbose) UnitRegisters(result, output);
}

TextTable ScopeTable(const AuditResult& result, bool verbose) {
  TextTable table({"scope", "segment", "what", "devices"});
  for (const FirmwareScope& scope : result.machine.scopes.scopes) {
    const bool asked = scope.origin == Origin::kAcpiTable || !scope.rivals.empty();
    if (!verbose && !scope.range && !asked) continue;
    std::vector<DeviceRef> devices;
    for (const Bdf& bdf : scope.devices) devices.push_back({bdf, std::nullopt});
    std::string names = DeviceList(devices, !verbose);
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
  return table;
}

}  // namespace dmaudit
