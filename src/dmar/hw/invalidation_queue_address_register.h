// SPDX-License-Identifier: GPL-2.0-or-later
// IQA_REG: the invalidation queue: 2^QS pages of descriptors, 256 bits each with DW. Sources:
// Linux drivers/iommu/intel/dmar.c, VirtualBox iommu-intel.h.
#ifndef DMAUDIT_DMAR_HW_INVALIDATION_QUEUE_ADDRESS_REGISTER_H_
#define DMAUDIT_DMAR_HW_INVALIDATION_QUEUE_ADDRESS_REGISTER_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::iqa {

inline constexpr Field kIqa{63, 12, "IQA"};
inline constexpr Field kDw{11, 11, "DW"};
inline constexpr Field kQs{2, 0, "QS"};

inline constexpr std::array<Field, 4> kFields = {kIqa, kDw, Reserved(10, 3), kQs};
static_assert(Tiles64(kFields));

}  // namespace dmaudit::hw::iqa

#endif  // DMAUDIT_DMAR_HW_INVALIDATION_QUEUE_ADDRESS_REGISTER_H_
