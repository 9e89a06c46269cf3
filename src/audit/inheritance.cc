// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/inheritance.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "audit/inheritance_rules.h"
#include "audit/untranslated_reach.h"

namespace dmaudit {
namespace {

// The log cuts long lines: a command line that is known from there alone may go on.
constexpr size_t kWholeLogLine = 800;

std::optional<IommuArguments> CrashedArguments(const KernelIdentity& kernel) {
  if (!kernel.command_line) return std::nullopt;
  const Claim<std::string>& line = kernel.command_line.chosen();
  if (line.origin == Origin::kLog && line.value.size() >= kWholeLogLine) return std::nullopt;
  return ParseIommuArguments(line.value);
}

// Whether devices get pass-through domains by default: as said on the command line, else as it was
// in a crashed kernel to which nothing was said.
std::optional<bool> PassThrough(const std::optional<IommuArguments>& capture,
                                const std::optional<IommuArguments>& crashed,
                                const DeviceInventory& inventory) {
  if (!capture) return std::nullopt;
  if (capture->passthrough) return capture->passthrough;
  if (!crashed || crashed->passthrough) return std::nullopt;
  bool identity = false;
  for (const IommuGroup& group : inventory.groups) {
    // One device with a domain of page tables tells the default; some get pass-through by quirks.
    if (group.default_domain == DomainType::kDma ||
        group.default_domain == DomainType::kDmaFlushQueue) {
      return false;
    }
    identity |= group.default_domain == DomainType::kIdentity;
  }
  return identity && inventory.complete ? std::optional<bool>(true) : std::nullopt;
}

bool SwitchesOff(TableFate fate) {
  return fate == TableFate::kRefused || fate == TableFate::kSwitchedOff;
}

DmaFate DmaFateOf(TableFate fate, bool pass_through_now, std::optional<bool> pass_through_then) {
  const auto fresh = [&](DmaFate blocked, DmaFate unknown) {
    if (!pass_through_then) return unknown;
    if (!*pass_through_then) return blocked;
    return pass_through_now ? DmaFate::kGoesOn : DmaFate::kPhysical;
  };
  switch (fate) {
    case TableFate::kCopied:
    case TableFate::kUntouched:
    case TableFate::kStaysOff:
      return DmaFate::kGoesOn;
    case TableFate::kMisread:
      return DmaFate::kUnpredictable;
    case TableFate::kRefused:
      return fresh(DmaFate::kGapThenBlocked, DmaFate::kGapThenUnknown);
    case TableFate::kSwitchedOff:
      return pass_through_now ? DmaFate::kGoesOn : DmaFate::kPhysical;
    case TableFate::kEmptied:
    case TableFate::kSwitchedOn:
      return fresh(DmaFate::kBlocked, DmaFate::kUnknown);
  }
  return DmaFate::kUnknown;
}

// What is known of a driver that would stop the device.
void AddDriver(const AuditResult& audit, const std::optional<size_t>& index,
               const IommuArguments& arguments, DeviceInheritance& out) {
  const DeviceInventory& inventory = audit.machine.inventory;
  const DeviceFacts* facts = index ? &inventory.devices[*index] : nullptr;
  if (facts == nullptr || !facts->driver) {
    out.driver_note = "its driver is not known";
    return;
  }
  if (facts->driver->empty()) {
    out.driver_note = "no driver was bound to it";
    return;
  }
  std::string module = *facts->driver;
  std::replace(module.begin(), module.end(), '-', '_');
  const auto& blocked = arguments.blocked_modules;
  out.driver_blocked = std::find(blocked.begin(), blocked.end(), module) != blocked.end();
  if (out.driver_blocked) {
    out.driver_note =
        fmt::format("{} is kept from being loaded as a module on the command line", *facts->driver);
  } else if (HeldByUser(*facts, inventory)) {
    out.driver_note = "was held by user space";
  } else {
    out.driver_note =
        fmt::format("whether the capture kernel loads {} is not known", *facts->driver);
  }
}

DeviceInheritance Device(const AuditResult& audit, const AuditedDevice& device,
                         const Inheritance& inheritance) {
  DeviceInheritance out;
  const bool pass_through = audit.domains[device.domain].space.stage == Stage::kPassThrough;
  for (const Possible<TableFate>& tables : inheritance.units[device.unit].tables) {
    out.dma.push_back(DmaFateOf(tables.fate, pass_through, inheritance.passthrough));
  }
  AddDriver(audit, device.facts, inheritance.arguments, out);
  return out;
}

DeviceInheritance Device(const AuditResult& audit, const UntranslatedDevice& device,
                         const Inheritance& inheritance) {
  DeviceInheritance out;
  if (device.unit) {
    for (const Possible<TableFate>& tables : inheritance.units[*device.unit].tables) {
      // It reaches what a pass-through domain would let it reach.
      out.dma.push_back(DmaFateOf(tables.fate, true, inheritance.passthrough));
    }
  } else {
    out.dma.push_back(DmaFate::kGoesOn);
  }
  AddDriver(audit, device.facts, inheritance.arguments, out);
  return out;
}

template <typename Fate>
std::string Names(const std::vector<Possible<Fate>>& all) {
  std::string names;
  for (const Possible<Fate>& one : all) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", ToString(one.fate));
  }
  return names;
}

// What is open of units. True when anything is.
bool ReportOpen(const AuditResult& audit, const Inheritance& out, DiagnosticSink& sink) {
  bool open = false;
  for (size_t i = 0; i < out.units.size(); ++i) {
    const std::string& name = audit.units[i].state.name;
    const UnitInheritance& unit = out.units[i];
    open = open || unit.tables.size() > 1 || unit.interrupts.size() > 1;
    if (unit.tables.size() > 1) {
      sink.Incomplete("inherit.tables-open",
                      "{}: what becomes of the tables is not known: one of {}", name,
                      Names(unit.tables));
    }
    if (unit.interrupts.size() > 1) {
      sink.Incomplete("inherit.interrupts-open",
                      "{}: what becomes of interrupt remapping is not known: one of {}", name,
                      Names(unit.interrupts));
    }
  }
  return open;
}

// Where tables start empty, devices are blocked or get pass-through domains.
void ReportDefaultDomain(const Inheritance& out, DiagnosticSink& sink) {
  const auto depends = [](const DeviceInheritance& device) {
    return std::any_of(device.dma.begin(), device.dma.end(), [](DmaFate fate) {
      return fate == DmaFate::kGapThenUnknown || fate == DmaFate::kUnknown;
    });
  };
  if (std::any_of(out.devices.begin(), out.devices.end(), depends) ||
      std::any_of(out.untranslated.begin(), out.untranslated.end(), depends)) {
    sink.Incomplete("inherit.default-domain",
                    "whether the capture kernel gives devices pass-through domains is not known");
  }
}

// A command line that nothing depends on is not missed.
void ReportCommandLine(const AuditResult& audit, const Inheritance& out, bool needed,
                       DiagnosticSink& sink) {
  if (!out.command_line) {
    sink.Report("inherit.no-command-line", needed ? Effect::kIncomplete : Effect::kNote,
                fmt::format("the capture kernel's command line is not known ({}); "
                            "--capture-cmdline gives it",
                            out.no_command_line));
  } else if (out.arguments.cut) {
    sink.Note(
        "inherit.cut",
        "the capture kernel's command line has {} bytes, of which a kernel takes the first {}",
        out.command_line.value().size(), kMaxKernelCommandLine - 1);
  }
  if (out.command_line.disagrees()) {
    sink.Note("inherit.disagree", "the capture kernel's command line is not the one of {}",
              out.command_line.claims().back().place);
  }
  const Known<bool>& loaded = audit.machine.crash_kernel_loaded;
  if (loaded && !loaded.value()) {
    sink.Note("inherit.not-loaded",
              "no crash kernel was loaded ({}): this is what one would have done",
              loaded.chosen().place);
  }
}

}  // namespace

std::string_view ToString(TableFate fate) {
  switch (fate) {
    case TableFate::kCopied:
      return "copied";
    case TableFate::kMisread:
      return "misread";
    case TableFate::kRefused:
      return "refused";
    case TableFate::kSwitchedOff:
      return "switched-off";
    case TableFate::kEmptied:
      return "emptied";
    case TableFate::kSwitchedOn:
      return "switched-on";
    case TableFate::kStaysOff:
      return "stays-off";
    case TableFate::kUntouched:
      return "untouched";
  }
  return "untouched";
}

std::string_view ToString(InterruptFate fate) {
  switch (fate) {
    case InterruptFate::kCopied:
      return "copied";
    case InterruptFate::kOtherFormat:
      return "other-format";
    case InterruptFate::kReplaced:
      return "replaced";
    case InterruptFate::kSwitchedOn:
      return "switched-on";
    case InterruptFate::kStaysOff:
      return "stays-off";
    case InterruptFate::kUntouched:
      return "untouched";
  }
  return "untouched";
}

std::string_view ToString(DmaFate fate) {
  switch (fate) {
    case DmaFate::kGoesOn:
      return "goes-on";
    case DmaFate::kPhysical:
      return "physical";
    case DmaFate::kGapThenBlocked:
      return "gap-then-blocked";
    case DmaFate::kBlocked:
      return "blocked";
    case DmaFate::kUnpredictable:
      return "unpredictable";
    case DmaFate::kGapThenUnknown:
      return "gap-then-unknown";
    case DmaFate::kUnknown:
      return "unknown";
  }
  return "unknown";
}

Inheritance PredictInheritance(const AuditResult& audit, const CaptureKernel& kernel,
                               MemorySession& session, DiagnosticSink& sink) {
  Inheritance out;
  const Known<std::string>& command_line = kernel.command_line;
  out.command_line = command_line;
  out.no_command_line = audit.machine.capture.no_command_line;
  std::optional<IommuArguments> capture;
  bool finds_old_memory = true;
  if (command_line) {
    capture = ParseIommuArguments(command_line.value());
    out.arguments = *capture;
    // Whoever loads a crash kernel adds elfcorehdr=; who says what it was told leaves it out.
    finds_old_memory =
        command_line.chosen().origin == Origin::kUser || capture->old_memory || capture->cut;
  }
  const std::optional<IommuArguments> crashed = CrashedArguments(audit.machine.identity);
  out.passthrough = PassThrough(capture, crashed, audit.machine.inventory);

  std::vector<UnitState> states;
  for (const AuditedUnit& unit : audit.units) states.push_back(unit.state);
  const InheritanceInputs inputs{states,
                                 audit.machine.capture,
                                 crashed,
                                 capture,
                                 finds_old_memory,
                                 kernel.driver_default,
                                 kernel.scalable_default};
  for (const UnitState& unit : states) {
    out.units.push_back({TableFates(inputs, unit), InterruptFates(inputs, unit)});
  }
  for (const AuditedDevice& device : audit.devices) {
    out.devices.push_back(Device(audit, device, out));
  }
  for (const UntranslatedDevice& device : audit.untranslated) {
    out.untranslated.push_back(Device(audit, device, out));
  }

  UntranslatedReachFinder finder(audit, session);
  for (size_t i = 0; i < audit.domains.size(); ++i) {
    const AuditedDomain& domain = audit.domains[i];
    const auto& tables = out.units[domain.unit].tables;
    const bool off = std::any_of(tables.begin(), tables.end(), [](const Possible<TableFate>& one) {
      return SwitchesOff(one.fate);
    });
    out.reach.emplace_back();
    if (off && domain.space.stage != Stage::kPassThrough) out.reach.back() = finder.Find(i);
  }

  const bool open = ReportOpen(audit, out, sink);
  ReportDefaultDomain(out, sink);
  ReportCommandLine(audit, out, open, sink);
  out.incomplete_because = GapsOf(sink);
  return out;
}

CaptureKernel FindCaptureKernel(const Dump& dump, const AuditResult& audit,
                                const AuditOptions& options,
                                const std::optional<std::string>& given, MemorySession& session) {
  CaptureKernel out;
  Known<std::string>& line = out.command_line;
  if (given) line.Add(*given, Origin::kUser, "--capture-cmdline");
  for (const Claim<std::string>& claim : audit.machine.capture.command_line.claims()) {
    line.Add(claim.value, claim.origin, claim.place);
  }
  if (!audit.machine.identity.two_kernels) return out;
  DiscoveryOptions other = options.discovery;
  other.which = WhichKernel{WhichKernel::Kind::kCapture, {}};
  other.units.clear();
  other.roots.clear();
  DiagnosticSink unheard;
  const Result<MachineState> capture = DiscoverMachine(dump, session, unheard, other);
  if (!capture || !capture->identity.command_line) return out;
  // Nothing else tells a capture kernel from one that was there before.
  const Claim<std::string>& running = capture->identity.command_line.chosen();
  const IommuArguments arguments = ParseIommuArguments(running.value);
  if (!arguments.old_memory) return out;
  if (!line)
    line.Add(running.value, running.origin, "the capture kernel in the dump: " + running.place);
  // Variables that no option has set, however far the kernel came.
  const CaptureFacts& facts = capture->capture;
  if (!arguments.driver && facts.driver_off) out.driver_default = !facts.driver_off.value();
  if (!arguments.scalable && facts.scalable) out.scalable_default = facts.scalable.value();
  return out;
}

}  // namespace dmaudit
