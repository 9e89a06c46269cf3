// SPDX-License-Identifier: GPL-2.0-or-later
// DMAR units as the kernel drives them: dmar_drhd_units, struct intel_iommu, and the register
// values that follow from them.
#ifndef DMAUDIT_KERNEL_DISCOVER_UNITS_H_
#define DMAUDIT_KERNEL_DISCOVER_UNITS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dmar/unit_state.h"
#include "kernel/kernel_view.h"

namespace dmaudit {

struct UnitDiscovery {
  // The list was read from head to head: units.empty() then means that there is none.
  bool complete = false;
  std::vector<UnitState> units;  // in the order of their numbers
  std::string evidence;          // what lists them: "dmar_drhd_units lists 2 units"
};

// DMAR_UNITS_SUPPORTED of current kernels.
inline constexpr size_t kMaxUnits = 1024;

UnitDiscovery DiscoverUnits(const KernelView& kernel);

// The translation table mode (bits 11:10 of RTADDR_REG, in place) in which the kernel programs a
// unit with this ECAP, or nothing when it cannot be told; a variable that cannot be read is
// reported.
std::optional<uint64_t> RootTableMode(const KernelView& kernel, const UnitState& unit);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_DISCOVER_UNITS_H_
