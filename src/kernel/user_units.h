// SPDX-License-Identifier: GPL-2.0-or-later
// Units and root tables that the user gives.
#ifndef DMAUDIT_KERNEL_USER_UNITS_H_
#define DMAUDIT_KERNEL_USER_UNITS_H_

#include <vector>

#include "base/diagnostics.h"
#include "dmar/unit_state.h"
#include "kernel/discovery_options.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// Puts the user's word (Origin::kUser) beside what is known of `units`, and adds units that are not
// among them. A difference to another source is "kernel.disagree" (kIncomplete for
// registers: the user's value is taken, and could be the wrong one).
//
// A unit is matched by its name. Where nothing else tells whether it translates, it is taken to:
// who gives CAP, ECAP and a root table says so. A root table belongs to the unit that has it
// already, or to the only unit that the kernel drives; otherwise it becomes a unit of its own, of
// which CAP, ECAP, segment and enables stay unknown (kIncomplete, "kernel.user-root"). A table mode
// that is not given is the one in which the tables read without a rejected entry; without such a
// mode, or with two, the root stays unknown.
void ApplyUserUnits(const DiscoveryOptions& options, MemorySession& session,
                    std::vector<UnitState>& units, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_USER_UNITS_H_
