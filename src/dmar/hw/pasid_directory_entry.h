// SPDX-License-Identifier: GPL-2.0-or-later
// PASID directory entry: 8 bytes, indexed by PASID[19:6]. Condition of the reserved bits: SPD.3
// (VirtualBox iommu-intel.h, Linux drivers/iommu/intel/pasid.h).
#ifndef DMAUDIT_DMAR_HW_PASID_DIRECTORY_ENTRY_H_
#define DMAUDIT_DMAR_HW_PASID_DIRECTORY_ENTRY_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::pasid_directory {

inline constexpr Field kP{0, 0, "P"};
inline constexpr Field kFpd{1, 1, "FPD"};
inline constexpr Field kSmptblptr{51, 12, "SMPTBLPTR"};

inline constexpr std::array<Field, 5> kWord = {Reserved(63, 52), kSmptblptr, Reserved(11, 2), kFpd,
                                               kP};
static_assert(Tiles64(kWord));

}  // namespace dmaudit::hw::pasid_directory

#endif  // DMAUDIT_DMAR_HW_PASID_DIRECTORY_ENTRY_H_
