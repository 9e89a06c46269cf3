// SPDX-License-Identifier: GPL-2.0-or-later
// Second-stage paging entries: 512 of 8 bytes. Present when R or W is set. Conditions of the
// reserved bits: LSL.2 in legacy mode, SSS.3 in scalable mode. Sources: VirtualBox iommu-intel.h,
// Linux drivers/iommu/generic_pt/fmt/vtdss.h. TM was defined up to revision 3.1 for units with
// device-TLB support; SNP needs ECAP.SC.
#ifndef DMAUDIT_DMAR_HW_SECOND_STAGE_ENTRY_H_
#define DMAUDIT_DMAR_HW_SECOND_STAGE_ENTRY_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::second_stage {

inline constexpr Field kR{0, 0, "R"};
inline constexpr Field kW{1, 1, "W"};
inline constexpr Field kX{2, 2, "X"};
inline constexpr Field kPs{7, 7, "PS"};
inline constexpr Field kA{8, 8, "A"};
inline constexpr Field kD{9, 9, "D"};
inline constexpr Field kEmt{5, 3, "EMT"};
inline constexpr Field kIpat{6, 6, "IPAT"};
inline constexpr Field kSnp{11, 11, "SNP"};
inline constexpr Field kTm{62, 62, "TM"};
inline constexpr Field kAddress{51, 12, "ADDR"};
inline constexpr Field kAddress2m{51, 21, "ADDR"};
inline constexpr Field kAddress1g{51, 30, "ADDR"};

// PML5E, PML4E.
inline constexpr std::array<Field, 12> kUpperTable = {Ignored(63, 63),
                                                      Reserved(62, 62),
                                                      Ignored(61, 52),
                                                      kAddress,
                                                      Reserved(11, 11),
                                                      Ignored(10, 9),
                                                      kA,
                                                      Reserved(7, 7),
                                                      Ignored(6, 3),
                                                      kX,
                                                      kW,
                                                      kR};
static_assert(Tiles64(kUpperTable));

// PDPE and PDE that link a table.
inline constexpr std::array<Field, 12> kTable = {Ignored(63, 63),
                                                 Reserved(62, 62),
                                                 Ignored(61, 52),
                                                 kAddress,
                                                 Reserved(11, 11),
                                                 Ignored(10, 9),
                                                 kA,
                                                 kPs,
                                                 Ignored(6, 3),
                                                 kX,
                                                 kW,
                                                 kR};
static_assert(Tiles64(kTable));

// PDPE with PS.
inline constexpr std::array<Field, 15> kLeaf1g = {Ignored(63, 63),
                                                  kTm,
                                                  Ignored(61, 52),
                                                  kAddress1g,
                                                  Reserved(29, 12),
                                                  kSnp,
                                                  Ignored(10, 10),
                                                  kD,
                                                  kA,
                                                  kPs,
                                                  kIpat,
                                                  kEmt,
                                                  kX,
                                                  kW,
                                                  kR};
static_assert(Tiles64(kLeaf1g));

// PDE with PS.
inline constexpr std::array<Field, 15> kLeaf2m = {Ignored(63, 63),
                                                  kTm,
                                                  Ignored(61, 52),
                                                  kAddress2m,
                                                  Reserved(20, 12),
                                                  kSnp,
                                                  Ignored(10, 10),
                                                  kD,
                                                  kA,
                                                  kPs,
                                                  kIpat,
                                                  kEmt,
                                                  kX,
                                                  kW,
                                                  kR};
static_assert(Tiles64(kLeaf2m));

// PTE.
inline constexpr std::array<Field, 14> kLeaf4k = {Ignored(63, 63),
                                                  kTm,
                                                  Ignored(61, 52),
                                                  kAddress,
                                                  kSnp,
                                                  Ignored(10, 10),
                                                  kD,
                                                  kA,
                                                  Ignored(7, 7),
                                                  kIpat,
                                                  kEmt,
                                                  kX,
                                                  kW,
                                                  kR};
static_assert(Tiles64(kLeaf4k));

}  // namespace dmaudit::hw::second_stage

#endif  // DMAUDIT_DMAR_HW_SECOND_STAGE_ENTRY_H_
