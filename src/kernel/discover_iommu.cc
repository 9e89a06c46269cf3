// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/discover_iommu.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/number.h"
#include "kernel/type_view.h"

namespace dmaudit {
namespace {

// Registered IOMMUs: as many as there may be DMAR units.
constexpr size_t kMaxIommus = kMaxUnits;

struct Registered {
  bool read = false;  // the list exists and was read to its end
  size_t intel = 0;
  size_t amd = 0;
  size_t other = 0;
  size_t unread = 0;  // whose they are could not be read
};

Registered ReadRegistered(const KernelView& kernel) {
  Registered registered;
  const Result<KernelVa> head = kernel.symbols.Find("iommu_device_list");
  if (!head) {
    ReportFailure(kernel.sink, Effect::kNote, "registered IOMMUs", head.error());
    return registered;
  }
  // Entries are told apart by their operations. Those of a structure that is not in the dump are
  // the driver's own business: DiscoverUnits has reported it already.
  const std::optional<KernelVa> intel_ops = kernel.symbols.Get("intel_iommu_ops");
  const std::optional<KernelVa> amd_ops = kernel.symbols.Get("amd_iommu_ops");
  const Status walked = WalkList(kernel.reader, kernel.types, *head, "iommu_device", "list",
                                 kMaxIommus, [&](const StructView& device) {
                                   const Result<KernelVa> ops = device.Pointer("ops");
                                   if (ops && intel_ops && *ops == *intel_ops) {
                                     ++registered.intel;
                                   } else if (ops && amd_ops && *ops == *amd_ops) {
                                     ++registered.amd;
                                   } else if (ops) {
                                     ++registered.other;
                                   } else {
                                     ++registered.unread;
                                   }
                                   return true;
                                 });
  registered.read = walked.has_value();
  if (!walked) ReportFailure(kernel.sink, Effect::kNote, "iommu_device_list", walked.error());
  return registered;
}

// nullopt: no such list, or unreadable (reported).
std::optional<bool> ListIsEmpty(const KernelView& kernel, std::string_view symbol) {
  if (!kernel.symbols.Has(symbol)) return std::nullopt;
  const Result<KernelVa> head = kernel.symbols.Find(symbol);
  if (!head) {
    ReportFailure(kernel.sink, Effect::kNote, symbol, head.error());
    return std::nullopt;
  }
  const Result<uint64_t> next = kernel.reader.ReadU64(*head);
  if (!next) {
    ReportFailure(kernel.sink, Effect::kNote, symbol, next.error());
    return std::nullopt;
  }
  // A list that was never initialised is empty too.
  return *next == head->value() || *next == 0;
}

// A unit whose registers the kernel has claimed in the resource tree and that is not listed.
const Resource* UnlistedUnit(const KernelView& kernel, const UnitDiscovery& units) {
  if (!kernel.iomem) return nullptr;
  for (const Resource& resource : kernel.iomem->resources) {
    const std::string_view name = resource.name;
    if (!name.starts_with("dmar") || !ParseDecimal(name.substr(4))) continue;
    const bool listed =
        std::any_of(units.units.begin(), units.units.end(), [&](const UnitState& unit) {
          return unit.name == name ||
                 (unit.register_base && unit.register_base.value() == resource.range.first);
        });
    if (!listed) return &resource;
  }
  return nullptr;
}

}  // namespace

IommuVerdict DiscoverIommu(const KernelView& kernel, const UnitDiscovery& units) {
  const Registered registered = ReadRegistered(kernel);
  for (const std::string_view symbol : {"amd_iommu_list", "amd_iommu_pci_seg_list"}) {
    if (ListIsEmpty(kernel, symbol) != false) continue;
    kernel.sink.Incomplete("kernel.amd-vi", "{} is not empty: AMD-Vi tables are not read", symbol);
    if (units.units.empty()) {
      return {IommuPresence::kAmd, fmt::format("{} is not empty", symbol)};
    }
  }
  if (registered.other != 0) {
    kernel.sink.Incomplete("kernel.other-iommu",
                           "iommu_device_list holds {} of neither Intel nor AMD: not read",
                           registered.other);
  }
  const Resource* unlisted = UnlistedUnit(kernel, units);
  if (unlisted != nullptr) {
    kernel.sink.Incomplete(
        "kernel.disagree", "iomem_resource has {} at {:#x}, which is not among the units{}{}",
        unlisted->name, unlisted->range.first.value(), units.units.empty() ? "" : ": ",
        units.units.empty() ? "" : units.evidence);
  }
  if (!units.units.empty()) {
    if (registered.amd != 0) {
      kernel.sink.Incomplete("kernel.amd-vi",
                             "iommu_device_list holds {} of AMD: AMD-Vi tables are not read",
                             registered.amd);
    }
    // Units that are ignored or failed are listed and not registered; never the other way round.
    const auto driven = static_cast<size_t>(std::count_if(
        units.units.begin(), units.units.end(), [](const UnitState& u) { return !u.ignored; }));
    if (registered.intel > driven) {
      kernel.sink.Incomplete("kernel.disagree",
                             "{}, {} not ignored, but iommu_device_list holds {} of Intel",
                             units.evidence, driven, registered.intel);
    }
    return {IommuPresence::kIntel, units.evidence};
  }
  if (registered.amd != 0 || kernel.log.amd_vi) {
    if (registered.amd == 0) {
      kernel.sink.Incomplete("kernel.amd-vi", "{}: AMD-Vi tables are not read",
                             ToString(*kernel.log.amd_vi));
      return {IommuPresence::kAmd, ToString(*kernel.log.amd_vi)};
    }
    kernel.sink.Incomplete("kernel.amd-vi",
                           "iommu_device_list holds {} of AMD: AMD-Vi tables are not read",
                           registered.amd);
    return {IommuPresence::kAmd, "iommu_device_list holds amd_iommu_ops"};
  }
  if (registered.other != 0) {
    return {IommuPresence::kOther, "iommu_device_list holds an IOMMU of neither Intel nor AMD"};
  }
  if (!units.complete) {
    return {IommuPresence::kUnknown,
            fmt::format("dmar_drhd_units was not read{}{}", units.evidence.empty() ? "" : ": ",
                        units.evidence)};
  }
  if (unlisted != nullptr) {
    return {IommuPresence::kUnknown, "dmar_drhd_units and iomem_resource disagree"};
  }
  if (registered.intel != 0) {
    // Units registered but not listed: the list was cut.
    kernel.sink.Incomplete("kernel.disagree",
                           "dmar_drhd_units is empty, but iommu_device_list holds {} of Intel",
                           registered.intel);
    return {IommuPresence::kUnknown, "dmar_drhd_units and iommu_device_list disagree"};
  }
  if (registered.unread != 0) {
    kernel.sink.Incomplete("kernel.iommu-unknown",
                           "dmar_drhd_units is empty, but iommu_device_list holds {} whose "
                           "operations could not be read",
                           registered.unread);
    return {IommuPresence::kUnknown, "whose the IOMMUs of iommu_device_list are is not known"};
  }
  if (!registered.read) {
    kernel.sink.Incomplete("kernel.iommu-unknown",
                           "dmar_drhd_units is empty, and iommu_device_list could not be read: "
                           "another IOMMU may be in use");
    return {IommuPresence::kUnknown, "dmar_drhd_units is empty; iommu_device_list was not read"};
  }
  return {IommuPresence::kNone, "dmar_drhd_units and iommu_device_list are empty"};
}

}  // namespace dmaudit
