// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/acpi_scopes.h"
#include "kernel/address_space.h"
#include "kernel/discover_crashkernel.h"
#include "kernel/discover_devices.h"
#include "kernel/discover_iommu.h"
#include "kernel/discover_units.h"
#include "kernel/find_kernel.h"
#include "kernel/identity.h"
#include "kernel/kernel_image.h"
#include "kernel/kernel_view.h"
#include "kernel/load_layouts.h"
#include "kernel/log_facts.h"
#include "kernel/log_units.h"
#include "kernel/resource_tree.h"
#include "kernel/search_roots.h"
#include "kernel/user_units.h"
#include "kernel/vmcoreinfo.h"
#include "kernel/vmlinux.h"

namespace dmaudit {

std::string_view ToString(ReservationKind kind) {
  switch (kind) {
    case ReservationKind::kHigh:
      return "crashk_res";
    case ReservationKind::kLow:
      return "crashk_low_res";
    case ReservationKind::kCma:
      return "crashk_cma_ranges";
  }
  return "crashk_res";
}

namespace {

// RAM ranges of a dump that are kept as a claim: more than any memory map has.
constexpr size_t kMaxRamRanges = 65536;

LogFacts LoadLog(const Vmcoreinfo& vmcoreinfo, KernelReader& reader, MemorySession& session,
                 DiagnosticSink& sink) {
  Result<LogFacts> facts = ReadLogFacts(vmcoreinfo, reader, session, sink);
  if (facts) return *std::move(facts);
  sink.Note("kernel.no-log", "no kernel log: {}", facts.error().message);
  return {};
}

std::optional<ResourceTree> LoadResources(const SymbolTable& symbols, const TypeSource& types,
                                          KernelReader& reader, DiagnosticSink& sink) {
  const Result<KernelVa> root = symbols.Find("iomem_resource");
  if (!root) {
    ReportFailure(sink, Effect::kNote, "memory map", root.error());
    return std::nullopt;
  }
  Result<ResourceTree> tree = ReadResourceTree(reader, types, *root, sink);
  if (tree) return *std::move(tree);
  ReportFailure(sink, Effect::kNote, "memory map", tree.error());
  return std::nullopt;
}

// Leaves out host address widths that the machine's own memory does not fit into: the log is the
// only source of it, programs can write to the log, and entries beyond the width count as rejected.
void DropNarrowWidths(const std::optional<ResourceTree>& iomem, const PhysicalMemory& memory,
                      LogFacts& log, DiagnosticSink& sink) {
  if (log.host_address_widths.empty()) return;
  uint64_t highest = 0;
  const auto take = [&highest](const PhysRange& range) {
    highest = std::max(highest, range.last.value());
    return true;
  };
  memory.VisitRam(take);
  if (iomem) {
    for (const PhysRange& range : SystemRam(*iomem)) take(range);
  }
  std::erase_if(log.host_address_widths, [&](const LogHostAddressWidth& width) {
    if (width.bits >= 64 || highest >> width.bits == 0) return false;
    sink.Note("kernel.disagree", "{}: not used, memory reaches {:#x}", ToString(width.line),
              highest);
    return true;
  });
}

void AddRam(const std::optional<ResourceTree>& iomem, const PhysicalMemory& memory,
            MachineState& machine) {
  // Part of a tree would make a part of RAM look like all of it.
  if (iomem && iomem->complete) {
    machine.firmware_reserved.Add(FirmwareReserved(*iomem), Origin::kKernelObject,
                                  "iomem_resource \"Reserved\"");
    std::vector<PhysRange> ram = SystemRam(*iomem);
    if (!ram.empty()) {
      machine.system_ram.Add(std::move(ram), Origin::kKernelObject,
                             "iomem_resource \"System RAM\"");
    }
  }
  std::vector<PhysRange> described;
  memory.VisitRam([&](PhysRange range) {
    if (!described.empty() && described.back().last.value() + 1 == range.first.value()) {
      described.back().last = range.last;
    } else {
      described.push_back(range);
    }
    return described.size() < kMaxRamRanges;
  });
  machine.system_ram.Add(std::move(described), Origin::kContainer, "memory the dump describes");
}

// The kernel's own list first; the log where that cannot be read; beside both the user's word.
UnitDiscovery FindUnits(const KernelView& kernel, MemorySession& session,
                        const DiscoveryOptions& options) {
  UnitDiscovery units;
  const auto closed = [](Road road) {
    return fmt::format("{} is closed by --roads", ToString(road));
  };
  std::string why_none = closed(Road::kKernelList);
  if (options.roads.Allows(Road::kKernelList)) {
    units = DiscoverUnits(kernel);
    why_none = units.evidence;
  }
  if (units.units.empty() && !units.complete) {
    std::string no_log = closed(Road::kLogSearch);
    if (options.roads.Allows(Road::kLogSearch)) {
      units = UnitsFromLog(kernel, session);
      no_log = "the log names no unit";
    }
    if (units.units.empty()) {
      units.evidence = why_none + (why_none.empty() ? "" : "; ") + no_log;
    }
  }
  if (options.has_user_units()) {
    const bool alone = units.units.empty();
    ApplyUserUnits(options, session, units.units, kernel.sink);
    if (alone) units.evidence = "the user gives units";
    if (alone && !units.complete) {
      kernel.sink.Incomplete("kernel.user-units",
                             "only the units that --unit and --root give are audited: the kernel's "
                             "own were not found");
    }
  }
  if (options.roads.Allows(Road::kLogSearch)) SearchRoots(kernel, session, units.units);
  return units;
}

std::string WhoseTables(const KernelChoice& choice) {
  const FoundKernel& kernel = choice.kernel;
  if (!kernel.text && choice.others.empty()) {
    if (!kernel.tables.other_kernel_runs()) {
      return fmt::format("the kernel that VMCOREINFO describes ({})", kernel.tables.how);
    }
    return "two kernels: VMCOREINFO is of the crashed one, whose tables these are; the CPUs run "
           "another one";
  }
  std::string out = choice.others.empty() && !kernel.tables.other_kernel_runs()
                        ? "the kernel "
                        : "two kernels: these are the tables of ";
  return out + fmt::format("{} ({})", Describe(kernel), kernel.tables.how);
}

// Whether the kernel was started to save a dump: its loader puts the place of the old memory's ELF
// headers on its command line, and nothing else does. Names the source, or nothing.
std::optional<std::string> CaptureEvidence(const MachineState& machine) {
  for (const Claim<std::string>& claim : machine.identity.command_line.claims()) {
    if ((" " + claim.value).find(" elfcorehdr=") != std::string::npos) return claim.place;
  }
  return std::nullopt;
}

// A capture kernel reserves nothing: the crash kernel's memory is what it runs in itself.
void ReportCaptureKernel(const MachineState& machine, const DiscoveryOptions& options,
                         DiagnosticSink& sink) {
  const std::optional<std::string> evidence = CaptureEvidence(machine);
  if (options.which && options.which->kind == WhichKernel::Kind::kCapture && !evidence) {
    sink.Incomplete("kernel.not-capture",
                    "taken as the capture kernel because it is not the one that crashed; no "
                    "elfcorehdr= on its command line proves it");
  }
  if (!evidence || (machine.reservations && !machine.reservations->empty())) return;
  sink.Incomplete("kernel.reservation-doubtful",
                  "{} has elfcorehdr=: this is a capture kernel, the crash kernel's memory is the "
                  "one it runs in",
                  *evidence);
}

// A dump without a kernel in it, of which the user knows the units.
MachineState MachineOfUser(const Error& no_kernel, MemorySession& session,
                           const DiscoveryOptions& options, const std::optional<AcpiDmar>& table,
                           DiagnosticSink& sink) {
  sink.Incomplete("kernel.none",
                  "{}; audited is what --unit and --root give: whether there are more units, and "
                  "devices behind none of them, is not known",
                  no_kernel.message);
  MachineState machine;
  machine.identity.symbols_from = machine.identity.types_from = "none: no kernel found";
  machine.identity.whose_tables = "the units that the user gives; no kernel found";
  machine.capture.no_command_line = machine.capture.copy_rule_from = "no kernel found";
  machine.iommu = IommuPresence::kIntel;
  machine.iommu_evidence = "the user gives units";
  ApplyUserUnits(options, session, machine.units, sink);
  if (table) {
    MergeAcpiDmar(*table, options.acpi_dmar, machine.inventory, machine.units, machine.scopes,
                  sink);
  }
  AddRam(std::nullopt, session.memory(), machine);
  return machine;
}

// What the kernel that VMCOREINFO describes knew. The error: there is no such kernel.
Result<MachineState> MachineOfKernel(const Dump& dump, MemorySession& session, DiagnosticSink& sink,
                                     const DiscoveryOptions& options,
                                     const std::optional<AcpiDmar>& table) {
  Result<KernelChoice> choice = FindKernel(dump, session, options.which, sink);
  if (!choice) return tl::unexpected<Error>(choice.error());
  const Vmcoreinfo& vmcoreinfo = choice->kernel.vmcoreinfo;
  const KernelTables& tables = choice->kernel.tables;
  KernelAddressSpace space(session, tables.root);

  std::optional<KernelImage> image(std::in_place, vmcoreinfo, space, session);
  Vmlinux vmlinux(options, vmcoreinfo, space, WantedSymbols(), WantedStructures(), sink);
  if (vmlinux.given()) {
    if (const Status fits = vmlinux.Check(); !fits) return tl::unexpected<Error>(fits.error());
  }
  const SymbolTable symbols = LoadSymbols(*image, vmlinux, options.roads, sink);
  const std::unique_ptr<const TypeSource> types =
      LoadTypes(symbols, *image, vmlinux, options.roads, sink);
  image.reset();  // its bytes are not needed further on
  LogFacts log = LoadLog(vmcoreinfo, space, session, sink);
  const std::optional<ResourceTree> iomem = LoadResources(symbols, *types, space, sink);
  DropNarrowWidths(iomem, session.memory(), log, sink);
  const KernelView kernel{space, symbols, *types, log, iomem, sink};

  MachineState machine;
  machine.identity.symbols_from = symbols.from();
  machine.identity.types_from = types->from();
  machine.identity.phys_base = tables.phys_base;
  machine.identity.two_kernels = tables.other_kernel_runs() || !choice->others.empty();
  machine.identity.whose_tables = WhoseTables(*choice);
  ReadIdentity(kernel, vmcoreinfo, dump.info, machine.identity);

  UnitDiscovery units = FindUnits(kernel, session, options);
  IommuVerdict iommu = DiscoverIommu(kernel, units);
  machine.iommu = iommu.presence;
  machine.iommu_evidence = std::move(iommu.evidence);
  machine.units = std::move(units.units);

  machine.inventory = DiscoverDevices(kernel);
  machine.scopes = DiscoverScopes(kernel);
  if (table) {
    MergeAcpiDmar(*table, options.acpi_dmar, machine.inventory, machine.units, machine.scopes,
                  sink);
  }

  CrashkernelDiscovery crashkernel = DiscoverCrashkernel(kernel, session.memory());
  machine.reservations = std::move(crashkernel.reservations);
  machine.crash_kernel_loaded = std::move(crashkernel.loaded);
  ReportCaptureKernel(machine, options, sink);
  machine.crash_image = std::move(crashkernel.image);
  machine.capture =
      ReadCaptureFacts(kernel, session, machine.crash_image, machine.crash_kernel_loaded);
  AddRam(kernel.iomem, session.memory(), machine);
  return machine;
}

}  // namespace

Result<MachineState> DiscoverMachine(const Dump& dump, MemorySession& session, DiagnosticSink& sink,
                                     const DiscoveryOptions& options) {
  std::optional<AcpiDmar> table;
  if (!options.acpi_dmar.empty()) {
    Result<AcpiDmar> loaded = LoadAcpiDmar(options.acpi_dmar);
    if (!loaded) return tl::unexpected<Error>(loaded.error());
    table = *std::move(loaded);
  }
  Result<MachineState> machine = MachineOfKernel(dump, session, sink, options, table);
  const bool no_kernel = !machine && machine.error().code != ErrorCode::kUsage;
  if (!no_kernel || !options.has_user_units()) return machine;
  return MachineOfUser(machine.error(), session, options, table, sink);
}

}  // namespace dmaudit
