// SPDX-License-Identifier: GPL-2.0-or-later
// Root tables by search, for units of which the kernel's own structures do not give one.
#ifndef DMAUDIT_KERNEL_SEARCH_ROOTS_H_
#define DMAUDIT_KERNEL_SEARCH_ROOTS_H_

#include <vector>

#include "dmar/unit_state.h"
#include "kernel/kernel_view.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// Gives RTADDR (Origin::kSearch) to units that translate as far as is known, have no known RTADDR,
// and for which exactly one page of the dump walks as a root table under their capabilities, and
// that of no other unit. Everything else leaves RTADDR unknown. What was found or not is said as
// "kernel.root-search" (kIncomplete: a hit is not the kernel's word). Reads nothing when no unit
// needs it.
void SearchRoots(const KernelView& kernel, MemorySession& session, std::vector<UnitState>& units);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_SEARCH_ROOTS_H_
