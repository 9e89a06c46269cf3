// SPDX-License-Identifier: GPL-2.0-or-later
// RTADDR_REG: the root table and the translation table mode (TTM): 00 legacy, 01 scalable, 10
// reserved (extended mode in revision 2.x), 11 abort. Sources: Linux drivers/iommu/intel/iommu.h
// (DMA_RTADDR_*), VirtualBox iommu-intel.h.
#ifndef DMAUDIT_DMAR_HW_ROOT_TABLE_ADDRESS_REGISTER_H_
#define DMAUDIT_DMAR_HW_ROOT_TABLE_ADDRESS_REGISTER_H_

#include <array>
#include <cstdint>

#include "base/bits.h"

namespace dmaudit::hw::rtaddr {

inline constexpr Field kRta{63, 12, "RTA"};
inline constexpr Field kTtm{11, 10, "TTM"};

inline constexpr std::array<Field, 3> kFields = {kRta, kTtm, Reserved(9, 0)};
static_assert(Tiles64(kFields));

// Values of TTM.
inline constexpr uint64_t kTtmLegacy = 0b00;
inline constexpr uint64_t kTtmScalable = 0b01;
inline constexpr uint64_t kTtmExtended = 0b10;
inline constexpr uint64_t kTtmAbort = 0b11;

}  // namespace dmaudit::hw::rtaddr

#endif  // DMAUDIT_DMAR_HW_ROOT_TABLE_ADDRESS_REGISTER_H_
