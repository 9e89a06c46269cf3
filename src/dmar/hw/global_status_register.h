// SPDX-License-Identifier: GPL-2.0-or-later
// GSTS_REG, 32 bits: what is switched on. Source: Linux drivers/iommu/intel/iommu.h (DMA_GSTS_*).
#ifndef DMAUDIT_DMAR_HW_GLOBAL_STATUS_REGISTER_H_
#define DMAUDIT_DMAR_HW_GLOBAL_STATUS_REGISTER_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::gsts {

inline constexpr Field kTes{31, 31, "TES"};
inline constexpr Field kRtps{30, 30, "RTPS"};
inline constexpr Field kFls{29, 29, "FLS"};
inline constexpr Field kAfls{28, 28, "AFLS"};
inline constexpr Field kWbfs{27, 27, "WBFS"};
inline constexpr Field kQies{26, 26, "QIES"};
inline constexpr Field kIres{25, 25, "IRES"};
inline constexpr Field kIrtps{24, 24, "IRTPS"};
inline constexpr Field kCfis{23, 23, "CFIS"};

inline constexpr std::array<Field, 11> kFields = {
    Reserved(63, 32), kTes,  kRtps,          kFls, kAfls, kWbfs, kQies, kIres,
    kIrtps,           kCfis, Reserved(22, 0)};
static_assert(Tiles64(kFields));

}  // namespace dmaudit::hw::gsts

#endif  // DMAUDIT_DMAR_HW_GLOBAL_STATUS_REGISTER_H_
