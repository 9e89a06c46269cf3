// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/log_facts.h"

#include <doctest/doctest.h>

#include <initializer_list>

#include "support/log_builder.h"

namespace dmaudit {
namespace {

LogFacts Collect(std::initializer_list<std::string_view> lines) {
  LogFactsCollector collector;
  uint64_t sequence = 0;
  for (const std::string_view line : lines) {
    collector.Take({sequence, sequence * 1000, line});
    ++sequence;
  }
  return collector.Finish();
}

std::string Panic(std::initializer_list<std::string_view> lines) {
  const LogFacts facts = Collect(lines);
  return facts.panic ? facts.panic->text : "";
}

TEST_CASE("facts keep the line they were read in") {
  const LogFacts facts = Collect({
      "Linux version 6.1.0",
      "Command line: root=/dev/vda crashkernel=256M",
      "[    0.000000] Reserving 256MB of memory at 496MB for crashkernel (System RAM: 767MB)",
      "Kernel command line: root=/dev/vda crashkernel=256M",
  });
  CHECK(facts.records == 4);
  REQUIRE(facts.reservations.size() == 1);
  CHECK(facts.reservations[0].kind == ReservationKind::kHigh);
  CHECK(facts.reservations[0].line.sequence == 2);
  CHECK(facts.reservations[0].line.nanoseconds == 2000);
  CHECK(ToString(facts.reservations[0].line) ==
        "log record 2: Reserving 256MB of memory at 496MB for crashkernel (System RAM: 767MB)");
  REQUIRE(facts.command_line);
  CHECK(facts.command_line->text == "root=/dev/vda crashkernel=256M");
  CHECK(facts.command_line->line.sequence == 1);
}

TEST_CASE("only records that tell something are kept") {
  LogFactsCollector collector;
  CHECK(collector.Take({0, 0, "DMAR: Host address width 39"}) == LogVerdict::kKeep);
  CHECK(collector.Take({1, 0, "DMAR: Host address width 39"}) == LogVerdict::kSkip);
  CHECK(collector.Take({2, 0, "DMAR: Host address width 48"}) == LogVerdict::kKeep);
  CHECK(collector.Take({3, 0, "e1000: eth0 NIC Link is Up"}) == LogVerdict::kSkip);
  CHECK(collector.Take({4, 0, ""}) == LogVerdict::kSkip);
  CHECK(collector.Take({5, 0, "\n\n"}) == LogVerdict::kSkip);
  const LogFacts facts = collector.Finish();
  REQUIRE(facts.host_address_widths.size() == 2);
  CHECK(facts.host_address_widths[0].bits == 39);
  CHECK(facts.host_address_widths[1].bits == 48);
}

TEST_CASE("high, low and CMA reservations") {
  const LogFacts facts = Collect({
      "crashkernel low memory reserved: 0xe8000000 - 0xf0000000 (128 MB)",
      "crashkernel reserved: 0x000000023e600000 - 0x000000033e600000 (4096 MB)",
      "crashkernel CMA reserved: 64 MB in 1 ranges",
  });
  REQUIRE(facts.reservations.size() == 2);
  CHECK(facts.reservations[0].kind == ReservationKind::kLow);
  CHECK(facts.reservations[1].kind == ReservationKind::kHigh);
  CHECK(facts.reservations[1].range.size() == uint64_t{4096} << 20);
  REQUIRE(facts.cma_reservations.size() == 1);
}

TEST_CASE("the first of the IOMMU lines counts") {
  const LogFacts facts = Collect({
      "DMAR: IOMMU enabled",
      "DMAR: IOMMU enabled",
      "iommu: Default domain type: Passthrough (set via kernel command line)",
      "iommu: Default domain type: Translated ",
      "iommu: DMA domain TLB invalidation policy: strict mode (set via kernel command line)",
      "iommu: DMA domain TLB invalidation policy: lazy mode ",
      "AMD-Vi: AMD IOMMUv2 functionality not available on this system - This is not a bug.",
  });
  REQUIRE(facts.iommu_enabled);
  CHECK(facts.iommu_enabled->sequence == 0);
  REQUIRE(facts.default_domain);
  CHECK(facts.default_domain->type == "Passthrough");
  REQUIRE(facts.flush_policy);
  CHECK(facts.flush_policy->policy == FlushPolicy::kStrict);
  CHECK_FALSE(facts.amd_vi);
  CHECK(Collect({"AMD-Vi: Interrupt remapping enabled"}).amd_vi);
}

TEST_CASE("a fault takes its reason from the next line, of the same or the next record") {
  LogFacts facts = Collect({
      "dmar: DMAR:[DMA Read] Request device [00:1f.2] fault addr fffc0000 \n"
      "DMAR:[fault reason 06] PTE Read access is not set",
      "DMAR:[DMA Write] Request device [00:1f.2] fault addr fffd0000 ",
      "DMAR:[fault reason 05] PTE Write access is not set",
      "DMAR:[DMA Write] Request device [00:1f.2] fault addr fffe0000 ",
      "something else",
      "DMAR:[fault reason 05] PTE Write access is not set",
  });
  REQUIRE(facts.faults.size() == 3);
  CHECK(facts.faults[0].reason == uint8_t{6});
  CHECK(facts.faults[1].reason == uint8_t{5});
  CHECK(facts.faults[1].write);
  CHECK_FALSE(facts.faults[2].reason);
  CHECK(facts.faults_seen == 3);
  CHECK(Collect({"DMAR:[fault reason 05] PTE Write access is not set"}).faults.empty());
}

TEST_CASE("faults are kept up to the budget and counted beyond") {
  for (const int more : {-1, 0, 1}) {
    CAPTURE(more);
    const size_t count = LogFacts::kMaxFaults + static_cast<size_t>(more);
    LogFactsCollector collector;
    for (size_t i = 0; i < count; ++i) {
      collector.Take({i, 0,
                      fmt::format("DMAR:[DMA Read] Request device [00:1f.2] fault addr {:x} \n"
                                  "DMAR:[fault reason 06] x",
                                  i)});
    }
    const LogFacts facts = collector.Finish();
    CHECK(facts.faults_seen == count);
    CHECK(facts.faults.size() == std::min(count, LogFacts::kMaxFaults));
    CHECK(facts.faults.back().reason == uint8_t{6});
  }
}

TEST_CASE("other budgets") {
  LogFactsCollector collector;
  for (uint64_t i = 0; i < 2000; ++i) {
    collector.Take({i, 0,
                    fmt::format("DMAR: dmar{}: reg_base_addr fed90000 ver 1:0 cap 1 ecap 2\n"
                                "crashkernel reserved: 0x{:x}00000 - 0x{:x}00000 (1 MB)\n"
                                "crashkernel CMA reserved: {} MB in 1 ranges\n"
                                "DMAR: Host address width {}",
                                i % 1024, i, i + 1, i, i % 64 + 1)});
  }
  const LogFacts facts = collector.Finish();
  CHECK(facts.units.size() == LogFacts::kMaxUnits);
  CHECK(facts.reservations.size() == LogFacts::kMaxReservations);
  CHECK(facts.cma_reservations.size() == LogFacts::kMaxReservations);
  CHECK(facts.host_address_widths.size() == LogFacts::kMaxReservations);
}

TEST_CASE("a long line is cut") {
  const LogFacts facts = Collect({"Command line: " + std::string(10000, 'x')});
  REQUIRE(facts.command_line);
  CHECK(facts.command_line->line.text.size() == LogLine::kMaxLine);
}

TEST_CASE("a panic that gives its reason") {
  CHECK(Panic({"sysrq: Trigger a crash", "Kernel panic - not syncing: sysrq triggered crash",
               "CPU: 0 PID: 1 Comm: bash"}) == "Kernel panic - not syncing: sysrq triggered crash");
  CHECK(Panic({"BUG: unable to handle page fault for address: 0", "Oops: 0000 [#1] SMP",
               "---[ end trace 0000000000000000 ]---",
               "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009"}) ==
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009");
  CHECK(Panic({"Kernel panic: out of paper"}) == "Kernel panic: out of paper");
}

TEST_CASE("a panic after an exception: the exception is the reason") {
  CHECK(Panic({"BUG: kernel NULL pointer dereference, address: 0000000000000000",
               "#PF: supervisor write access in kernel mode", "Oops: 0002 [#1] PREEMPT SMP NOPTI",
               "---[ end trace 0000000000000000 ]---",
               "Kernel panic - not syncing: Fatal exception"}) ==
        "BUG: kernel NULL pointer dereference, address: 0000000000000000");
  CHECK(Panic({"Oops: general protection fault, probably for non-canonical address 0x1: 0000 [#1]",
               "Kernel panic - not syncing: Fatal exception in interrupt"}) ==
        "Oops: general protection fault, probably for non-canonical address 0x1: 0000 [#1]");
  // The first line says what was hit, the next ones how it was noticed.
  CHECK(Panic({"kernel BUG at mm/slub.c:305!", "Oops: invalid opcode: 0000 [#1] SMP",
               "Kernel panic - not syncing: Fatal exception"}) == "kernel BUG at mm/slub.c:305!");
  CHECK(Panic({"Oops: 0002 [#1] SMP", "Kernel panic - not syncing: Fatal exception"}) ==
        "Oops: 0002 [#1] SMP");
  CHECK(Panic({"Kernel panic - not syncing: Fatal exception"}) ==
        "Kernel panic - not syncing: Fatal exception");
}

TEST_CASE("of several exceptions the last before the panic is the reason") {
  CHECK(
      Panic({"BUG: unable to handle page fault for address: 1", "Oops: 0000 [#1] SMP",
             "---[ end trace 0000000000000000 ]---",
             "general protection fault, probably for non-canonical address 0x2: 0000 [#2] SMP",
             "Kernel panic - not syncing: Fatal exception", "BUG: unable to handle page fault"}) ==
      "general protection fault, probably for non-canonical address 0x2: 0000 [#2] SMP");
}

TEST_CASE("SysRq c before 4.20 went through a null pointer") {
  CHECK(Panic({"sysrq: SysRq : Trigger a crash",
               "BUG: unable to handle kernel NULL pointer dereference at           (null)",
               "Oops: 0002 [#1] SMP", "Kernel panic - not syncing: Fatal exception"}) ==
        "sysrq: SysRq : Trigger a crash");
}

TEST_CASE("no panic line, no reason") {
  CHECK(Panic({"sysrq: Trigger a crash"}) == "sysrq: Trigger a crash");
  CHECK(Panic({"watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [x:1]"}) ==
        "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [x:1]");
  CHECK(Panic({}) == "");
  CHECK(Panic({"traps: a.out[12] general protection fault ip:1 sp:2 error:0",
               "echo \"Kernel panic - not syncing: no\"", "not a BUG: really",
               "sysrq: Emergency Sync"}) == "");
}

TEST_CASE("the records kept tell the same again") {
  const std::vector<std::string> lines = {
      "BUG: unable to handle page fault for address: 1",
      "Oops: 0000 [#1] SMP",
      "---[ end trace 0000000000000000 ]---",
      "DMAR:[DMA Write] Request device [00:1f.2] fault addr fffe0000 ",
      "something else",
      "DMAR:[fault reason 05] PTE Write access is not set",
      "DMAR: [INTR-REMAP] Request device [f0:1f.0] fault index 0x8000 [fault reason 0x26] x",
      "kernel BUG at mm/slub.c:305!",
      "Kernel panic - not syncing: Fatal exception",
      "---[ end Kernel panic - not syncing: Fatal exception ]---"};
  LogFactsCollector collector;
  LogFactsCollector again;
  uint64_t kept = 0;
  for (const std::string& line : lines) {
    if (collector.Take({0, 0, line}) != LogVerdict::kKeep) continue;
    ++kept;
    again.Take({0, 0, line});
  }
  CHECK(kept == 7);
  const LogFacts facts = collector.Finish();
  const LogFacts facts_again = again.Finish();
  REQUIRE(facts.panic);
  CHECK(facts.panic->text == "kernel BUG at mm/slub.c:305!");
  REQUIRE(facts_again.panic);
  CHECK(facts_again.panic->text == facts.panic->text);
  REQUIRE(facts_again.faults.size() == 1);
  CHECK_FALSE(facts_again.faults[0].reason);
  CHECK(facts_again.interrupt_faults_seen == 1);
}

TEST_CASE("facts come out of a ring, and what they rest on is evidence") {
  test::RingBuilder ring(6, 12);
  ring.Add("Linux version 6.1.0");
  ring.Add("Reserving 256MB of memory at 496MB for crashkernel (System RAM: 767MB)");
  ring.Add("DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c22260206 ecap f00f4a");
  ring.Add("Kernel panic - not syncing: sysrq triggered crash");
  test::LogRun run(ring);
  std::string text;
  for (const auto& [key, value] : run.vmcoreinfo) text += fmt::format("{}={}\n", key, value);
  const auto vmcoreinfo = Vmcoreinfo::Parse(text, run.sink);
  REQUIRE(vmcoreinfo);
  MemorySession session(run.memory, &run);
  test::LinearKernelReader reader(session);
  const auto facts = ReadLogFacts(*vmcoreinfo, reader, session, run.sink);
  REQUIRE(facts);
  CHECK(facts->records == 4);
  CHECK(facts->reservations.size() == 1);
  REQUIRE(facts->units.size() == 1);
  CHECK(facts->units[0].line.sequence == 2);
  CHECK(facts->panic);
  CHECK(run.notes().empty());
  CHECK(run.evidence.size() == 2 + 3 * 3);
}

}  // namespace
}  // namespace dmaudit
