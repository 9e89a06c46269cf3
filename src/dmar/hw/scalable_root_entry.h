// SPDX-License-Identifier: GPL-2.0-or-later
// One half of a root entry of scalable mode: the low quadword leads to devfn 0x00..0x7f, the high
// one to 0x80..0xff. Condition of the reserved bits: SRT.3 (VirtualBox iommu-intel.h).
#ifndef DMAUDIT_DMAR_HW_SCALABLE_ROOT_ENTRY_H_
#define DMAUDIT_DMAR_HW_SCALABLE_ROOT_ENTRY_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::scalable_root {

inline constexpr Field kP{0, 0, "P"};
inline constexpr Field kCtp{51, 12, "CTP"};

inline constexpr std::array<Field, 4> kHalf = {Reserved(63, 52), kCtp, Reserved(11, 1), kP};
static_assert(Tiles64(kHalf));

}  // namespace dmaudit::hw::scalable_root

#endif  // DMAUDIT_DMAR_HW_SCALABLE_ROOT_ENTRY_H_
