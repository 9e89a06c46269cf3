// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/reservation.h"

#include <doctest/doctest.h>

#include "support/legacy_machine.h"

namespace dmaudit {
namespace {

using test::Only;
using Scene = test::LegacyMachine;

constexpr PhysRange kReserved = Scene::kReserved;

TEST_CASE("a reservation that is missed is no result, and no gap where the user gives one") {
  Scene scene;
  scene.machine.reservations->clear();
  scene.sink.Incomplete("kernel.reservation-doubtful", "missed");
  const AuditResult missed = scene.Audit();
  CHECK(missed.findings.empty());
  CHECK_FALSE(missed.complete());
  scene.options.crashkernel = {kReserved};
  CHECK(scene.Audit().complete());
}

TEST_CASE("the user's ranges replace the kernel's") {
  Scene scene;
  scene.Map(0x5000, 0x10003000);
  scene.options.crashkernel = {{PhysAddr(0x20000000), PhysAddr(0x2fffffff)}};
  CHECK(scene.Audit().findings.empty());
  scene.options.crashkernel.push_back({PhysAddr(0x10003fff), PhysAddr(0x10003fff)});
  const AuditResult result = scene.Audit();
  const Finding finding = Only(result, findings::kOverlapWritable);
  CHECK(finding.overlap_bytes == 1);
  CHECK((*result.machine.reservations)[1].range.chosen().origin == Origin::kUser);
}

TEST_CASE("a reservation of the dump that the user's ranges leave out is named") {
  Scene same;
  same.options.crashkernel = {kReserved};
  const AuditResult agreed = same.Audit();
  CHECK(same.sink.diagnostics().empty());
  const Known<PhysRange>& both = agreed.machine.reservations->front().range;
  CHECK(both.claims().size() == 2);
  CHECK_FALSE(both.disagrees());

  Scene mistyped;
  const PhysRange shifted{PhysAddr(kReserved.first.value() + 1), kReserved.last};
  mistyped.options.crashkernel = {shifted};
  const AuditResult result = mistyped.Audit();
  REQUIRE(mistyped.sink.diagnostics().size() == 1);
  CHECK(mistyped.sink.diagnostics().front().id == "audit.reservation-replaced");
  CHECK(mistyped.sink.diagnostics().front().effect == Effect::kNote);
  const Known<PhysRange>& rival = result.machine.reservations->front().range;
  CHECK(rival.value() == shifted);
  CHECK(rival.disagrees());
}

TEST_CASE("with the user's ranges it is no gap that the kernel's are not known") {
  Scene scene;
  scene.machine.reservations.reset();
  scene.sink.Incomplete("kernel.no-reservation", "crashk_res is excluded");
  CHECK_FALSE(scene.Audit().complete());
  Scene given;
  given.machine.reservations.reset();
  given.sink.Incomplete("kernel.no-reservation", "crashk_res is excluded");
  given.options.crashkernel = {kReserved};
  CHECK(given.Audit().complete());
}

}  // namespace
}  // namespace dmaudit
