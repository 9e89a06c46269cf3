// SPDX-License-Identifier: GPL-2.0-or-later
// IRTA_REG: the interrupt remapping table of 2^(S+1) entries. Sources: Linux
// drivers/iommu/intel/irq_remapping.c, VirtualBox iommu-intel.h.
#ifndef DMAUDIT_DMAR_HW_INTERRUPT_REMAPPING_TABLE_ADDRESS_REGISTER_H_
#define DMAUDIT_DMAR_HW_INTERRUPT_REMAPPING_TABLE_ADDRESS_REGISTER_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::irta {

inline constexpr Field kIrta{63, 12, "IRTA"};
inline constexpr Field kEime{11, 11, "EIME"};
inline constexpr Field kS{3, 0, "S"};

inline constexpr std::array<Field, 4> kFields = {kIrta, kEime, Reserved(10, 4), kS};
static_assert(Tiles64(kFields));

}  // namespace dmaudit::hw::irta

#endif  // DMAUDIT_DMAR_HW_INTERRUPT_REMAPPING_TABLE_ADDRESS_REGISTER_H_
