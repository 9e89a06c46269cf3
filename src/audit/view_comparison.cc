// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/view_comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "dmar/hw/second_stage_entry.h"

namespace dmaudit {
namespace {

// Findings per kind; the rest is counted.
constexpr size_t kMaxFindings = 64;

struct Difference {
  const FindingKind* kind;
  std::string what;     // for the headline
  std::string details;  // both sides
};

enum class Outcome : uint8_t { kAgree, kDiffer, kUnknown };

class Comparer {
 public:
  Comparer(AuditResult& result, MemorySession& session) : result_(result), session_(session) {}

  std::vector<Finding> Compare() {
    for (const AuditedUnit& unit : result_.units) {
      // Where an entry is missing from what was read, nothing is said of what it holds.
      all_entries_seen_ = all_entries_seen_ && unit.status == UnitStatus::kWalked &&
                          unit.accounting.unreadable == 0;
    }
    const std::vector<DeviceFacts>& devices = result_.machine.inventory.devices;
    for (size_t i = 0; i < devices.size(); ++i) {
      if (!devices[i].attached || !devices[i].bdf) continue;
      if (result_.filter && !result_.filter->Matches(*devices[i].bdf)) continue;
      ++result_.views.attached;
      switch (CompareDevice(i)) {
        case Outcome::kAgree:
          ++result_.views.agree;
          break;
        case Outcome::kDiffer:
          ++result_.views.differ;
          break;
        case Outcome::kUnknown:
          ++result_.views.unknown;
          break;
      }
    }
    return std::move(findings_);
  }

 private:
  Outcome CompareDevice(size_t index) {
    const DeviceFacts& facts = result_.machine.inventory.devices[index];
    const std::vector<const AuditedDevice*> entries = EntriesOf(*facts.bdf);
    if (entries.empty()) {
      // Another requester's tables are not the device's; a device behind no unit has none.
      if (!all_entries_seen_ || result_.units.empty() || !facts.attached->root) {
        return Outcome::kUnknown;
      }
      Add(index, {&findings::kViewNoEntry, "is attached by the kernel, and has no live entry",
                  fmt::format("the kernel's tables for it are at {}", Text(*facts.attached))});
      return Outcome::kDiffer;
    }
    // Two entries can stand for PASID 0: the one that matches is the one the kernel wrote.
    std::optional<Outcome> best;
    std::optional<Difference> difference;
    for (const AuditedDevice* entry : entries) {
      std::optional<Difference> found;
      const Outcome outcome = CompareEntry(facts, *entry, found);
      if (outcome == Outcome::kAgree) return outcome;
      if (!best || outcome == Outcome::kUnknown) best = outcome;
      if (found) difference = std::move(found);
    }
    if (*best == Outcome::kDiffer && difference) Add(index, *difference);
    return *best;
  }

  // Requests without PASID of a device, under its own id.
  std::vector<const AuditedDevice*> EntriesOf(const Bdf& bdf) const {
    std::vector<const AuditedDevice*> entries;
    auto it = std::lower_bound(
        result_.devices.begin(), result_.devices.end(), bdf,
        [](const AuditedDevice& device, const Bdf& id) { return device.bdf < id; });
    for (; it != result_.devices.end() && it->bdf == bdf; ++it) {
      if (!it->pasid || it->pasid->value == 0) entries.push_back(&*it);
    }
    return entries;
  }

  Outcome CompareEntry(const DeviceFacts& facts, const AuditedDevice& entry,
                       std::optional<Difference>& difference) {
    const AddressSpace& space = result_.domains[entry.domain].space;
    const KernelDomain& kernel = *facts.attached;
    if (space.stage == Stage::kNested) return Outcome::kUnknown;
    if (space.stage == Stage::kPassThrough) return ComparePassThrough(facts, difference);
    const std::optional<TableRoot>& table =
        space.stage == Stage::kSecond ? space.second : space.first;
    if (!table || !kernel.root || !kernel.levels) return Outcome::kUnknown;
    const std::optional<PhysAddr> expected = Descend(*kernel.root, *kernel.levels, table->levels);
    if (!expected) return Outcome::kUnknown;
    if (*expected != table->table || *kernel.levels < table->levels) {
      difference =
          Difference{&findings::kViewRoot, "is not translated by the tables of its domain",
                     fmt::format("the kernel's are at {}, the entry leads to {:#x} ({} levels)",
                                 Text(kernel), table->table.value(), table->levels)};
      return Outcome::kDiffer;
    }
    if (!kernel.did) return Outcome::kUnknown;
    if (*kernel.did != space.did.value) {
      difference = Difference{
          &findings::kViewDomainId, "is tagged with another domain id than its domain's",
          fmt::format("the kernel's id is {}, the entry's {}", *kernel.did, space.did.value)};
      return Outcome::kDiffer;
    }
    return Outcome::kAgree;
  }

  Outcome ComparePassThrough(const DeviceFacts& facts, std::optional<Difference>& difference) {
    const auto& groups = result_.machine.inventory.groups;
    if (!facts.group || !groups[*facts.group].domain) return Outcome::kUnknown;
    const DomainType type = *groups[*facts.group].domain;
    if (type == DomainType::kIdentity) return Outcome::kAgree;
    if (type != DomainType::kDma && type != DomainType::kDmaFlushQueue &&
        type != DomainType::kUnmanaged && type != DomainType::kBlocked) {
      return Outcome::kUnknown;
    }
    difference = Difference{&findings::kViewType, "passes through, and the kernel means it not to",
                            fmt::format("its group's domain is of type {}", ToString(type))};
    return Outcome::kDiffer;
  }

  // The table that a unit with `levels` levels gets of a domain with `domain_levels`.
  std::optional<PhysAddr> Descend(PhysAddr table, unsigned domain_levels, unsigned levels) {
    for (; domain_levels > levels; --domain_levels) {
      uint64_t entry = 0;
      if (!session_.ReadU64(table, entry).ok()) return std::nullopt;
      table = PhysAddr(hw::second_stage::kAddress.mask() & entry);
    }
    return table;
  }

  static std::string Text(const KernelDomain& domain) {
    return domain.levels ? fmt::format("{:#x} ({} levels)", domain.root->value(), *domain.levels)
                         : fmt::format("{:#x}", domain.root->value());
  }

  void Add(size_t index, const Difference& difference) {
    if (++told_[difference.kind] > kMaxFindings) return;
    const DeviceFacts& facts = result_.machine.inventory.devices[index];
    Finding finding;
    finding.kind = difference.kind;
    DeviceRef device{*facts.bdf, {}, index};
    for (const AuditedDevice* entry : EntriesOf(*facts.bdf)) {
      device.ability = entry->ability;
      const AuditedDomain& domain = result_.domains[entry->domain];
      finding.domain = domain.space.did;
      finding.units = {result_.units[domain.unit].state.name};
    }
    finding.devices.push_back(device);
    finding.headline = fmt::format("{} {}", ToString(*facts.bdf), difference.what);
    finding.message = fmt::format("{}: {} (struct dmar_domain @ {:#x})", finding.headline,
                                  difference.details, facts.attached->address.value());
    findings_.push_back(std::move(finding));
  }

  AuditResult& result_;
  MemorySession& session_;
  bool all_entries_seen_ = true;
  std::vector<Finding> findings_;
  std::map<const FindingKind*, size_t> told_;
};

}  // namespace

std::vector<Finding> CompareViews(AuditResult& result, MemorySession& session) {
  return Comparer(result, session).Compare();
}

}  // namespace dmaudit
