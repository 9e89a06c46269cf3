// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/untranslated_devices.h"

#include "audit/audit.h"
#include "audit/unit_coverage.h"

namespace dmaudit {
namespace {

struct Words {
  std::string_view id;
  std::string_view text;
};

// A switch, so that a reason without words does not compile.
Words Of(WhyUntranslated why) {
  switch (why) {
    case WhyUntranslated::kNoIommu:
      return {"no-iommu", "no IOMMU"};
    case WhyUntranslated::kNoUnit:
      return {"no-unit", "behind no unit"};
    case WhyUntranslated::kTranslationOff:
      return {"translation-off", "translation off"};
    case WhyUntranslated::kUnitIgnored:
      return {"unit-ignored", "unit ignored"};
  }
  return {"unknown", "not known"};
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

std::string_view ToString(WhyUntranslated why) { return Of(why).id; }
std::string_view Describe(WhyUntranslated why) { return Of(why).text; }

void FindUntranslatedDevices(AuditResult& result) {
  const DeviceInventory& inventory = result.machine.inventory;
  const std::vector<std::optional<size_t>> units = CoveringUnits(result);
  result.untranslated_complete = inventory.complete;
  for (size_t i = 0; i < inventory.devices.size(); ++i) {
    if (!CoverageApplies(result, inventory.devices[i])) continue;
    if (WithoutIommu(result)) {
      result.untranslated.push_back({i, WhyUntranslated::kNoIommu, std::nullopt});
    } else if (result.coverage[i] == Coverage::kNone) {
      result.untranslated.push_back({i, WhyUntranslated::kNoUnit, std::nullopt});
    } else if (result.coverage[i] == Coverage::kUnit && units[i]) {
      const std::optional<WhyUntranslated> why = WhyBehind(result.units[*units[i]]);
      if (why) result.untranslated.push_back({i, *why, units[i]});
    } else {
      result.untranslated_complete = false;
    }
  }
}

}  // namespace dmaudit
