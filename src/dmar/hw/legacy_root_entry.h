// SPDX-License-Identifier: GPL-2.0-or-later
// Root entry of legacy mode: 256 of 16 bytes, indexed by bus. Condition of the reserved bits:
// LRT.3 (VirtualBox iommu-intel.h).
#ifndef DMAUDIT_DMAR_HW_LEGACY_ROOT_ENTRY_H_
#define DMAUDIT_DMAR_HW_LEGACY_ROOT_ENTRY_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::legacy_root {

inline constexpr Field kP{0, 0, "P"};
inline constexpr Field kCtp{51, 12, "CTP"};

inline constexpr std::array<Field, 4> kLow = {Reserved(63, 52), kCtp, Reserved(11, 1), kP};
static_assert(Tiles64(kLow));

inline constexpr std::array<Field, 1> kHigh = {Reserved(63, 0)};
static_assert(Tiles64(kHigh));

}  // namespace dmaudit::hw::legacy_root

#endif  // DMAUDIT_DMAR_HW_LEGACY_ROOT_ENTRY_H_
