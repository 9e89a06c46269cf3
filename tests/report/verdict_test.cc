// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include "report/layout.h"
#include "report/report.h"

namespace dmaudit {
namespace {

AuditResult Clean() {
  AuditResult result;
  result.machine.reservations.emplace();
  result.machine.reservations->push_back(
      {ReservationKind::kHigh,
       Known<PhysRange>(PhysRange{PhysAddr(0x1f000000), PhysAddr(0x2effffff)},
                        Origin::kKernelObject, "test")});
  return result;
}

TEST_CASE("the first two lines of a clean audit speak of every device") {
  const AuditResult result = Clean();
  CHECK(VerdictLine(result) ==
        "CLEAN: no device could DMA into the crash kernel's memory (crashk_res 1f000000-2effffff)");
  CHECK(CertaintyLine(result).starts_with("Complete: "));
}

TEST_CASE("devices that nothing translates are counted apart from those with an entry") {
  AuditResult result = Clean();
  result.untranslated = {{0, WhyUntranslated::kTranslationOff, 0}};
  CHECK(CertaintyLine(result).starts_with("Complete: 0 units, 1 untranslated device, 0 domains"));
  result.devices.resize(2);
  CHECK(CertaintyLine(result).starts_with("Complete: 0 units, 2 devices, 1 untranslated device, "));
  result.filter = ParseBdfFilter("0000:00:1f.3");
  CHECK(CertaintyLine(result).find("untranslated") == std::string::npos);
}

TEST_CASE("an audit of chosen devices says so in both lines, and stays inside the width") {
  AuditResult result = Clean();
  result.filter = ParseBdfFilter("0000:00:1f.3");
  CHECK(VerdictLine(result) ==
        "CLEAN: no device of -s 0000:00:1f.3 could DMA into the crash kernel's memory");
  CHECK(CertaintyLine(result).starts_with("Complete for -s 0000:00:1f.3 alone: "));
  CHECK(VerdictLine(result).size() <= kTextWidth);
  CHECK(CertaintyLine(result).size() <= kTextWidth);
  result.incomplete_because = {"a gap"};
  CHECK(CertaintyLine(result).starts_with("NOT COMPLETE for -s 0000:00:1f.3 alone: "));
}

}  // namespace
}  // namespace dmaudit
