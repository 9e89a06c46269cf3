// SPDX-License-Identifier: GPL-2.0-or-later
// ECAP_REG: what the unit can do, second word. Sources: Linux drivers/iommu/intel/iommu.h (ecap_*
// macros), VirtualBox iommu-intel.h; TDXIO from Intel's published register pages alone.
#ifndef DMAUDIT_DMAR_HW_EXTENDED_CAPABILITY_REGISTER_H_
#define DMAUDIT_DMAR_HW_EXTENDED_CAPABILITY_REGISTER_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::ecap {

inline constexpr Field kRprivs{53, 53, "RPRIVS"};
inline constexpr Field kAdms{52, 52, "ADMS"};
inline constexpr Field kPms{51, 51, "PMS"};
inline constexpr Field kTdxio{50, 50, "TDXIO"};
inline constexpr Field kRps{49, 49, "RPS"};
inline constexpr Field kSmpwcs{48, 48, "SMPWCS"};
inline constexpr Field kFsts{47, 47, "FSTS"};
inline constexpr Field kSsts{46, 46, "SSTS"};
inline constexpr Field kSsads{45, 45, "SSADS"};
inline constexpr Field kVcs{44, 44, "VCS"};
inline constexpr Field kSmts{43, 43, "SMTS"};
inline constexpr Field kPds{42, 42, "PDS"};
inline constexpr Field kDit{41, 41, "DIT"};
inline constexpr Field kPasid{40, 40, "PASID"};
inline constexpr Field kPss{39, 35, "PSS"};
inline constexpr Field kEafs{34, 34, "EAFS"};
inline constexpr Field kNwfs{33, 33, "NWFS"};
inline constexpr Field kSrs{31, 31, "SRS"};
inline constexpr Field kErs{30, 30, "ERS"};
inline constexpr Field kPrs{29, 29, "PRS"};
inline constexpr Field kDis{27, 27, "DIS"};
inline constexpr Field kNest{26, 26, "NEST"};
inline constexpr Field kMts{25, 25, "MTS"};
inline constexpr Field kEcs{24, 24, "ECS"};
inline constexpr Field kMhmv{23, 20, "MHMV"};
inline constexpr Field kIro{17, 8, "IRO"};
inline constexpr Field kSc{7, 7, "SC"};
inline constexpr Field kPt{6, 6, "PT"};
inline constexpr Field kCh{5, 5, "CH"};
inline constexpr Field kEim{4, 4, "EIM"};
inline constexpr Field kIr{3, 3, "IR"};
inline constexpr Field kDt{2, 2, "DT"};
inline constexpr Field kQi{1, 1, "QI"};
inline constexpr Field kC{0, 0, "C"};

inline constexpr std::array<Field, 38> kFields = {Reserved(63, 54),
                                                  kRprivs,
                                                  kAdms,
                                                  kPms,
                                                  kTdxio,
                                                  kRps,
                                                  kSmpwcs,
                                                  kFsts,
                                                  kSsts,
                                                  kSsads,
                                                  kVcs,
                                                  kSmts,
                                                  kPds,
                                                  kDit,
                                                  kPasid,
                                                  kPss,
                                                  kEafs,
                                                  kNwfs,
                                                  Reserved(32, 32),
                                                  kSrs,
                                                  kErs,
                                                  kPrs,
                                                  Ignored(28, 28),
                                                  kDis,
                                                  kNest,
                                                  kMts,
                                                  kEcs,
                                                  kMhmv,
                                                  Reserved(19, 18),
                                                  kIro,
                                                  kSc,
                                                  kPt,
                                                  kCh,
                                                  kEim,
                                                  kIr,
                                                  kDt,
                                                  kQi,
                                                  kC};
static_assert(Tiles64(kFields));

}  // namespace dmaudit::hw::ecap

#endif  // DMAUDIT_DMAR_HW_EXTENDED_CAPABILITY_REGISTER_H_
