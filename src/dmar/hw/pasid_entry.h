// SPDX-License-Identifier: GPL-2.0-or-later
// PASID table entry: 64 bytes, 64 to a page, indexed by PASID[5:0]. Conditions: SPT.3 (reserved
// bits), SPT.4 (PGTT, AW, FSPM). Sources: VirtualBox iommu-intel.h, Linux
// drivers/iommu/intel/pasid.h.
#ifndef DMAUDIT_DMAR_HW_PASID_ENTRY_H_
#define DMAUDIT_DMAR_HW_PASID_ENTRY_H_

#include <array>
#include <cstdint>

#include "base/bits.h"

namespace dmaudit::hw::pasid {

inline constexpr Field kP{0, 0, "P"};
inline constexpr Field kFpd{1, 1, "FPD"};
inline constexpr Field kAw{4, 2, "AW"};
inline constexpr Field kSsee{5, 5, "SSEE"};
inline constexpr Field kPgtt{8, 6, "PGTT"};
inline constexpr Field kSsade{9, 9, "SSADE"};
inline constexpr Field kSsptptr{51, 12, "SSPTPTR"};
inline constexpr Field kDid{15, 0, "DID"};
inline constexpr Field kPwsnp{23, 23, "PWSNP"};
inline constexpr Field kPgsnp{24, 24, "PGSNP"};
inline constexpr Field kCd{25, 25, "CD"};
inline constexpr Field kEmte{26, 26, "EMTE"};
inline constexpr Field kEmt{29, 27, "EMT"};
inline constexpr Field kPwt{30, 30, "PWT"};
inline constexpr Field kPcd{31, 31, "PCD"};
inline constexpr Field kPat{63, 32, "PAT"};
inline constexpr Field kSre{0, 0, "SRE"};
inline constexpr Field kEre{1, 1, "ERE"};
inline constexpr Field kFspm{3, 2, "FSPM"};
inline constexpr Field kWpe{4, 4, "WPE"};
inline constexpr Field kNxe{5, 5, "NXE"};
inline constexpr Field kSmep{6, 6, "SMEP"};
inline constexpr Field kEafe{7, 7, "EAFE"};
inline constexpr Field kFsptptr{51, 12, "FSPTPTR"};

inline constexpr std::array<Field, 9> kWord0 = {
    Reserved(63, 52), kSsptptr, Reserved(11, 10), kSsade, kPgtt, kSsee, kAw, kFpd, kP};
static_assert(Tiles64(kWord0));

// PAT: eight nibbles; whether the top bit of each is reserved is not settled by the sources.
inline constexpr std::array<Field, 10> kWord1 = {
    kPat, kPcd, kPwt, kEmt, kEmte, kCd, kPgsnp, kPwsnp, Reserved(22, 16), kDid};
static_assert(Tiles64(kWord1));

inline constexpr std::array<Field, 10> kWord2 = {
    Reserved(63, 52), kFsptptr, Reserved(11, 8), kEafe, kSmep, kNxe, kWpe, kFspm, kEre, kSre};
static_assert(Tiles64(kWord2));

// Words 4 to 7 are the same.
inline constexpr std::array<Field, 1> kWord3 = {Reserved(63, 0)};
static_assert(Tiles64(kWord3));

// Values of PGTT.
inline constexpr uint64_t kPgttFirst = 0b001;
inline constexpr uint64_t kPgttSecond = 0b010;
inline constexpr uint64_t kPgttNested = 0b011;
inline constexpr uint64_t kPgttPassThrough = 0b100;

}  // namespace dmaudit::hw::pasid

#endif  // DMAUDIT_DMAR_HW_PASID_ENTRY_H_
