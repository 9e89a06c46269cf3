// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/log_lines.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace dmaudit::log_lines {
namespace {

TEST_CASE("time stamps and callers are left out") {
  CHECK(WithoutTimeStamp("[    0.000000] text") == "text");
  CHECK(WithoutTimeStamp("[12345.678901][T1] text") == "text");
  CHECK(WithoutTimeStamp("[    0.000000][    T0] text") == "text");
  CHECK(WithoutTimeStamp("[    0.1] [C3] text") == "text");
  CHECK(WithoutTimeStamp("text") == "text");
  CHECK(WithoutTimeStamp("") == "");
  CHECK(WithoutTimeStamp("[") == "[");
  CHECK(WithoutTimeStamp("[]") == "[]");
  CHECK(WithoutTimeStamp("[    0.1") == "[    0.1");
  CHECK(WithoutTimeStamp("[DMA Read] x") == "[DMA Read] x");
}

TEST_CASE("a pattern counts at the start or behind prefixes") {
  CHECK(From("abc def", "abc") == "abc def");
  CHECK(From("DMAR: abc", "abc") == "abc");
  CHECK(From("dmar: DMAR:abc", "abc") == "abc");
  CHECK(From("pci 0000:00:00.2: AMD-Vi: abc", "abc") == "abc");
  CHECK_FALSE(From("see abc", "abc"));
  CHECK_FALSE(From("systemd[1]: abc", "abc"));
  CHECK_FALSE(From("\"x: abc", "abc"));
  CHECK_FALSE(From(std::string(80, 'x') + ": abc", "abc"));
  CHECK_FALSE(From("", "abc"));
  // A mention does not hide the real one.
  CHECK(From("abc", "abc") == "abc");
}

TEST_CASE("crash kernel reservations of all kernels") {
  struct Case {
    const char* line;
    bool low;
    bool rounded;
    uint64_t first;
    uint64_t last;
  };
  for (const Case& c : {
           // 2.6.32 to 6.6
           Case{"Reserving 256MB of memory at 496MB for crashkernel (System RAM: 767MB)", false,
                true, 0x1f00'0000, 0x2eff'ffff},
           Case{"kexec_core: Reserving 1MB of memory at 0MB for crashkernel (System RAM: 767MB)",
                false, true, 0, 0xf'ffff},
           Case{"Reserving 250MB of low memory at 3618MB for crashkernel (System low RAM: 2029MB)",
                true, true, 0xe220'0000, 0xf1bf'ffff},
           Case{"Reserving 256MB of low memory at 2880MB for crashkernel (low RAM limit: 4096MB)",
                true, true, 0xb400'0000, 0xc3ff'ffff},
           Case{"Reserving 64MB of memory at 16MB for crashkernel", false, true, 0x100'0000,
                0x4ff'ffff},
           // 6.9 and later
           Case{"crashkernel reserved: 0x000000001e000000 - 0x000000002e000000 (256 MB)", false,
                false, 0x1e00'0000, 0x2dff'ffff},
           Case{"crashkernel low memory reserved: 0x49000000 - 0x59000000 (256 MB)", true, false,
                0x4900'0000, 0x58ff'ffff},
           Case{"crashkernel reserved: 0x0000000000100000 - 0x0000000000280000 (1 MB)", false,
                false, 0x10'0000, 0x27'ffff},
       }) {
    CAPTURE(c.line);
    const auto found = ParseReservation(c.line);
    REQUIRE(found);
    CHECK(found->low == c.low);
    CHECK(found->rounded == c.rounded);
    CHECK(found->range == PhysRange{PhysAddr(c.first), PhysAddr(c.last)});
  }
}

TEST_CASE("near misses of reservations") {
  for (const char* line : {
           "Reserving 256MB of memory at 496MB for crashkernels",
           "Reserving 256MB of memory at 496MB for initrd",
           "Reserving 0MB of memory at 496MB for crashkernel (System RAM: 767MB)",
           "Reserving -1MB of memory at 496MB for crashkernel (System RAM: 767MB)",
           "Reserving 256MB of high memory at 496MB for crashkernel (System RAM: 767MB)",
           "Reserving 256 MB of memory at 496MB for crashkernel",
           "Reserving 18446744073709551615MB of memory at 496MB for crashkernel",
           "Reserving 2MB of memory at 17592186044415MB for crashkernel",
           "Reserving 99999999999999999999MB of memory at 1MB for crashkernel",
           "reserving 256MB of memory at 496MB for crashkernel",
           "Reserving 256MB of memory at ",
           "crashkernel reserved: 0x1e000000 - 0x2e000000 (257 MB)",
           "crashkernel reserved: 0x1e000000 - 0x2dffffff (256 MB)",
           "crashkernel reserved: 0x2e000000 - 0x1e000000 (256 MB)",
           "crashkernel reserved: 0x1e000000 - 0x1e000000 (0 MB)",
           "crashkernel reserved: 0x1e000000 - 0x2e000000",
           "crashkernel reserved: 0x - 0x2e000000 (256 MB)",
           "crashkernel reserved: ",
           "crashkernel tmp reserved: 0x1e000000 - 0x2e000000 (256 MB)",
           "crashkernel reservation failed - No suitable area found.",
           "he said crashkernel reserved: 0x1e000000 - 0x2e000000 (256 MB)",
           "logger[12]: crashkernel reserved: 0x1e000000 - 0x2e000000 (256 MB)",
       }) {
    CAPTURE(line);
    CHECK_FALSE(ParseReservation(line));
  }
}

TEST_CASE("the whole address space can hold a reservation to its last byte") {
  const auto found =
      ParseReservation("Reserving 1MB of memory at 17592186044415MB for crashkernel");
  REQUIRE(found);
  CHECK(found->range.last == PhysAddr(UINT64_MAX));
}

TEST_CASE("CMA reservations, complete and partial") {
  auto found = ParseCmaReservation("crashkernel CMA reserved: 64 MB in 1 ranges");
  REQUIRE(found);
  CHECK(found->mebibytes == 64);
  CHECK(found->ranges == 1);
  found = ParseCmaReservation(
      "crashkernel CMA reservation failed: 256 MB requested, 128 MB reserved in 2 ranges");
  REQUIRE(found);
  CHECK(found->mebibytes == 128);
  CHECK(found->ranges == 2);
  CHECK_FALSE(ParseCmaReservation("crashkernel CMA reserved: 64 MB"));
  CHECK_FALSE(ParseCmaReservation("crashkernel CMA reserved: x MB in 1 ranges"));
  CHECK_FALSE(ParseCmaReservation("crashkernel CMA reservation not supported"));
}

TEST_CASE("units of all wordings") {
  for (const char* line :
       {"DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c22260206 ecap f00f4a",
        "dmar: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c22260206 ecap f00f4a",
        "DMAR: IOMMU 0: reg_base_addr fed90000 ver 1:0 cap d2008c22260206 ecap f00f4a",
        "dmar: IOMMU 0: reg_base_addr fed90000 ver 1:0 cap d2008c22260206 ecap f00f4a",
        "IOMMU 0: reg_base_addr fed90000 ver 1:0 cap d2008c22260206 ecap f00f4a"}) {
    CAPTURE(line);
    const auto unit = ParseUnit(line);
    REQUIRE(unit);
    CHECK(unit->index == 0);
    CHECK(unit->registers == PhysAddr(0xfed9'0000));
    CHECK(unit->version_major == 1);
    CHECK(unit->version_minor == 0);
    CHECK(unit->cap == 0xd2'008c'2226'0206);
    CHECK(unit->ecap == 0xf0'0f4a);
  }
  const auto last = ParseUnit(
      "DMAR: dmar1023: reg_base_addr ffffffffffffffff ver 15:15 cap ffffffffffffffff ecap 0");
  REQUIRE(last);
  CHECK(last->index == 1023);
  CHECK(last->cap == UINT64_MAX);
}

TEST_CASE("near misses of units") {
  for (const char* line : {
           "DMAR: dmar0: Using Queued invalidation",
           "DMAR: dmar: reg_base_addr fed90000 ver 1:0 cap 1 ecap 2",
           "DMAR: dmarx: reg_base_addr fed90000 ver 1:0 cap 1 ecap 2",
           "DMAR: dmar1024: reg_base_addr fed90000 ver 1:0 cap 1 ecap 2",
           "DMAR: dmar0: reg_base_addr fed90000 ver 1:16 cap 1 ecap 2",
           "DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap 1 ecap",
           "DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap 1 ecap 2 more",
           "DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap 1ffffffffffffffff ecap 2",
           "DMAR: dmar0: reg_base_addr fed9000g ver 1:0 cap 1 ecap 2",
           "xdmar0: reg_base_addr fed90000 ver 1:0 cap 1 ecap 2",
       }) {
    CAPTURE(line);
    CHECK_FALSE(ParseUnit(line));
  }
}

TEST_CASE("host address width") {
  CHECK(ParseHostAddressWidth("DMAR: Host address width 39") == 39U);
  CHECK(ParseHostAddressWidth("dmar: Host address width 64") == 64U);
  CHECK_FALSE(ParseHostAddressWidth("DMAR: Host address width 65"));
  CHECK_FALSE(ParseHostAddressWidth("DMAR: Host address width 0"));
  CHECK_FALSE(ParseHostAddressWidth("DMAR: Host address width 39x"));
  CHECK_FALSE(ParseHostAddressWidth("DMAR: Host address width "));
}

TEST_CASE("DMA faults of all kernels") {
  struct Case {
    const char* line;
    bool write;
    std::optional<uint32_t> pasid;
    std::optional<uint8_t> reason;
  };
  for (const Case& c : {
           // 2.6.32 to 4.5: the reason is on a line of its own
           Case{"DMAR:[DMA Read] Request device [1f:02.5] fault addr fffc0000 ", false, {}, {}},
           Case{"dmar: DMAR:[DMA Write] Request device [1f:02.5] fault addr fffc0000 ",
                true,
                {},
                {}},
           Case{
               "DMAR: DMAR:[DMA Read] Request device [1f:02.5] fault addr fffc0000", false, {}, {}},
           // 4.6 to 4.20: decimal reason
           Case{
               "DMAR: [DMA Write] Request device [1f:02.5] fault addr fffc0000 [fault reason 12] x",
               true,
               {},
               uint8_t{12}},
           // 5.0 to 5.13
           Case{"DMAR: [DMA Read] Request device [1f:02.5] PASID ffffffff fault addr fffc0000 "
                "[fault reason 06] PTE Read access is not set",
                false,
                {},
                uint8_t{6}},
           Case{"DMAR: [DMA Read] Request device [1f:02.5] PASID fffff fault addr fffc0000 "
                "[fault reason 88] SM: x",
                false, 0xfffffU, uint8_t{88}},
           // 5.14-rc
           Case{"DMAR: [DMA Read NO_PASID] Request device [0x1f:0x02.5] fault addr 0xfffc0000 "
                "[fault reason 0x06] PTE Read access is not set",
                false,
                {},
                uint8_t{6}},
           // 5.15 and later: hexadecimal reason
           Case{"DMAR: [DMA Write NO_PASID] Request device [1f:02.5] fault addr 0xfffc0000 "
                "[fault reason 0x12] x",
                true,
                {},
                uint8_t{0x12}},
           Case{"DMAR: [DMA Write PASID 0x2a] Request device [1f:02.5] fault addr 0xfffc0000 "
                "[fault reason 0x58] SM: x",
                true, 0x2aU, uint8_t{0x58}},
       }) {
    CAPTURE(c.line);
    const auto fault = ParseFault(c.line);
    REQUIRE(fault);
    CHECK(fault->bus == 0x1f);
    CHECK(fault->devfn == (2 << 3 | 5));
    CHECK(fault->iova == Iova(0xfffc'0000));
    CHECK(fault->write == c.write);
    CHECK(fault->pasid.has_value() == c.pasid.has_value());
    if (fault->pasid && c.pasid) CHECK(fault->pasid->value == *c.pasid);
    CHECK(fault->reason == c.reason);
  }
}

TEST_CASE("near misses of faults") {
  for (const char* line : {
           "DMAR: [DMA Erase] Request device [1f:02.5] fault addr fffc0000 [fault reason 06] x",
           "DMAR: [DMA Read] Request device [100:02.5] fault addr fffc0000 [fault reason 06] x",
           "DMAR: [DMA Read] Request device [1f:20.5] fault addr fffc0000 [fault reason 06] x",
           "DMAR: [DMA Read] Request device [1f:02.8] fault addr fffc0000 [fault reason 06] x",
           "DMAR: [DMA Read] Request device [1f:02] fault addr fffc0000 [fault reason 06] x",
           "DMAR: [DMA Read] Request device [1f:02.5] fault addr 1fffffffffffff0000 [fault reason "
           "6]",
           "DMAR: [DMA Read] Request device [1f:02.5] fault addr fffc0000 [fault reason 256] x",
           "DMAR: [DMA Read] Request device [1f:02.5] fault addr fffc0000 [fault reason ff] x",
           "DMAR: [DMA Read] Request device [1f:02.5] fault addr fffc0000 [fault reason",
           "DMAR: [DMA Read] Request device [1f:02.5] fault addr fffc0000 and more",
           "DMAR: [DMA Read PASID 0x100000] Request device [1f:02.5] fault addr 0x1000 ",
           "DMAR: [DMA Read] Request device [1f:02.5] PASID 100000 fault addr 1000 ",
           "DMAR: [DMA ",
           "DMAR: DRHD: handling fault status reg 2",
       }) {
    CAPTURE(line);
    CHECK_FALSE(ParseFault(line));
  }
}

TEST_CASE("the reason of a fault on a line of its own") {
  CHECK(ParseFaultReason("DMAR:[fault reason 06] PTE Read access is not set") == uint8_t{6});
  CHECK(ParseFaultReason("DMAR:[fault reason 255] Unknown") == uint8_t{255});
  CHECK_FALSE(ParseFaultReason("DMAR:[fault reason 256] Unknown"));
  CHECK_FALSE(ParseFaultReason("INTR-REMAP [fault reason 37] x"));
}

TEST_CASE("interrupt faults are told from DMA faults") {
  CHECK(
      IsInterruptFault("DMAR: [INTR-REMAP] Request device [f0:1f.0] fault index 0x8000 "
                       "[fault reason 0x26] Blocked a compatibility format interrupt request"));
  CHECK(IsInterruptFault("INTR-REMAP: Request device [[f0:1f.0] fault index 8000"));
  CHECK_FALSE(IsInterruptFault("DMAR: [DMA Read] Request device [1f:02.5] fault addr fffc0000 "));
}

TEST_CASE("AMD-Vi lines that show hardware, and those that deny it") {
  CHECK(IsAmdViEvidence("pci 0000:00:00.2: AMD-Vi: Found IOMMU cap 0x40"));
  CHECK(IsAmdViEvidence("AMD-Vi: Found IOMMU at 0000:00:00.2 cap 0x40"));
  CHECK(IsAmdViEvidence("AMD-Vi: Interrupt remapping enabled"));
  CHECK(IsAmdViEvidence("iommu: AMD-Vi: Lazy IO/TLB flushing enabled"));
  CHECK_FALSE(IsAmdViEvidence(
      "AMD-Vi: AMD IOMMUv2 functionality not available on this system - This is not a bug."));
  CHECK_FALSE(IsAmdViEvidence("AMD-Vi: Disabling interrupt remapping"));
  CHECK_FALSE(IsAmdViEvidence("grep for AMD-Vi: Found IOMMU cap"));
}

}  // namespace
}  // namespace dmaudit::log_lines
