// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/reserved_regions.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/diagnostics.h"
#include "base/ranges.h"
#include "base/text.h"
#include "dmar/walk.h"

namespace dmaudit {
namespace {

// Table entries looked at for all regions: each walk goes down to its region only.
constexpr uint64_t kMaxEntries = uint64_t{1} << 24;
// Findings per kind; machines have a few regions.
constexpr size_t kMaxFindings = 64;
// Devices behind bridges, over all regions: lists of a damaged dump can name every bridge for each.
constexpr size_t kMaxBehindBridges = size_t{1} << 20;

// How much of a region a domain maps at its own address, for reading and writing.
class RegionVisitor : public RangeVisitor {
 public:
  explicit RegionVisitor(const PhysRange& region) : region_(region) {}

  bool OnTable(const TableRoot&, Iova iova, uint64_t span, Permissions) override {
    return iova.value() <= region_.last.value() &&
           (span == 0 || iova.value() + (span - 1) >= region_.first.value());
  }
  bool OnRange(const LiveRange& range) override {
    if (range.iova.value() != range.pa.value()) return true;
    if (!range.permissions.read || !range.permissions.write) return true;
    const std::optional<PhysRange> mapped = PhysRange::FromSize(range.pa, range.size);
    const std::optional<PhysRange> common = mapped ? mapped->Intersect(region_) : std::nullopt;
    if (common) bytes_ += common->size();
    return true;
  }
  bool whole() const { return bytes_ >= region_.size(); }

 private:
  PhysRange region_;
  uint64_t bytes_ = 0;
};

class RegionChecker {
 public:
  RegionChecker(const AuditResult& result, const std::vector<UnitRules>& rules,
                MemorySession& session, DiagnosticSink& sink)
      : result_(result), rules_(rules), session_(session), sink_(sink) {
    for (const DeviceFacts& device : result.machine.inventory.devices) {
      if (!device.bdf || !device.path) continue;
      // The first is the device, or the physical function of a virtual one: a region of that is
      // for that alone.
      for (size_t i = 1; i < device.path->size(); ++i) {
        behind_[(*device.path)[i]].push_back(*device.bdf);
      }
    }
  }

  std::vector<Finding> Check() {
    for (const FirmwareScope& scope : result_.machine.scopes.scopes) {
      if (!scope.range) continue;
      const std::vector<size_t> devices = DevicesOf(scope);
      if (result_.filter && devices.empty()) continue;
      CheckPlace(scope, devices);
      CheckMapping(scope, devices);
    }
    return std::move(findings_);
  }

 private:
  // The devices that firmware names, and what is behind the bridges among them: the kernel maps a
  // region for those too (is_downstream_to_pci_bridge() in its drivers/iommu/intel/iommu.c).
  std::vector<Bdf> RequestersOf(const FirmwareScope& scope) {
    std::vector<Bdf> requesters = scope.devices;
    for (const Bdf& bdf : scope.devices) {
      const auto behind = behind_.find(bdf);
      if (behind == behind_.end()) continue;
      const size_t taken = std::min(behind->second.size(), kMaxBehindBridges - behind_bridges_);
      behind_bridges_ += taken;
      if (taken < behind->second.size() && !std::exchange(limit_told_, true)) {
        sink_.Note("audit.region-limit",
                   "RMRRs: of devices behind bridges only the first {} were looked at",
                   kMaxBehindBridges);
      }
      requesters.insert(requesters.end(), behind->second.begin(),
                        behind->second.begin() + static_cast<ptrdiff_t>(taken));
    }
    std::sort(requesters.begin(), requesters.end());
    requesters.erase(std::unique(requesters.begin(), requesters.end()), requesters.end());
    return requesters;
  }

  // Requests without PASID of the region's devices.
  std::vector<size_t> DevicesOf(const FirmwareScope& scope) {
    std::vector<size_t> devices;
    for (const Bdf& bdf : RequestersOf(scope)) {
      const EntryRange entries = EntriesOf(result_, bdf);
      for (size_t i = entries.first; i < entries.end; ++i) {
        if (result_.devices[i].without_pasid()) devices.push_back(i);
      }
    }
    return devices;
  }

  static std::string Text(const FirmwareScope& scope) { return "RMRR " + ToString(*scope.range); }

  void Add(const FindingKind& kind, const FirmwareScope& scope, const std::vector<size_t>& devices,
           std::string_view what, std::string_view detail) {
    if (++told_[&kind] > kMaxFindings) return;
    Finding finding;
    finding.kind = &kind;
    for (const size_t index : devices) {
      const AuditedDevice& device = result_.devices[index];
      finding.devices.push_back({device.bdf, device.pasid, device.facts, device.ability});
    }
    finding.headline = fmt::format("{} {}", Text(scope), what);
    finding.message = fmt::format("{}{} ({})", finding.headline, detail, scope.place);
    findings_.push_back(std::move(finding));
  }

  void CheckPlace(const FirmwareScope& scope, const std::vector<size_t>& devices) {
    if (result_.machine.reservations) {
      for (const Reservation& reservation : *result_.machine.reservations) {
        if (!reservation.range || !reservation.range.value().Overlaps(*scope.range)) continue;
        Add(findings::kRegionOverCrashKernel, scope, devices, "lies over the crash kernel",
            fmt::format(": {}", ToString(reservation.kind)));
        return;
      }
    }
    if (!result_.machine.system_ram) return;
    for (const PhysRange& ram : result_.machine.system_ram.value()) {
      if (!ram.Overlaps(*scope.range)) continue;
      Add(findings::kRegionInRam, scope, devices, "lies in RAM that the kernel uses",
          ": " + ToString(ram));
      return;
    }
    CheckReserved(scope, devices);
  }

  void CheckReserved(const FirmwareScope& scope, const std::vector<size_t>& devices) {
    if (!result_.machine.firmware_reserved) return;
    const std::vector<PhysRange>& reserved = result_.machine.firmware_reserved.value();
    const bool whole = std::any_of(reserved.begin(), reserved.end(), [&](const PhysRange& range) {
      return range.Contains(*scope.range);
    });
    if (whole) return;
    Add(findings::kRegionNotReserved, scope, devices, "is not reserved in the memory map", "");
  }

  void CheckMapping(const FirmwareScope& scope, const std::vector<size_t>& devices) {
    std::vector<size_t> without;
    for (const size_t index : devices) {
      const AuditedDevice& device = result_.devices[index];
      const AuditedDomain& domain = result_.domains[device.domain];
      if (domain.space.stage == Stage::kPassThrough || domain.identity == IdentityKind::kWhole) {
        continue;
      }
      // Mappings that others made: a user of VFIO need not map the region, nor does a domain that
      // blocks.
      if (!KernelMaps(device)) continue;
      if (!Mapped(domain, *scope.range)) without.push_back(index);
    }
    if (!without.empty()) {
      Add(findings::kRegionNotMapped, scope, without, "is not mapped at its own address",
          fmt::format(" for {}", Counted(without.size(), "device")));
    }
  }

  bool KernelMaps(const AuditedDevice& device) const {
    if (!device.facts) return true;
    const DeviceInventory& inventory = result_.machine.inventory;
    const DeviceFacts& facts = inventory.devices[*device.facts];
    if (!facts.group || !inventory.groups[*facts.group].domain) return true;
    const DomainType type = *inventory.groups[*facts.group].domain;
    return type == DomainType::kDma || type == DomainType::kDmaFlushQueue;
  }

  bool Mapped(const AuditedDomain& domain, const PhysRange& region) {
    RegionVisitor visitor(region);
    DiagnosticSink repeated;
    WalkAddressSpace(domain.space, rules_[domain.unit], session_, repeated, visitor, &budget_);
    // What a table does not show because it cannot be read is not denied.
    return visitor.whole() || repeated.incomplete();
  }

  const AuditResult& result_;
  const std::vector<UnitRules>& rules_;
  MemorySession& session_;
  DiagnosticSink& sink_;
  WalkBudget budget_{kMaxEntries};
  std::vector<Finding> findings_;
  std::map<const FindingKind*, size_t> told_;
  std::map<Bdf, std::vector<Bdf>> behind_;  // by bridge: the devices behind it
  size_t behind_bridges_ = 0;
  bool limit_told_ = false;
};

}  // namespace

std::vector<Finding> CheckReservedRegions(const AuditResult& result,
                                          const std::vector<UnitRules>& rules,
                                          MemorySession& session, DiagnosticSink& sink) {
  return RegionChecker(result, rules, session, sink).Check();
}

}  // namespace dmaudit
