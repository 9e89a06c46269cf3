// SPDX-License-Identifier: GPL-2.0-or-later
// First-stage paging entries: 512 of 8 bytes in the x86-64 layout. Condition of the reserved bits:
// SFS.3. Sources: VirtualBox iommu-intel.h, QEMU hw/i386/intel_iommu.c first-stage masks. XD
// counts as used whatever NXE says: Linux 5.10 sets it without NXE and hardware went on, and it
// does not bear on data.
#ifndef DMAUDIT_DMAR_HW_FIRST_STAGE_ENTRY_H_
#define DMAUDIT_DMAR_HW_FIRST_STAGE_ENTRY_H_

#include <array>

#include "base/bits.h"

namespace dmaudit::hw::first_stage {

inline constexpr Field kP{0, 0, "P"};
inline constexpr Field kRw{1, 1, "R/W"};
inline constexpr Field kUs{2, 2, "U/S"};
inline constexpr Field kPwt{3, 3, "PWT"};
inline constexpr Field kPcd{4, 4, "PCD"};
inline constexpr Field kA{5, 5, "A"};
inline constexpr Field kD{6, 6, "D"};
inline constexpr Field kPs{7, 7, "PS"};
inline constexpr Field kPat4k{7, 7, "PAT"};
inline constexpr Field kEa{10, 10, "EA"};
inline constexpr Field kPatLarge{12, 12, "PAT"};
inline constexpr Field kXd{63, 63, "XD"};
inline constexpr Field kAddress{51, 12, "ADDR"};
inline constexpr Field kAddress2m{51, 21, "ADDR"};
inline constexpr Field kAddress1g{51, 30, "ADDR"};

// PML5E, PML4E.
inline constexpr std::array<Field, 14> kUpperTable = {kXd,
                                                      Ignored(62, 52),
                                                      kAddress,
                                                      Ignored(11, 11),
                                                      kEa,
                                                      Ignored(9, 8),
                                                      Reserved(7, 7),
                                                      Ignored(6, 6),
                                                      kA,
                                                      kPcd,
                                                      kPwt,
                                                      kUs,
                                                      kRw,
                                                      kP};
static_assert(Tiles64(kUpperTable));

// PDPE and PDE that link a table.
inline constexpr std::array<Field, 14> kTable = {kXd,      Ignored(62, 52),
                                                 kAddress, Ignored(11, 11),
                                                 kEa,      Ignored(9, 8),
                                                 kPs,      Ignored(6, 6),
                                                 kA,       kPcd,
                                                 kPwt,     kUs,
                                                 kRw,      kP};
static_assert(Tiles64(kTable));

// PDPE with PS.
inline constexpr std::array<Field, 16> kLeaf1g = {kXd,        Ignored(62, 52),
                                                  kAddress1g, Reserved(29, 13),
                                                  kPatLarge,  Ignored(11, 11),
                                                  kEa,        Ignored(9, 8),
                                                  kPs,        kD,
                                                  kA,         kPcd,
                                                  kPwt,       kUs,
                                                  kRw,        kP};
static_assert(Tiles64(kLeaf1g));

// PDE with PS.
inline constexpr std::array<Field, 16> kLeaf2m = {kXd,        Ignored(62, 52),
                                                  kAddress2m, Reserved(20, 13),
                                                  kPatLarge,  Ignored(11, 11),
                                                  kEa,        Ignored(9, 8),
                                                  kPs,        kD,
                                                  kA,         kPcd,
                                                  kPwt,       kUs,
                                                  kRw,        kP};
static_assert(Tiles64(kLeaf2m));

// PTE.
inline constexpr std::array<Field, 14> kLeaf4k = {kXd,      Ignored(62, 52),
                                                  kAddress, Ignored(11, 11),
                                                  kEa,      Ignored(9, 8),
                                                  kPat4k,   kD,
                                                  kA,       kPcd,
                                                  kPwt,     kUs,
                                                  kRw,      kP};
static_assert(Tiles64(kLeaf4k));

}  // namespace dmaudit::hw::first_stage

#endif  // DMAUDIT_DMAR_HW_FIRST_STAGE_ENTRY_H_
