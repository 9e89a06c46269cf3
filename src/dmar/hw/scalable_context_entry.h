// SPDX-License-Identifier: GPL-2.0-or-later
// Context entry of scalable mode: 128 of 32 bytes in each half, indexed by the low seven bits of
// devfn. Condition of the reserved bits: SCT.3 (VirtualBox iommu-intel.h). The directory has
// 2^(PDTS+7) entries.
#ifndef DMAUDIT_DMAR_HW_SCALABLE_CONTEXT_ENTRY_H_
#define DMAUDIT_DMAR_HW_SCALABLE_CONTEXT_ENTRY_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::scalable_context {

inline constexpr Field kP{0, 0, "P"};
inline constexpr Field kFpd{1, 1, "FPD"};
inline constexpr Field kDte{2, 2, "DTE"};
inline constexpr Field kPaside{3, 3, "PASIDE"};
inline constexpr Field kPre{4, 4, "PRE"};
inline constexpr Field kPdts{11, 9, "PDTS"};
inline constexpr Field kPasiddirptr{51, 12, "PASIDDIRPTR"};
inline constexpr Field kRidPasid{19, 0, "RID_PASID"};
inline constexpr Field kRidPriv{20, 20, "RID_PRIV"};

inline constexpr std::array<Field, 9> kWord0 = {
    Reserved(63, 52), kPasiddirptr, kPdts, Reserved(8, 5), kPre, kPaside, kDte, kFpd, kP};
static_assert(Tiles64(kWord0));

inline constexpr std::array<Field, 3> kWord1 = {Reserved(63, 21), kRidPriv, kRidPasid};
static_assert(Tiles64(kWord1));

// Word 3 is the same.
inline constexpr std::array<Field, 1> kWord2 = {Reserved(63, 0)};
static_assert(Tiles64(kWord2));

}  // namespace dmaudit::hw::scalable_context

#endif  // DMAUDIT_DMAR_HW_SCALABLE_CONTEXT_ENTRY_H_
