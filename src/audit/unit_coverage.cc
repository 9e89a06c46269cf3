// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/unit_coverage.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/text.h"

namespace dmaudit {
namespace {

// By the place of its registers, which no other unit has.
std::optional<size_t> UnitOf(const FirmwareScope& scope, const std::vector<AuditedUnit>& units) {
  std::optional<size_t> found;
  for (size_t i = 0; scope.registers && i < units.size(); ++i) {
    const Known<PhysAddr>& registers = units[i].state.register_base;
    if (!registers || registers.value() != *scope.registers) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found;
}

// A unit that a table of the user declares and the dump does not have: nobody may have switched it
// on.
bool Missing(const FirmwareScope& scope, const std::vector<AuditedUnit>& units) {
  return scope.origin == Origin::kAcpiTable &&
         std::none_of(units.begin(), units.end(), [&scope](const AuditedUnit& unit) {
           return unit.state.register_base && unit.state.register_base.value() == scope.registers;
         });
}

// The scopes of all units.
class UnitScopes {
 public:
  explicit UnitScopes(const AuditResult& result) : whole_(result.machine.scopes.units_complete) {
    for (const FirmwareScope& scope : result.machine.scopes.scopes) {
      if (scope.kind != ScopeKind::kUnit) continue;
      any_ = true;
      if (scope.segment) segments_.insert(*scope.segment);
      if (Missing(scope, result.units)) {
        missing_.insert(scope.devices.begin(), scope.devices.end());
        if (scope.segment) doubtful_.insert(*scope.segment);
        continue;
      }
      const std::optional<size_t> unit = UnitOf(scope, result.units);
      for (const Bdf& bdf : scope.devices) named_.emplace(bdf, unit);
      if (scope.flag.value_or(false) && scope.segment) rest_.emplace(*scope.segment, unit);
      // A unit whose segment is known can only cover devices of that one.
      const bool known = scope.whole && scope.flag && scope.unplaced == 0;
      if (!known && scope.segment) doubtful_.insert(*scope.segment);
      if (!scope.segment) whole_ = false;
    }
  }

  Coverage Of(const DeviceFacts& device) const {
    if (!any_ || !device.pci || !device.bdf) return Coverage::kUnknown;
    for (const Bdf& bdf : device.path.value_or(std::vector<Bdf>{*device.bdf})) {
      if (missing_.contains(bdf)) return Coverage::kUnknown;
    }
    if (rest_.contains(device.bdf->segment)) return Coverage::kUnit;
    if (!device.path) return named_.contains(*device.bdf) ? Coverage::kUnit : Coverage::kUnknown;
    for (const Bdf& bdf : *device.path) {
      if (named_.contains(bdf)) return Coverage::kUnit;
    }
    return whole_ && !doubtful_.contains(device.bdf->segment) ? Coverage::kNone
                                                              : Coverage::kUnknown;
  }

  // Whether units take whatever else there is in every segment that has one.
  bool TakeTheRest() const {
    return whole_ && std::ranges::all_of(
                         segments_, [this](uint16_t segment) { return rest_.contains(segment); });
  }

  // Nothing where Of() is another than kUnit, and where that is all that is known.
  std::optional<size_t> UnitOfDevice(const DeviceFacts& device) const {
    if (Of(device) != Coverage::kUnit) return std::nullopt;
    for (const Bdf& bdf : device.path.value_or(std::vector<Bdf>{*device.bdf})) {
      if (const auto named = named_.find(bdf); named != named_.end()) return named->second;
    }
    // A scope that cannot be read whole may name it, or a bridge that is not known.
    const auto rest = rest_.find(device.bdf->segment);
    if (!device.path || !whole_ || doubtful_.contains(device.bdf->segment)) return std::nullopt;
    return rest == rest_.end() ? std::nullopt : rest->second;
  }

 private:
  // The first unit, by its index; nothing where that is not known.
  using UnitIndex = std::optional<size_t>;
  bool any_ = false;
  bool whole_;                          // no unit is missed, and the segment of each is known
  std::map<Bdf, UnitIndex> named_;      // by any unit
  std::set<Bdf> missing_;               // by a unit that the dump does not have
  std::map<uint16_t, UnitIndex> rest_;  // segments that a unit covers as a whole
  std::set<uint16_t> segments_;         // those of all units
  std::set<uint16_t> doubtful_;         // segments with a unit of which not all is known
};

}  // namespace

bool CoverageApplies(const AuditResult& result, const DeviceFacts& device) {
  return device.pci && device.bdf && (!result.filter || result.filter->Matches(*device.bdf));
}

std::string_view ToString(Coverage coverage) {
  switch (coverage) {
    case Coverage::kUnknown:
      return "unknown";
    case Coverage::kUnit:
      return "unit";
    case Coverage::kNone:
      return "none";
  }
  return "unknown";
}

std::vector<Coverage> CoverageOf(const AuditResult& result) {
  const UnitScopes scopes(result);
  std::vector<Coverage> out;
  out.reserve(result.machine.inventory.devices.size());
  for (const DeviceFacts& device : result.machine.inventory.devices) {
    Coverage coverage = scopes.Of(device);
    if (coverage == Coverage::kNone && !EntriesOf(result, *device.bdf).empty()) {
      coverage = Coverage::kUnknown;
    }
    out.push_back(coverage);
  }
  return out;
}

std::vector<std::optional<size_t>> CoveringUnits(const AuditResult& result) {
  const UnitScopes scopes(result);
  std::vector<std::optional<size_t>> out;
  out.reserve(result.machine.inventory.devices.size());
  for (const DeviceFacts& device : result.machine.inventory.devices) {
    out.push_back(scopes.UnitOfDevice(device));
  }
  return out;
}

CoverageCounts CountCoverage(const AuditResult& result) {
  CoverageCounts counts;
  for (size_t i = 0; i < result.coverage.size(); ++i) {
    if (!CoverageApplies(result, result.machine.inventory.devices[i])) continue;
    const Coverage coverage = result.coverage[i];
    ++(coverage == Coverage::kUnit   ? counts.unit
       : coverage == Coverage::kNone ? counts.none
                                     : counts.unknown);
  }
  return counts;
}

std::vector<Finding> CheckCoverage(const AuditResult& result, const DeviceStates& states,
                                   DiagnosticSink& sink) {
  const DeviceInventory& inventory = result.machine.inventory;
  // Without an IOMMU, or where none of its scopes could be read, others say so.
  const bool any =
      std::any_of(result.machine.scopes.scopes.begin(), result.machine.scopes.scopes.end(),
                  [](const FirmwareScope& scope) { return scope.kind == ScopeKind::kUnit; });
  if (!any || result.machine.iommu != IommuPresence::kIntel) return {};
  Finding finding;
  finding.kind = &findings::kNoUnit;
  size_t unknown = 0;
  std::string example;
  for (size_t i = 0; i < inventory.devices.size(); ++i) {
    const DeviceFacts& device = inventory.devices[i];
    if (!CoverageApplies(result, device)) continue;
    if (result.coverage[i] == Coverage::kNone) {
      finding.devices.push_back({*device.bdf, std::nullopt, i, states.Ability(i)});
    } else if (result.coverage[i] == Coverage::kUnknown && EntriesOf(result, *device.bdf).empty()) {
      if (unknown++ == 0) example = ToString(*device.bdf);
    }
  }
  if (unknown != 0) {
    sink.Incomplete("audit.coverage-unknown",
                    "whether a unit translates {} is not known ({}{}): not all scopes that "
                    "firmware declared, or bridges above a device, could be read",
                    Counted(unknown, "PCI device"), example, unknown == 1 ? "" : ", ...");
  }
  if (!inventory.complete && !UnitScopes(result).TakeTheRest()) {
    sink.Incomplete("audit.devices-unlisted",
                    "not all devices could be listed, and no unit takes those that no other names: "
                    "one that nothing translates may be among them");
  }
  if (finding.devices.empty()) return {};
  finding.headline = fmt::format("{} behind no unit: all memory in reach",
                                 Counted(finding.devices.size(), "device"));
  finding.message = fmt::format(
      "{} in no unit's scope, and no unit takes the rest of the segment: nothing translates what "
      "{} sends, all memory is in reach",
      Counted(finding.devices.size(), "PCI device"), finding.devices.size() == 1 ? "it" : "they");
  std::vector<Finding> out;
  out.push_back(std::move(finding));
  return out;
}

}  // namespace dmaudit
