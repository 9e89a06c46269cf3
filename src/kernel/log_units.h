// SPDX-License-Identifier: GPL-2.0-or-later
// Units out of the log, for dumps in which the kernel's own list of them cannot be read.
#ifndef DMAUDIT_KERNEL_LOG_UNITS_H_
#define DMAUDIT_KERNEL_LOG_UNITS_H_

#include <cstdint>

#include "kernel/discover_units.h"
#include "kernel/kernel_view.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// Pages decoded to look for the kernel's copy of a pair of registers: 2 GiB of memory, a few
// seconds.
inline constexpr uint64_t kMaxPairPages = uint64_t{1} << 19;

// One unit for each "dmarN: reg_base_addr ... cap ... ecap ..." line. The kernel keeps CAP and ECAP
// side by side, the address of the registers 16 bytes before (3.10 and later), and the pointer to
// the root table behind: memory is searched for the three words, and of the pointers that follow
// the one is taken whose target walks as a root table under these capabilities, if there is just
// one (Origin::kSearch, with the places). Needs no symbols and no types, but the kernel's page
// tables. Segments are not known. Nothing here can be complete: "kernel.log-units" (kIncomplete)
// says so for every unit. Without such lines the result is empty, and nothing is searched.
UnitDiscovery UnitsFromLog(const KernelView& kernel, MemorySession& session,
                           uint64_t max_pages = kMaxPairPages);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_LOG_UNITS_H_
