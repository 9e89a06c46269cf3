// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/view_comparison.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "audit/attachments.h"
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

// Nothing is known without the reason.
class Outcome {
 public:
  static Outcome Agree() { return Outcome(Kind::kAgree); }
  static Outcome Differ() { return Outcome(Kind::kDiffer); }
  static Outcome Unknown(ViewGap gap) {
    Outcome outcome(Kind::kUnknown);
    outcome.gap_ = gap;
    return outcome;
  }
  bool agrees() const { return kind_ == Kind::kAgree; }
  bool differs() const { return kind_ == Kind::kDiffer; }
  bool unknown() const { return kind_ == Kind::kUnknown; }
  ViewGap gap() const { return gap_; }

 private:
  enum class Kind : uint8_t { kAgree, kDiffer, kUnknown };
  explicit Outcome(Kind kind) : kind_(kind) {}
  Kind kind_;
  ViewGap gap_ = ViewGap::kUnitUnreadable;
};

class Comparer {
 public:
  Comparer(AuditResult& result, MemorySession& session) : result_(result), session_(session) {}

  std::vector<ViewFinding> Compare() {
    const std::vector<DeviceFacts>& devices = result_.machine.inventory.devices;
    for (size_t i = 0; i < devices.size(); ++i) {
      if (!devices[i].bdf || !(devices[i].attached || MayBeAttached(devices[i]))) continue;
      if (result_.filter && !result_.filter->Matches(*devices[i].bdf)) continue;
      ++result_.views.attached;
      const Outcome outcome = CompareDevice(i);
      if (outcome.unknown()) {
        ++result_.views.unknown;
        unknown_[outcome.gap()].push_back(i);
      } else {
        ++(outcome.agrees() ? result_.views.agree : result_.views.differ);
      }
    }
    for (auto& [gap, which] : unknown_) result_.views.gaps.push_back({gap, std::move(which)});
    return std::move(findings_);
  }

 private:
  // Without a unit nothing attaches it, and what could not be read was another driver's.
  bool MayBeAttached(const DeviceFacts& facts) const {
    return facts.attachment_unread && !result_.units.empty();
  }

  Outcome CompareDevice(size_t index) {
    const DeviceFacts& facts = result_.machine.inventory.devices[index];
    if (!facts.attached) return Outcome::Unknown(ViewGap::kRecordUnread);
    const std::vector<size_t> units = UnitsOf(*facts.attached);
    if (units.size() != 1) {
      return Outcome::Unknown(!facts.attached->unit ? ViewGap::kUnitUnreadable
                              : units.empty()       ? ViewGap::kUnitMissing
                                                    : ViewGap::kUnitAmbiguous);
    }
    const size_t unit = units.front();
    const std::vector<size_t> entries = EntriesOn(unit, *facts.bdf);
    std::optional<Difference> difference;
    const Outcome outcome = entries.empty() ? CompareWithNone(*facts.attached, unit, difference)
                                            : CompareWithAny(facts, entries, difference);
    if (!outcome.differs() || !difference) return outcome;
    // The entry may be one of an earlier kernel that nobody has replaced yet.
    if (result_.units[unit].state.inherited) return Outcome::Unknown(ViewGap::kInherited);
    Add(index, unit, entries, *difference);
    return outcome;
  }

  // Those of the name. Entries of other units for the same requester are not in use.
  std::vector<size_t> UnitsOf(const KernelDomain& kernel) const {
    std::vector<size_t> found;
    for (size_t i = 0; kernel.unit && i < result_.units.size(); ++i) {
      if (result_.units[i].state.name == *kernel.unit) found.push_back(i);
    }
    return found;
  }

  // Requests without PASID of a device, under its own id: indices into AuditResult::devices.
  // Requests that a bridge passes on have entries under the bridge's id, beside these.
  std::vector<size_t> EntriesOn(size_t unit, const Bdf& bdf) const {
    std::vector<size_t> entries;
    const EntryRange all = EntriesOf(result_, bdf);
    for (size_t i = all.first; i < all.end; ++i) {
      const AuditedDevice& entry = result_.devices[i];
      if (entry.unit == unit && entry.without_pasid()) entries.push_back(i);
    }
    return entries;
  }

  Outcome CompareWithNone(const KernelDomain& kernel, size_t index,
                          std::optional<Difference>& difference) const {
    const AuditedUnit& unit = result_.units[index];
    if (unit.status != UnitStatus::kWalked) return Outcome::Unknown(ViewGap::kUnitNotWalked);
    // Where an entry is missing from what was read, nothing is said of what it holds; where all
    // are refused, the reading may be wrong.
    if (unit.accounting.unreadable != 0 || result_.devices.size() >= kMaxDevices) {
      return Outcome::Unknown(ViewGap::kEntryUnread);
    }
    if (unit.accounting.leaves == 0) return Outcome::Unknown(ViewGap::kNothingLive);
    if (kernel.type == DomainType::kBlocked) return Outcome::Agree();
    if (OfOtherKind(kernel.type)) return Outcome::Unknown(ViewGap::kKind);
    if (!kernel.root) return Outcome::Unknown(ViewGap::kTopUnknown);
    difference =
        Difference{&findings::kViewNoEntry, "is attached by the kernel, and has no live entry",
                   fmt::format("the kernel's tables for it are at {}", Text(kernel))};
    return Outcome::Differ();
  }

  // Two entries can stand for PASID 0: the one that matches is the one the kernel wrote.
  Outcome CompareWithAny(const DeviceFacts& facts, const std::vector<size_t>& entries,
                         std::optional<Difference>& difference) {
    std::optional<Outcome> best;
    for (const size_t entry : entries) {
      const AddressSpace& space = result_.domains[result_.devices[entry].domain].space;
      const Outcome outcome = CompareEntry(facts, space, difference);
      if (outcome.agrees()) return outcome;
      if (!best || outcome.unknown()) best = outcome;
    }
    return *best;
  }

  Outcome CompareEntry(const DeviceFacts& facts, const AddressSpace& space,
                       std::optional<Difference>& difference) {
    const KernelDomain& kernel = *facts.attached;
    const auto differ = [&](const FindingKind& kind, const char* what, std::string details) {
      difference = Difference{&kind, what, std::move(details)};
      return Outcome::Differ();
    };
    if (space.stage == Stage::kNested || OfOtherKind(kernel.type)) {
      return Outcome::Unknown(ViewGap::kKind);
    }
    const bool passes = space.stage == Stage::kPassThrough;
    if (kernel.without_tables && kernel.type == DomainType::kBlocked) {
      return differ(findings::kViewType, "is blocked by the kernel, and has a live entry",
                    fmt::format("the entry is of type {}", ToString(space.stage)));
    }
    if (passes && Translates(kernel.type)) {
      return differ(findings::kViewType, "passes through, and the kernel means it not to",
                    fmt::format("its domain is of type {}", ToString(*kernel.type)));
    }
    if (passes) {
      const bool identity = kernel.type ? *kernel.type == DomainType::kIdentity
                                        : GroupType(facts) == DomainType::kIdentity;
      return identity ? Outcome::Agree() : Outcome::Unknown(ViewGap::kIdentityUnknown);
    }
    if (kernel.without_tables) {
      return differ(findings::kViewType, "is translated, and the kernel means it to pass through",
                    fmt::format("the entry is of type {}", ToString(space.stage)));
    }
    if (kernel.first_stage && *kernel.first_stage != (space.stage == Stage::kFirst)) {
      return differ(findings::kViewType, "is translated by the other stage than its domain's",
                    fmt::format("the kernel's tables are of the {} stage, the entry's of the {}",
                                *kernel.first_stage ? "first" : "second", ToString(space.stage)));
    }
    return CompareTables(kernel, space, difference);
  }

  Outcome CompareTables(const KernelDomain& kernel, const AddressSpace& space,
                        std::optional<Difference>& difference) {
    const std::optional<TableRoot>& table =
        space.stage == Stage::kSecond ? space.second : space.first;
    if (!kernel.root) return Outcome::Unknown(ViewGap::kTopUnknown);
    if (!kernel.levels) return Outcome::Unknown(ViewGap::kLevelsUnknown);
    if (!table) return Outcome::Unknown(ViewGap::kEntryUnread);
    const std::optional<PhysAddr> expected = Descend(*kernel.root, *kernel.levels, table->levels);
    if (!expected) return Outcome::Unknown(ViewGap::kDescentUnreadable);
    if (*expected != table->table || *kernel.levels < table->levels) {
      difference =
          Difference{&findings::kViewRoot, "is not translated by the tables of its domain",
                     fmt::format("the kernel's are at {}, the entry leads to {:#x} ({} levels)",
                                 Text(kernel), table->table.value(), table->levels)};
      return Outcome::Differ();
    }
    if (!kernel.did) return Outcome::Unknown(ViewGap::kIdUnknown);
    // Id 0 is given to no domain: none is recorded.
    if (*kernel.did == 0) return Outcome::Unknown(ViewGap::kIdUnset);
    if (*kernel.did != space.did.value) {
      difference = Difference{
          &findings::kViewDomainId, "is tagged with another domain id than its domain's",
          fmt::format("the kernel's id is {}, the entry's {}", *kernel.did, space.did.value)};
      return Outcome::Differ();
    }
    return Outcome::Agree();
  }

  static bool Translates(const std::optional<DomainType>& type) {
    return type == DomainType::kDma || type == DomainType::kDmaFlushQueue ||
           type == DomainType::kUnmanaged;
  }

  static bool OfOtherKind(const std::optional<DomainType>& type) {
    return type == DomainType::kSva || type == DomainType::kNested;
  }

  std::optional<DomainType> GroupType(const DeviceFacts& facts) const {
    if (!facts.group) return std::nullopt;
    return result_.machine.inventory.groups[*facts.group].domain;
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

  void Add(size_t index, size_t unit, const std::vector<size_t>& entries,
           const Difference& difference) {
    if (++told_[difference.kind] > kMaxFindings) return;
    const DeviceFacts& facts = result_.machine.inventory.devices[index];
    ViewFinding found;
    Finding& finding = found.finding;
    finding.kind = difference.kind;
    finding.units = {result_.units[unit].state.name};
    DeviceRef device{*facts.bdf, {}, index};
    if (!entries.empty()) {
      found.entry = entries.front();
      const AuditedDevice& entry = result_.devices[entries.front()];
      device.pasid = entry.pasid;
      device.ability = entry.ability;
      finding.domain = result_.domains[entry.domain].space.did;
    }
    finding.devices.push_back(device);
    finding.headline = fmt::format("{} {}", ToString(*facts.bdf), difference.what);
    finding.message =
        fmt::format("{}: {} ({} @ {:#x})", finding.headline, difference.details,
                    facts.attached->without_tables ? "struct iommu_domain" : "struct dmar_domain",
                    facts.attached->address.value());
    findings_.push_back(std::move(found));
  }

  AuditResult& result_;
  MemorySession& session_;
  std::vector<ViewFinding> findings_;
  std::map<const FindingKind*, size_t> told_;
  std::map<ViewGap, std::vector<size_t>> unknown_;
};

}  // namespace

std::vector<ViewFinding> CompareViews(AuditResult& result, MemorySession& session) {
  return Comparer(result, session).Compare();
}

}  // namespace dmaudit
