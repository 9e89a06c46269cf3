// SPDX-License-Identifier: GPL-2.0-or-later
// GCMD_REG, 32 bits: commands to the unit. Source: Linux drivers/iommu/intel/iommu.h (DMA_GCMD_*).
#ifndef DMAUDIT_DMAR_HW_GLOBAL_COMMAND_REGISTER_H_
#define DMAUDIT_DMAR_HW_GLOBAL_COMMAND_REGISTER_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::gcmd {

inline constexpr Field kTe{31, 31, "TE"};
inline constexpr Field kSrtp{30, 30, "SRTP"};
inline constexpr Field kSfl{29, 29, "SFL"};
inline constexpr Field kEafl{28, 28, "EAFL"};
inline constexpr Field kWbf{27, 27, "WBF"};
inline constexpr Field kQie{26, 26, "QIE"};
inline constexpr Field kIre{25, 25, "IRE"};
inline constexpr Field kSirtp{24, 24, "SIRTP"};
inline constexpr Field kCfi{23, 23, "CFI"};

inline constexpr std::array<Field, 11> kFields = {
    Reserved(63, 32), kTe, kSrtp, kSfl, kEafl, kWbf, kQie, kIre, kSirtp, kCfi, Reserved(22, 0)};
static_assert(Tiles64(kFields));

}  // namespace dmaudit::hw::gcmd

#endif  // DMAUDIT_DMAR_HW_GLOBAL_COMMAND_REGISTER_H_
