// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/view_comparison.h"

#include <doctest/doctest.h>

#include <functional>

#include "support/table_builder.h"

namespace dmaudit {
namespace {

using test::FakeMemory;
using test::TableBuilder;

// One unit in legacy mode and one device, 0000:00:01.0, which the kernel has in domain 7 with a
// table of three levels, as the context entry says. Each test changes one thing.
class Scene {
 public:
  Scene() {
    root = tables.NewPage();
    top = tables.NewPage();
    context = tables.AttachLegacy(root, 0, 0x08, top, 3, 7);
    tables.Map(top, 3, 0x1000, 0x8000000);
    UnitState unit;
    unit.name = "dmar0";
    unit.cap = {0xd2008c22260606, Origin::kKernelShadow, "test"};  // 3 and 4 levels
    unit.ecap = {0xf00f4a, Origin::kKernelShadow, "test"};
    unit.gcmd = {0x80000000, Origin::kKernelShadow, "test"};
    unit.host_address_width = {39, Origin::kLog, "test"};
    unit.rtaddr = {root.value(), Origin::kDerived, "test"};
    machine.units.push_back(unit);
    machine.iommu = IommuPresence::kIntel;
    machine.reservations.emplace();
    machine.reservations->push_back(
        {ReservationKind::kHigh,
         {PhysRange{PhysAddr(0x10000000), PhysAddr(0x1fffffff)}, Origin::kKernelObject, "test"}});
    machine.crash_kernel_loaded = {true, Origin::kKernelObject, "test"};
    machine.system_ram = {
        {{PhysAddr(0x100000), PhysAddr(0x3fffffff)}}, Origin::kKernelObject, "test"};
    IommuGroup group;
    group.domain = DomainType::kDma;
    machine.inventory.groups.push_back(group);
    DeviceFacts device;
    device.name = "0000:00:01.0";
    device.bdf = Bdf{0, 0, 8};
    device.group = 0;
    device.attached = KernelDomain{top, 3U, uint16_t{7}, KernelVa(0xffff888001000000)};
    machine.inventory.devices.push_back(device);
  }

  KernelDomain& kernel() { return *machine.inventory.devices[0].attached; }
  // The context entry is of type pass-through.
  void PassThrough() {
    tables.Set(context, 0b1001);
    tables.Set(PhysAddr(context.value() + 8), 1 | 1 << 8);
  }
  AuditResult Audit() {
    MemorySession session(memory);
    return AuditMachine(machine, session, options, sink);
  }

  FakeMemory memory;
  TableBuilder tables{memory};
  PhysAddr root, top, context;
  MachineState machine;
  AuditOptions options;
  DiagnosticSink sink;
};

void CheckViews(const AuditResult& result, uint64_t agree, uint64_t differ, uint64_t unknown) {
  CHECK(result.views.attached == agree + differ + unknown);
  CHECK(result.views.agree == agree);
  CHECK(result.views.differ == differ);
  CHECK(result.views.unknown == unknown);
}

// The one finding, which must be of this kind.
void CheckOnly(const AuditResult& result, const FindingKind& kind) {
  REQUIRE(result.findings.size() == 1);
  CHECK(result.findings[0].kind->id == kind.id);
  CHECK(result.findings[0].headline.size() <= kMaxHeadline);
  REQUIRE(result.findings[0].devices.size() == 1);
  CHECK(result.findings[0].devices[0].bdf == Bdf{0, 0, 8});
  CheckViews(result, 0, 1, 0);
}

TEST_CASE("views that agree are no finding") {
  Scene scene;
  const AuditResult result = scene.Audit();
  CHECK(result.findings.empty());
  CheckViews(result, 1, 0, 0);
  CHECK(result.complete());
}

TEST_CASE("another table, another number of levels, another id") {
  Scene table;
  table.kernel().root = PhysAddr(table.top.value() + 0x1000);
  CheckOnly(table.Audit(), findings::kViewRoot);
  Scene fewer;  // than the entry: the unit never gets a table that is not there
  fewer.kernel().levels = 2;
  CheckOnly(fewer.Audit(), findings::kViewRoot);
  Scene id;
  id.kernel().did = 8;
  CheckOnly(id.Audit(), findings::kViewDomainId);
}

TEST_CASE("a unit with fewer levels than the domain gets a table below the domain's top") {
  const auto with_top = [](uint64_t distance) {
    Scene scene;
    const PhysAddr above = scene.tables.NewPage();
    scene.tables.Set(above, (scene.top.value() + distance) | TableBuilder::kReadWrite);
    scene.kernel().root = above;
    scene.kernel().levels = 4;
    return scene.Audit();
  };
  const AuditResult right = with_top(0);
  CHECK(right.findings.empty());
  CheckViews(right, 1, 0, 0);
  CheckOnly(with_top(0x1000), findings::kViewRoot);
  Scene lost;
  lost.kernel().root = PhysAddr(0x7000000);  // in no page of the dump
  lost.kernel().levels = 4;
  const AuditResult unknown = lost.Audit();
  CHECK(unknown.findings.empty());
  CheckViews(unknown, 0, 0, 1);
}

TEST_CASE("pass-through has no table to compare, and is right for an identity domain alone") {
  Scene identity;
  identity.PassThrough();
  identity.machine.inventory.groups[0].domain = DomainType::kIdentity;
  AuditResult result = identity.Audit();
  REQUIRE(result.findings.size() == 1);
  CHECK(result.findings[0].kind->id == findings::kPassThrough.id);
  CheckViews(result, 1, 0, 0);
  for (const DomainType type : {DomainType::kDma, DomainType::kDmaFlushQueue,
                                DomainType::kUnmanaged, DomainType::kBlocked}) {
    Scene scene;
    scene.PassThrough();
    scene.machine.inventory.groups[0].domain = type;
    result = scene.Audit();
    REQUIRE(result.findings.size() == 2);
    CHECK(result.findings[1].kind->id == findings::kViewType.id);
    CheckViews(result, 0, 1, 0);
  }
  Scene unknown;
  unknown.PassThrough();
  unknown.machine.inventory.groups[0].domain.reset();
  result = unknown.Audit();
  CHECK(result.findings.size() == 1);
  CheckViews(result, 0, 0, 1);
}

TEST_CASE("a device without an entry, where every entry was seen") {
  Scene none;
  const PhysAddr other = none.tables.AttachLegacy(none.root, 0, 0x10, none.top, 3, 9);
  none.tables.Set(none.context, 0);
  CheckOnly(none.Audit(), findings::kViewNoEntry);

  none.memory.SetState(PhysAddr(other.value() + 0x100), 8, ByteState::kExcluded);
  const AuditResult hidden = none.Audit();  // by an entry that cannot be read
  CHECK(hidden.findings.empty());
  CheckViews(hidden, 0, 0, 1);

  Scene off;
  off.machine.units[0].gcmd = {0, Origin::kKernelShadow, "test"};
  CheckViews(off.Audit(), 0, 0, 1);
}

TEST_CASE("what is not known on the kernel's side is counted, and no finding") {
  const auto without = [](const std::function<void(KernelDomain&)>& forget) {
    Scene scene;
    forget(scene.kernel());
    const AuditResult result = scene.Audit();
    CHECK(result.findings.empty());
    CheckViews(result, 0, 0, 1);
  };
  without([](KernelDomain& kernel) { kernel.root.reset(); });
  without([](KernelDomain& kernel) { kernel.levels.reset(); });
  without([](KernelDomain& kernel) { kernel.did.reset(); });
  Scene detached;
  detached.machine.inventory.devices[0].attached.reset();
  CheckViews(detached.Audit(), 0, 0, 0);
  Scene filtered;
  filtered.options.devices = BdfFilter{};
  filtered.options.devices->bus = 5;
  CheckViews(filtered.Audit(), 0, 0, 0);
}

TEST_CASE("in scalable mode the entry of requests without PASID counts, of either stage") {
  for (const bool first : {false, true}) {
    CAPTURE(first);
    const auto with_pasid = [first](uint32_t pasid, uint16_t did) {
      Scene scene;
      const PhysAddr root = scene.tables.NewPage();
      const PhysAddr directory = scene.tables.NewPage();
      scene.tables.AttachScalable(root, 0, 0x08, directory);
      const PhysAddr own = scene.tables.NewPage();
      const auto set = [&](uint32_t at, PhysAddr table, uint16_t id) {
        if (first) {
          scene.tables.SetFirstStage(directory, at, table, 4, id);
        } else {
          scene.tables.SetSecondStage(directory, at, table, 4, id);
        }
      };
      set(0, own, 7);
      set(pasid, pasid == 0 ? own : scene.tables.NewPage(), did);
      scene.machine.units[0].rtaddr = {root.value() | 0x400, Origin::kDerived, "test"};
      scene.machine.units[0].ecap = {0xee9e86f050df, Origin::kKernelShadow, "test"};
      scene.kernel().root = own;
      scene.kernel().levels = 4;
      return scene.Audit();
    };
    const AuditResult other_pasid = with_pasid(5, 33);
    CHECK(other_pasid.findings.empty());
    CheckViews(other_pasid, 1, 0, 0);
    CheckOnly(with_pasid(0, 33), findings::kViewDomainId);
  }
}

}  // namespace
}  // namespace dmaudit
