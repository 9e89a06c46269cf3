// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/reservation.h"

#include <utility>
#include <vector>

namespace dmaudit {

void SettleReservations(const AuditOptions& options, MachineState& machine, DiagnosticSink& sink) {
  if (options.crashkernel.empty()) {
    if (machine.reservations) {
      std::erase_if(*machine.reservations, [](const Reservation& r) { return !r.range; });
    }
    return;
  }
  std::vector<Reservation> given;
  for (const PhysRange& range : options.crashkernel) {
    given.push_back(
        {ReservationKind::kHigh, Known<PhysRange>(range, Origin::kUser, "--crashkernel")});
  }
  machine.reservations = std::move(given);
  sink.Settle("kernel.no-reservation");
  sink.Settle("kernel.reservation-doubtful");
}

}  // namespace dmaudit
