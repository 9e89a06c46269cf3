// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/reservation.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/ranges.h"

namespace dmaudit {
namespace {

// The dump's ranges become claims beside the user's, and those that the user does not give are
// named: with a mistyped range the report would be about other memory, and clean.
void HoldAgainst(const std::vector<Reservation>& dumps, std::vector<Reservation>& given,
                 DiagnosticSink& sink) {
  for (const Reservation& reservation : dumps) {
    if (!reservation.range) continue;
    const PhysRange& range = reservation.range.value();
    const auto same = std::find_if(given.begin(), given.end(), [&](const Reservation& user) {
      return user.range.value() == range;
    });
    Reservation& beside = same == given.end() ? given.front() : *same;
    if (same == given.end()) {
      const Claim<PhysRange>& claim = reservation.range.chosen();
      sink.Note("audit.reservation-replaced",
                "crash kernel memory is {} by {}: not looked at, --crashkernel replaces it",
                ToString(range), claim.place);
    } else {
      same->kind = reservation.kind;
    }
    for (const Claim<PhysRange>& claim : reservation.range.claims()) {
      beside.range.Add(claim.value, claim.origin, claim.place);
    }
  }
}

}  // namespace

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
  if (machine.reservations) HoldAgainst(*machine.reservations, given, sink);
  machine.reservations = std::move(given);
  sink.Settle("kernel.no-reservation");
  sink.Settle("kernel.reservation-doubtful");
}

}  // namespace dmaudit
