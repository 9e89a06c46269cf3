// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/load_layouts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "kernel/btf_load.h"
#include "kernel/btf_search.h"
#include "kernel/kallsyms.h"
#include "kernel/kallsyms_search.h"
#include "kernel/remembered_types.h"

namespace dmaudit {
namespace {

// Every symbol and structure that discovery asks for, so that each table is gone through once.
constexpr std::array<std::string_view, 27> kSymbols = {"dmar_drhd_units",
                                                       "intel_iommu_sm",
                                                       "intel_iommu_ecs",
                                                       "intel_iommu_enabled",
                                                       "eim_mode",
                                                       "intel_iommu_ops",
                                                       "iommu_device_list",
                                                       "amd_iommu_ops",
                                                       "amd_iommu_list",
                                                       "amd_iommu_pci_seg_list",
                                                       "crashk_res",
                                                       "crashk_low_res",
                                                       "crashk_cma_ranges",
                                                       "crashk_cma_cnt",
                                                       "kexec_crash_image",
                                                       "iomem_resource",
                                                       "saved_command_line",
                                                       "pci_root_buses",
                                                       "pci_bus_type",
                                                       "iommu_group_kset",
                                                       "dmar_rmrr_units",
                                                       "dmar_atsr_units",
                                                       "dmar_satc_units",
                                                       "dmar_disabled",
                                                       "si_domain",
                                                       "intel_fs_paging_domain_ops",
                                                       "intel_ss_paging_domain_ops"};
constexpr std::array<std::string_view, 33> kStructures = {
    "dmar_drhd_unit", "intel_iommu",
    "q_inval",        "ir_table",
    "iommu_device",   "dmar_dev_scope",
    "resource",       "range",
    "pci_bus",        "pci_dev",
    "pci_sysdata",    "device",
    "device_driver",  "iommu_group",
    "group_device",   "iommu_domain",
    "kset",           "kobject",
    "dev_iommu",      "device_domain_info",
    "kimage",         "kexec_segment",
    "dmar_rmrr_unit", "dmar_atsr_unit",
    "dmar_satc_unit", "acpi_dmar_reserved_memory",
    "acpi_dmar_atsr", "acpi_dmar_satc",
    "dmar_domain",    "iommu_domain_info",
    "xa_node",        "iommu_attach_handle",
    "uts_namespace"};

// A way that the user closed.
tl::unexpected<Error> Closed(Road road) {
  return Fail(ErrorCode::kNotFound, "{} is closed by --roads", ToString(road));
}

// Symbols out of a vmlinux, those around the types in memory included.
Result<SymbolTable> SymbolsOf(Vmlinux& vmlinux, const Roads& roads) {
  if (!roads.Allows(Road::kVmlinux)) return Closed(Road::kVmlinux);
  return vmlinux.Symbols();
}

// Symbols that the dump itself holds.
Result<SymbolTable> LoadOwnSymbols(KernelImage& image, const Roads& roads, DiagnosticSink& sink) {
  const std::vector<std::string_view> wanted = WantedSymbols();
  Result<SymbolTable> named = Closed(Road::kVmcoreinfo);
  if (roads.Allows(Road::kVmcoreinfo)) {
    named = LoadKallsyms(image.vmcoreinfo(), image.reader(), wanted);
  }
  if (named) return *std::move(named);
  Result<SymbolTable> found = Closed(Road::kSignature);
  if (roads.Allows(Road::kSignature)) found = SearchKallsyms(image, wanted);
  if (found) {
    if (named.error().code != ErrorCode::kNotFound) {
      sink.Note("kernel.kallsyms", "kallsyms as VMCOREINFO locates it is not used: {}",
                named.error().message);
    }
    return *std::move(found);
  }
  return Fail(ErrorCode::kNotFound, "{}; {}", named.error().message, found.error().message);
}

// Without CONFIG_KALLSYMS_ALL kallsyms holds functions alone.
bool HasVariables(const SymbolTable& symbols) {
  return std::any_of(kSymbols.begin(), kSymbols.end(),
                     [&symbols](std::string_view name) { return symbols.Has(name); });
}

Result<std::unique_ptr<const TypeSource>> TypesOf(Vmlinux& vmlinux, const Roads& roads) {
  if (!roads.Allows(Road::kDwarf)) return Closed(Road::kDwarf);
  return vmlinux.Types();
}

}  // namespace

std::vector<std::string_view> WantedSymbols() {
  std::vector<std::string_view> wanted(kSymbols.begin(), kSymbols.end());
  wanted.insert(wanted.end(), kBtfBounds.begin(), kBtfBounds.end());
  return wanted;
}

std::span<const std::string_view> WantedStructures() { return kStructures; }

SymbolTable LoadSymbols(KernelImage& image, Vmlinux& vmlinux, const Roads& roads,
                        DiagnosticSink& sink) {
  Result<SymbolTable> other = Closed(Road::kVmlinux);
  if (vmlinux.given()) {
    other = SymbolsOf(vmlinux, roads);
    if (other) return *std::move(other);
    sink.Note("kernel.vmlinux", "no symbols of a vmlinux: {}", other.error().message);
  }
  Result<SymbolTable> own = LoadOwnSymbols(image, roads, sink);
  if (own && HasVariables(*own)) return *std::move(own);
  if (!vmlinux.given()) other = SymbolsOf(vmlinux, roads);
  if (other) return *std::move(other);
  if (!own) {
    const std::string reason = fmt::format("{}; {}", own.error().message, other.error().message);
    sink.Incomplete("kernel.no-symbols", "no kernel symbols: {}", reason);
    return SymbolTable(fmt::format("none: {}", reason));
  }
  std::string missing;
  for (const std::string_view name : kSymbols) {
    missing += fmt::format("{}{}", missing.empty() ? "" : ", ", name);
  }
  sink.Incomplete("kernel.text-symbols",
                  "kallsyms holds no variables (a kernel without CONFIG_KALLSYMS_ALL); not known: "
                  "{}",
                  missing);
  return *std::move(own);
}

namespace {

std::unique_ptr<const TypeSource> FindTypes(const SymbolTable& symbols, KernelImage& image,
                                            Vmlinux& vmlinux, const Roads& roads,
                                            DiagnosticSink& sink) {
  Result<std::unique_ptr<const TypeSource>> other = Closed(Road::kDwarf);
  if (vmlinux.given()) {
    other = TypesOf(vmlinux, roads);
    if (other) return *std::move(other);
    sink.Note("kernel.vmlinux", "no types of a vmlinux: {}", other.error().message);
  }
  Result<Btf> named = Closed(Road::kBtfSymbols);
  if (roads.Allows(Road::kBtfSymbols)) named = LoadBtf(symbols, image.reader(), kStructures);
  if (named) return std::make_unique<const Btf>(*std::move(named));
  std::string reason = named.error().message;
  Result<Btf> found = Closed(Road::kBtfSearch);
  if (roads.Allows(Road::kBtfSearch)) found = SearchBtf(image, kStructures);
  if (found) {
    // Symbols of a damaged table, or of a vmlinux that was forced, lead elsewhere.
    if (named.error().code != ErrorCode::kNotFound) {
      sink.Note("kernel.btf", "BTF as symbols locate it is not used: {}", named.error().message);
    }
    return std::make_unique<const Btf>(*std::move(found));
  }
  reason += fmt::format("; {}", found.error().message);
  if (!vmlinux.given()) other = TypesOf(vmlinux, roads);
  if (other) return *std::move(other);
  reason += fmt::format("; {}", other.error().message);
  sink.Incomplete("kernel.no-types", "no kernel types: {}", reason);
  return std::make_unique<const NoTypes>(reason);
}

}  // namespace

std::unique_ptr<const TypeSource> LoadTypes(const SymbolTable& symbols, KernelImage& image,
                                            Vmlinux& vmlinux, const Roads& roads,
                                            DiagnosticSink& sink) {
  return std::make_unique<const RememberedTypes>(FindTypes(symbols, image, vmlinux, roads, sink));
}

}  // namespace dmaudit
