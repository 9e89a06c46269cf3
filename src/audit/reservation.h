// SPDX-License-Identifier: GPL-2.0-or-later
// The crash kernel's memory as the audit holds mappings against it.
#ifndef DMAUDIT_AUDIT_RESERVATION_H_
#define DMAUDIT_AUDIT_RESERVATION_H_

#include "audit/audit.h"
#include "base/diagnostics.h"
#include "kernel/machine.h"

namespace dmaudit {

// Replaces the reservations by the user's where there are any; of the kernel's, those whose place
// is known stay. Ranges that the dump has and the user does not give are rival claims of the user's
// and each is named by "audit.reservation-replaced" (kNote).
void SettleReservations(const AuditOptions& options, MachineState& machine, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_RESERVATION_H_
