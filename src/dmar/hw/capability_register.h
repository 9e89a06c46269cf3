// SPDX-License-Identifier: GPL-2.0-or-later
// CAP_REG: what the unit can do, first word. Sources: Linux drivers/iommu/intel/iommu.h (cap_*
// macros), VirtualBox iommu-intel.h; SSLPS is SLLPS and FS1GP is FL1GP in older texts.
#ifndef DMAUDIT_DMAR_HW_CAPABILITY_REGISTER_H_
#define DMAUDIT_DMAR_HW_CAPABILITY_REGISTER_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::cap {

inline constexpr Field kEsrtps{63, 63, "ESRTPS"};
inline constexpr Field kEsirtps{62, 62, "ESIRTPS"};
inline constexpr Field kEcmds{61, 61, "ECMDS"};
inline constexpr Field kFs5lp{60, 60, "FS5LP"};
inline constexpr Field kPi{59, 59, "PI"};
inline constexpr Field kFs1gp{56, 56, "FS1GP"};
inline constexpr Field kDrd{55, 55, "DRD"};
inline constexpr Field kDwd{54, 54, "DWD"};
inline constexpr Field kMamv{53, 48, "MAMV"};
inline constexpr Field kNfr{47, 40, "NFR"};
inline constexpr Field kPsi{39, 39, "PSI"};
inline constexpr Field kSslps{37, 34, "SSLPS"};
inline constexpr Field kFro{33, 24, "FRO"};
inline constexpr Field kIsoch{23, 23, "ISOCH"};
inline constexpr Field kZlr{22, 22, "ZLR"};
inline constexpr Field kMgaw{21, 16, "MGAW"};
inline constexpr Field kSagaw{12, 8, "SAGAW"};
inline constexpr Field kCm{7, 7, "CM"};
inline constexpr Field kPhmr{6, 6, "PHMR"};
inline constexpr Field kPlmr{5, 5, "PLMR"};
inline constexpr Field kRwbf{4, 4, "RWBF"};
inline constexpr Field kAfl{3, 3, "AFL"};
inline constexpr Field kNd{2, 0, "ND"};

inline constexpr std::array<Field, 26> kFields = {kEsrtps,
                                                  kEsirtps,
                                                  kEcmds,
                                                  kFs5lp,
                                                  kPi,
                                                  Reserved(58, 57),
                                                  kFs1gp,
                                                  kDrd,
                                                  kDwd,
                                                  kMamv,
                                                  kNfr,
                                                  kPsi,
                                                  Reserved(38, 38),
                                                  kSslps,
                                                  kFro,
                                                  kIsoch,
                                                  kZlr,
                                                  kMgaw,
                                                  Reserved(15, 13),
                                                  kSagaw,
                                                  kCm,
                                                  kPhmr,
                                                  kPlmr,
                                                  kRwbf,
                                                  kAfl,
                                                  kNd};
static_assert(Tiles64(kFields));

}  // namespace dmaudit::hw::cap

#endif  // DMAUDIT_DMAR_HW_CAPABILITY_REGISTER_H_
