// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/audit.h"

#include <doctest/doctest.h>

#include "audit/finding_builder.h"
#include "support/legacy_machine.h"

namespace dmaudit {
namespace {

using test::TableBuilder;

using test::Only;
using Scene = test::LegacyMachine;

constexpr PhysRange kReserved = Scene::kReserved;
constexpr uint64_t kPlainRam = Scene::kPlainRam;

TEST_CASE("a device that maps nothing of the reservation is clean and complete") {
  Scene scene;
  const AuditResult result = scene.Audit();
  CHECK(result.findings.empty());
  CHECK(result.complete());
  CHECK_FALSE(result.has_findings());
  CHECK(scene.sink.diagnostics().empty());
  REQUIRE(result.domains.size() == 1);
  CHECK(result.domains[0].mapped_bytes == 0x1000);
  CHECK(result.domains[0].table_pages == 3);
  CHECK(result.domains[0].identity == IdentityKind::kNone);
}

TEST_CASE(
    "one writable page in crashk_res is one critical finding with its whole chain of entries") {
  Scene scene;
  scene.Map(0x5000, 0x10003000);
  const AuditResult result = scene.Audit();
  const Finding finding = Only(result, findings::kOverlapWritable);
  CHECK(result.worst() == Severity::kCritical);
  CHECK(result.complete());
  CHECK(finding.devices == std::vector<DeviceRef>{{{0, 0, 8}, {}}});
  REQUIRE(finding.overlaps.size() == 1);
  CHECK(finding.overlaps[0].range.iova == Iova(0x5000));
  CHECK(finding.overlaps[0].overlap == PhysRange{PhysAddr(0x10003000), PhysAddr(0x10003fff)});
  CHECK(finding.overlap_bytes == 0x1000);
  REQUIRE(finding.evidence.size() == 5);
  CHECK(finding.evidence[0].kind == "root");
  CHECK(finding.evidence[1].address == scene.context);
  CHECK(finding.evidence[4].level == 1);
  CHECK(finding.evidence[4].raw == 0x10003003);
}

TEST_CASE("pages below, at the first and last page of, and above the reservation") {
  const auto findings = [](uint64_t pa) {
    Scene scene;
    scene.Map(0x5000, pa);
    return scene.Audit().findings.size();
  };
  CHECK(findings(0x0ffff000) == 0);
  CHECK(findings(0x10000000) == 1);
  CHECK(findings(0x1ffff000) == 1);
  CHECK(findings(0x20000000) == 0);
}

TEST_CASE("a large page that begins before the reservation overlaps with its last part only") {
  Scene scene;
  (*scene.machine.reservations)[0].range = {PhysRange{PhysAddr(0x101ff000), PhysAddr(0x1fffffff)},
                                            Origin::kKernelObject, "test"};
  scene.Map(0x40000000, 0x10000000, TableBuilder::kReadWrite, 2);
  const AuditResult result = scene.Audit();
  const Finding finding = Only(result, findings::kOverlapWritable);
  CHECK(finding.overlap_bytes == 0x1000);
  CHECK(finding.overlaps[0].range.size == 0x200000);
  CHECK(finding.overlaps[0].overlap.first == PhysAddr(0x101ff000));
}

TEST_CASE("the evidence is the entry that maps the reservation, not the first of its range") {
  Scene scene;
  scene.Map(0x5000, kReserved.first.value() - 0x1000);
  scene.Map(0x6000, kReserved.first.value());
  const Finding finding = Only(scene.Audit(), findings::kOverlapWritable);
  CHECK(finding.overlaps[0].range.iova == Iova(0x5000));
  CHECK(finding.overlap_bytes == 0x1000);
  REQUIRE(finding.evidence.size() == 5);
  CHECK(finding.evidence[4].raw == (kReserved.first.value() | TableBuilder::kReadWrite));
}

TEST_CASE("each unit's tables follow its own capabilities") {
  constexpr uint64_t kLargePages = uint64_t{3} << 34;  // SSLPS
  for (const size_t without : {0u, 1u}) {
    Scene scene;
    UnitState second = scene.machine.units[0];
    second.name = "dmar1";
    second.segment = 1;
    const PhysAddr root = scene.tables.NewPage();
    const PhysAddr top = scene.tables.NewPage();
    second.rtaddr = {root.value(), Origin::kDerived, "test"};
    scene.tables.AttachLegacy(root, 0, 0x08, top, 3, 7);
    scene.machine.units.push_back(second);
    scene.Map(0x40000000, kPlainRam, TableBuilder::kReadWrite, 2);
    scene.tables.Map(top, 3, 0x40000000, kPlainRam, 2);
    UnitState& unit = scene.machine.units[without];
    unit.cap = {unit.cap.value() & ~kLargePages, Origin::kKernelShadow, "test"};
    const AuditResult result = scene.Audit();
    REQUIRE(result.domains.size() == 2);
    CHECK(result.domains[without].accounting.rejected == 1);
    CHECK(result.domains[1 - without].accounting.rejected == 0);
    CHECK(result.domains[1 - without].mapped_bytes >= 0x200000);
  }
}

TEST_CASE("what the page is reserved for and the access decide the kind of finding") {
  const auto kind = [](ReservationKind reservation, uint64_t bits) {
    Scene scene;
    scene.machine.reservations->clear();
    scene.Reserve(reservation, kReserved);
    scene.Map(0x5000, 0x10003000, bits);
    const AuditResult result = scene.Audit();
    REQUIRE(result.findings.size() == 1);
    return result.findings[0].kind;
  };
  CHECK(kind(ReservationKind::kHigh, TableBuilder::kReadWrite) == &findings::kOverlapWritable);
  CHECK(kind(ReservationKind::kLow, TableBuilder::kWrite) == &findings::kOverlapWritable);
  CHECK(kind(ReservationKind::kCma, TableBuilder::kReadWrite) == &findings::kOverlapCma);
  CHECK(kind(ReservationKind::kHigh, TableBuilder::kRead) == &findings::kOverlapReadOnly);
  CHECK(kind(ReservationKind::kCma, TableBuilder::kRead) == &findings::kOverlapReadOnly);
}

TEST_CASE("readable and writable pages of one reservation are two findings, the worse one first") {
  Scene scene;
  scene.Map(0x5000, 0x10003000, TableBuilder::kRead);
  scene.Map(0x7000, 0x10005000);
  const AuditResult result = scene.Audit();
  REQUIRE(result.findings.size() == 2);
  CHECK(result.findings[0].kind == &findings::kOverlapWritable);
  CHECK(result.findings[1].kind == &findings::kOverlapReadOnly);
  CHECK(result.findings[0].overlap_count == 1);
  CHECK(result.findings[0].overlap_bytes == 0x1000);
  CHECK(result.findings[1].overlap_count == 1);
  CHECK(result.findings[1].overlap_bytes == 0x1000);
}

TEST_CASE("devices that share tables are one domain and one finding") {
  Scene scene;
  scene.tables.AttachLegacy(scene.root, 0, 0x10, scene.top, 3, 7);
  scene.Map(0x5000, 0x10003000);
  const AuditResult result = scene.Audit();
  CHECK(result.domains.size() == 1);
  CHECK(result.devices.size() == 2);
  CHECK(Only(result, findings::kOverlapWritable).devices.size() == 2);
}

TEST_CASE("a table page that cannot be read is a gap, whatever was found") {
  Scene scene;
  scene.Map(0x40000000, kPlainRam);  // under a table of its own
  const PhysAddr link = TableBuilder::EntryAt(scene.top, 0x40000000, 3);
  const PhysAddr lost(scene.tables.Get(link) & ~uint64_t{0xfff});
  scene.memory.SetPageState(lost, ByteState::kExcluded);
  AuditResult result = scene.Audit();
  CHECK_FALSE(result.has_findings());
  REQUIRE(result.incomplete_because.size() == 1);
  CHECK(result.incomplete_because[0].find("excluded") != std::string::npos);
  scene.Map(0x5000, 0x10003000);
  result = scene.Audit();
  CHECK(result.worst() == Severity::kCritical);
  CHECK_FALSE(result.complete());
}

TEST_CASE("a root table that cannot be read leaves nothing complete") {
  Scene scene;
  scene.memory.SetPageState(scene.root, ByteState::kTruncated);
  CHECK_FALSE(scene.Audit().complete());
}

TEST_CASE("tables that translate for no device are a gap: they may be read the wrong way") {
  Scene refused;  // reserved bits in the only context entry
  refused.tables.Set(PhysAddr(refused.context.value() + 8), 0x10000000701);
  CHECK(refused.Audit().incomplete_because.size() == 1);

  Scene empty;  // the root table of the only unit
  empty.tables.Set(TableBuilder::LegacyRootEntry(empty.root, 0), 0);
  CHECK(empty.Audit().incomplete_because.size() == 1);

  Scene beside;  // one unit without devices beside one with a device
  beside.machine.units.push_back(beside.machine.units[0]);
  const PhysAddr other = beside.tables.NewPage();
  beside.machine.units[1].rtaddr = {other.value(), Origin::kDerived, "test"};
  CHECK(beside.Audit().complete());
  beside.tables.Set(beside.tables.LegacyContext(other, 0, 8), 0);  // and one that was taken away
  CHECK(beside.Audit().complete());

  Scene wrong_mode;  // legacy tables of a unit that is said to be in scalable mode
  wrong_mode.machine.units[0].rtaddr = {wrong_mode.root.value() | 0x400, Origin::kDerived, "test"};
  CHECK_FALSE(wrong_mode.Audit().complete());
}

TEST_CASE("no reservation is a result; a reservation that is not known is a gap") {
  Scene scene;
  scene.machine.reservations->clear();
  const AuditResult none = scene.Audit();
  Only(none, findings::kNoCrashKernel);
  CHECK_FALSE(none.has_findings());
  CHECK(none.complete());
  scene.machine.reservations.reset();
  const AuditResult unknown = scene.Audit();
  CHECK(unknown.findings.empty());
  CHECK(unknown.incomplete_because.size() == 1);
}

TEST_CASE("a crash kernel that was not loaded is said, one that is not known to be is not") {
  Scene scene;
  scene.machine.crash_kernel_loaded = {false, Origin::kKernelObject, "test"};
  const AuditResult result = scene.Audit();
  Only(result, findings::kCrashKernelNotLoaded);
  CHECK_FALSE(result.has_findings());
  scene.machine.crash_kernel_loaded = {};
  CHECK(scene.Audit().findings.empty());
}

TEST_CASE("a filter leaves other devices out") {
  Scene scene;
  scene.Map(0x5000, 0x10003000);
  scene.options.devices = ParseBdfFilter("00:02.0");
  const AuditResult result = scene.Audit();
  CHECK(result.devices.empty());
  CHECK(result.findings.empty());
  // That no table knows such a device says nothing of what the user meant.
  CHECK(result.incomplete_because.size() == 1);
  scene.sink = {};
  scene.options.devices = ParseBdfFilter("00:01.0");
  const AuditResult selected = scene.Audit();
  CHECK(selected.findings.size() == 1);
  CHECK(selected.complete());
  CHECK(selected.filter);
}

TEST_CASE("overlaps are listed up to the limit and counted beyond it") {
  for (const size_t count : {kMaxListedOverlaps - 1, kMaxListedOverlaps, kMaxListedOverlaps + 1}) {
    Scene scene;
    // Every other page, so that no two join.
    for (size_t i = 0; i < count; ++i) scene.Map(0x40000000 + i * 0x2000, 0x10000000 + i * 0x2000);
    const AuditResult result = scene.Audit();
    const Finding finding = Only(result, findings::kOverlapWritable);
    CHECK(finding.overlap_count == count);
    CHECK(finding.overlap_bytes == count * 0x1000);
    CHECK(finding.overlaps.size() == std::min(count, kMaxListedOverlaps));
  }
}

TEST_CASE("domains that differ in their id alone are walked once, and each has its finding") {
  Scene scene;
  scene.Map(0x5000, 0x10003000);
  scene.tables.AttachLegacy(scene.root, 0, 0x10, scene.top, 3, 8);
  const AuditResult result = scene.Audit();
  REQUIRE(result.domains.size() == 2);
  CHECK(result.domains[1].mapped_bytes == result.domains[0].mapped_bytes);
  CHECK(result.domains[1].table_pages == 3);
  REQUIRE(result.findings.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    CHECK(result.findings[i].overlap_bytes == 0x1000);
    CHECK(result.findings[i].domain == DomainId{static_cast<uint16_t>(7 + i)});
    REQUIRE(result.findings[i].evidence.size() == 5);
    CHECK(result.findings[i].evidence[1].address.value() == scene.context.value() + i * 0x80);
  }
}

TEST_CASE("a flood of findings is summed up by kind, and none hides one that is worse") {
  // Many domains that can read one page, and behind them one that can write another.
  const auto audit = [](unsigned domains) {
    Scene scene;
    scene.Map(0x5000, 0x10003000, TableBuilder::kRead);
    for (unsigned i = 0; i < domains; ++i) {
      scene.tables.AttachLegacy(scene.root, static_cast<uint8_t>(1 + i / 256),
                                static_cast<uint8_t>(i), scene.top, 3,
                                static_cast<uint16_t>(100 + i));
    }
    const PhysAddr last = scene.tables.NewPage();
    scene.tables.AttachLegacy(scene.root, 255, 0, last, 3, 99);
    scene.tables.Map(last, 3, 0x1000, 0x10000000, 1, TableBuilder::kReadWrite);
    return scene.Audit();
  };
  constexpr unsigned kLimit = FindingBuilder::kMaxPerKind - 1;  // one domain is the scene's own
  CHECK(audit(kLimit).findings.size() == 1 + FindingBuilder::kMaxPerKind);
  const AuditResult flood = audit(kLimit + 2);
  CHECK(flood.worst() == Severity::kCritical);
  CHECK(flood.findings[0].evidence.size() == 5);
  REQUIRE(flood.findings.size() == 1 + FindingBuilder::kMaxPerKind + 1);
  CHECK(flood.findings.back().kind == &findings::kOverlapReadOnly);
  CHECK(flood.findings.back().message.starts_with("2 more of this kind"));
}

TEST_CASE("a table linked everywhere is counted exactly without being walked everywhere") {
  Scene scene;
  scene.Map(0x5000, 0x10003000);
  const uint64_t link = scene.tables.Get(TableBuilder::EntryAt(scene.top, 0, 3));
  for (unsigned i = 1; i < 512; ++i) {
    scene.tables.Set(PhysAddr(scene.top.value() + i * 8), link);
  }
  const AuditResult result = scene.Audit();
  const Finding finding = Only(result, findings::kOverlapWritable);
  CHECK(finding.overlap_count == 512);
  CHECK(finding.overlap_bytes == 512 * 0x1000);
  CHECK(result.domains[0].table_pages == 3);
  CHECK(result.complete());
}

// What the kernel knew of the device behind a finding.

TEST_CASE("the driver is named where there is room for it") {
  Scene scene;
  scene.AddFacts();
  scene.Map(0x5000, 0x10003000);
  const Finding finding = Only(scene.Audit(), findings::kOverlapWritable);
  CHECK(finding.headline ==
        "0000:00:01.0 (nvme) can write to 4 KiB of the crash kernel (crashk_res)");
  CHECK_FALSE(finding.idle);
  scene.machine.inventory.devices[0].driver = "a-very-long-name";
  CHECK(Only(scene.Audit(), findings::kOverlapWritable).headline ==
        "0000:00:01.0 can write to 4 KiB of the crash kernel (crashk_res)");
  scene.machine.inventory.devices[0].driver = "\x1b[2J";
  CHECK(Only(scene.Audit(), findings::kOverlapWritable).headline ==
        "0000:00:01.0 can write to 4 KiB of the crash kernel (crashk_res)");
}

TEST_CASE("a device that could start nothing is as severe, and comes last of its kind") {
  Scene scene;
  scene.AddFacts().bus_master = false;
  scene.Map(0x5000, 0x10003000);
  const Finding idle = Only(scene.Audit(), findings::kOverlapWritable);
  CHECK(idle.idle);
  CHECK(idle.kind->severity == Severity::kCritical);
  CHECK(idle.devices[0].ability == DmaAbility::kUnable);
  CHECK(idle.headline == "0000:00:01.0 can write to 4 KiB of the crash kernel (crashk_res), idle");

  const PhysAddr other = scene.tables.NewPage();
  scene.tables.AttachLegacy(scene.root, 0, 0x10, other, 3, 8);
  scene.tables.Map(other, 3, 0x5000, 0x10004000, 1, TableBuilder::kReadWrite);
  const AuditResult both = scene.Audit();
  REQUIRE(both.findings.size() == 2);
  // Nothing is known of the other device: it comes first.
  CHECK(both.findings[0].domain == DomainId{8});
  CHECK_FALSE(both.findings[0].idle);
  CHECK(both.findings[1].idle);
}

TEST_CASE("CMA memory under a device that user space holds is critical") {
  Scene scene;
  DeviceFacts& device = scene.AddFacts();
  scene.Reserve(ReservationKind::kCma, {PhysAddr(0x30000000), PhysAddr(0x30ffffff)});
  scene.Map(0x5000, 0x30000000);
  CHECK(Only(scene.Audit(), findings::kOverlapCma).kind->severity == Severity::kWarning);
  scene.machine.inventory.groups[0].domain = DomainType::kUnmanaged;
  const Finding held = Only(scene.Audit(), findings::kOverlapCmaHeld);
  CHECK(held.kind->severity == Severity::kCritical);
  CHECK(held.message.find("held by user space") != std::string::npos);
  // Only what can be written: a device that reads harms nothing.
  Scene read;
  read.AddFacts();
  read.machine.inventory.groups[0].domain = DomainType::kUnmanaged;
  read.Reserve(ReservationKind::kCma, {PhysAddr(0x30000000), PhysAddr(0x30ffffff)});
  read.Map(0x5000, 0x30000000, TableBuilder::kRead);
  Only(read.Audit(), findings::kOverlapReadOnly);
  // Nothing known of the device: as it was before.
  device.bdf.reset();
  Only(scene.Audit(), findings::kOverlapCma);
}

TEST_CASE("an overlap hits the loaded crash kernel or memory around it") {
  const auto hit = [](uint64_t pa, bool complete) {
    Scene scene;
    CrashImage& image = scene.machine.crash_image.emplace();
    image.complete = complete;
    image.segments = {{{PhysAddr(0x11000000), PhysAddr(0x11000fff)}, 0x800},
                      {{PhysAddr(0x12000000), PhysAddr(0x12001fff)}, 0x2000}};
    scene.Map(0x5000, pa);
    const Finding finding = Only(scene.Audit(), findings::kOverlapWritable);
    return std::pair(finding.hits_image, finding.image_segments);
  };
  using Hit = std::pair<std::optional<bool>, std::vector<size_t>>;
  CHECK(hit(0x10fff000, true) == Hit{false, {}});
  CHECK(hit(0x11000000, true) == Hit{true, {0}});
  CHECK(hit(0x11001000, true) == Hit{false, {}});
  CHECK(hit(0x12001000, true) == Hit{true, {1}});
  CHECK(hit(0x12002000, true) == Hit{false, {}});
  // Segments may be missing: what is hit is known, what is not hit is not.
  CHECK(hit(0x11000000, false) == Hit{true, {0}});
  CHECK(hit(0x12002000, false) == Hit{std::nullopt, {}});
}

}  // namespace
}  // namespace dmaudit
