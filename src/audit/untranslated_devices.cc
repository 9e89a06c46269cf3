// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/untranslated_devices.h"

#include <algorithm>

#include "audit/audit.h"
#include "audit/unit_coverage.h"

namespace dmaudit {
namespace {

bool Wanted(const AuditResult& result, const DeviceFacts& device) {
  return device.pci && device.bdf && (!result.filter || result.filter->Matches(*device.bdf));
}

bool WithoutIommu(const AuditResult& result) {
  return result.units.empty() && result.machine.iommu == IommuPresence::kNone;
}

std::optional<WhyUntranslated> WhyBehind(const AuditedUnit& unit) {
  if (unit.status == UnitStatus::kTranslationOff) return WhyUntranslated::kTranslationOff;
  if (unit.status == UnitStatus::kIgnored) return WhyUntranslated::kUnitIgnored;
  return std::nullopt;
}

}  // namespace

std::string_view ToString(WhyUntranslated why) {
  switch (why) {
    case WhyUntranslated::kNoIommu:
      return "no-iommu";
    case WhyUntranslated::kNoUnit:
      return "no-unit";
    case WhyUntranslated::kTranslationOff:
      return "translation-off";
    case WhyUntranslated::kUnitIgnored:
      return "unit-ignored";
  }
  return "no-iommu";
}

std::string_view Describe(WhyUntranslated why) {
  switch (why) {
    case WhyUntranslated::kNoIommu:
      return "no IOMMU";
    case WhyUntranslated::kNoUnit:
      return "behind no unit";
    case WhyUntranslated::kTranslationOff:
      return "translation off";
    case WhyUntranslated::kUnitIgnored:
      return "unit ignored";
  }
  return "no IOMMU";
}

std::vector<UntranslatedDevice> FindUntranslatedDevices(const AuditResult& result) {
  const std::vector<DeviceFacts>& devices = result.machine.inventory.devices;
  const std::vector<std::optional<size_t>> units = CoveringUnits(result);
  std::vector<UntranslatedDevice> out;
  for (size_t i = 0; i < devices.size(); ++i) {
    if (!Wanted(result, devices[i])) continue;
    if (WithoutIommu(result)) {
      out.push_back({i, WhyUntranslated::kNoIommu, std::nullopt});
    } else if (result.coverage[i] == Coverage::kNone) {
      out.push_back({i, WhyUntranslated::kNoUnit, std::nullopt});
    } else if (result.coverage[i] == Coverage::kUnit && units[i]) {
      const std::optional<WhyUntranslated> why = WhyBehind(result.units[*units[i]]);
      if (why) out.push_back({i, *why, units[i]});
    }
  }
  return out;
}

bool AllUntranslatedKnown(const AuditResult& result) {
  const DeviceInventory& inventory = result.machine.inventory;
  if (!inventory.complete) return false;
  if (WithoutIommu(result)) return true;
  const std::vector<std::optional<size_t>> units = CoveringUnits(result);
  for (size_t i = 0; i < inventory.devices.size(); ++i) {
    if (!Wanted(result, inventory.devices[i])) continue;
    if (result.coverage[i] == Coverage::kUnknown) return false;
    if (result.coverage[i] == Coverage::kUnit && !units[i]) return false;
  }
  return true;
}

}  // namespace dmaudit
