// SPDX-License-Identifier: GPL-2.0-or-later
// The first two lines of a text report: what was found, and how sure that is.
#include <fmt/format.h>

#include "base/ranges.h"
#include "base/text.h"
#include "report/report.h"

namespace dmaudit {
namespace {

std::string ReservationText(const MachineState& machine) {
  std::string text;
  for (const Reservation& reservation : *machine.reservations) {
    if (!reservation.range) continue;
    if (!text.empty()) text += ", ";
    text += fmt::format("{} {}", ToString(reservation.kind), ToString(reservation.range.value()));
  }
  return text;
}

// What the verdict is about, for the clean case.
std::string CleanSubject(const AuditResult& result) {
  const MachineState& machine = result.machine;
  if (!machine.reservations) return "where the crash kernel's memory was is not known";
  if (machine.reservations->empty()) {
    return result.complete() ? "no memory was reserved for a crash kernel"
                             : "no memory reserved for a crash kernel was found";
  }
  const std::string of = result.filter ? fmt::format(" of -s {}", ToString(*result.filter)) : "";
  // What was not seen is not denied.
  const std::string subject =
      result.complete() ? fmt::format("no device{} could DMA into the crash kernel's memory", of)
                        : fmt::format("no reach{} into the crash kernel's memory was seen", of);
  if (result.filter) return subject;
  const std::string ranges = ReservationText(machine);
  return ranges.size() <= 34 ? fmt::format("{} ({})", subject, ranges) : subject;
}

// Devices with an entry, and those that have none because nothing translates them.
std::string DeviceCount(const AuditResult& result) {
  const std::string entries = Counted(result.devices.size(), "device");
  if (result.filter || result.untranslated.empty()) return entries;
  const std::string untranslated = Counted(result.untranslated.size(), "untranslated device");
  return result.devices.empty() ? untranslated : fmt::format("{}, {}", entries, untranslated);
}

}  // namespace

std::string VerdictLine(const AuditResult& result) {
  const std::optional<Severity> worst = result.worst();
  if (!result.has_findings()) {
    const std::string_view word = result.complete() ? "CLEAN" : "UNCERTAIN";
    return fmt::format("{}: {}", word, CleanSubject(result));
  }
  uint64_t findings = 0;
  for (const Finding& finding : result.findings) {
    if (finding.kind->severity >= Severity::kWarning) ++findings;
  }
  std::string line = fmt::format("{}: {}", worst == Severity::kCritical ? "CRITICAL" : "WARNING",
                                 EscapeForTerminal(result.findings.front().headline));
  if (findings > 1) line += fmt::format("; {}", Counted(findings - 1, "more finding"));
  return line;
}

std::string CertaintyLine(const AuditResult& result) {
  const std::string scope =
      result.filter ? fmt::format(" for -s {} alone", ToString(*result.filter)) : std::string();
  if (result.complete()) {
    uint64_t tables = 0;
    for (const AuditedDomain& domain : result.domains) tables += domain.table_pages;
    return fmt::format("Complete{}: {}, {}, {}, {}; all {}was read", scope,
                       Counted(result.units.size(), "unit"), DeviceCount(result),
                       Counted(result.domains.size(), "domain"), Counted(tables, "table page"),
                       result.filter ? "" : "that was needed ");
  }
  return fmt::format("NOT COMPLETE{}: {} could hide DMA into the crash kernel's memory", scope,
                     Counted(result.incomplete_because.size(), "gap"));
}

}  // namespace dmaudit
