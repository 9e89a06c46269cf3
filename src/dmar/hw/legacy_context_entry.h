// SPDX-License-Identifier: GPL-2.0-or-later
// Context entry of legacy mode: 256 of 16 bytes, indexed by devfn. Conditions: LCT.3 (reserved
// bits), LCT.4.1 (AW), LCT.4.2 (TT). Sources: VirtualBox iommu-intel.h; Linux 5.x marks entries
// copied by a capture kernel in the ignored bit 3 of the high word.
#ifndef DMAUDIT_DMAR_HW_LEGACY_CONTEXT_ENTRY_H_
#define DMAUDIT_DMAR_HW_LEGACY_CONTEXT_ENTRY_H_

#include <array>
#include <cstdint>

#include "base/bits.h"

namespace dmaudit::hw::legacy_context {

inline constexpr Field kP{0, 0, "P"};
inline constexpr Field kFpd{1, 1, "FPD"};
inline constexpr Field kTt{3, 2, "TT"};
inline constexpr Field kSsptptr{51, 12, "SSPTPTR"};
inline constexpr Field kAw{2, 0, "AW"};
inline constexpr Field kDid{23, 8, "DID"};

inline constexpr std::array<Field, 6> kLow = {
    Reserved(63, 52), kSsptptr, Reserved(11, 4), kTt, kFpd, kP};
static_assert(Tiles64(kLow));

inline constexpr std::array<Field, 5> kHigh = {Reserved(63, 24), kDid, Reserved(7, 7),
                                               Ignored(6, 3), kAw};
static_assert(Tiles64(kHigh));

// Values of TT.
inline constexpr uint64_t kTtTables = 0b00;
inline constexpr uint64_t kTtTablesAndDeviceTlb = 0b01;
inline constexpr uint64_t kTtPassThrough = 0b10;

}  // namespace dmaudit::hw::legacy_context

#endif  // DMAUDIT_DMAR_HW_LEGACY_CONTEXT_ENTRY_H_
