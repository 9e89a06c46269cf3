// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/view_comparison.h"

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <string>

#include "support/legacy_machine.h"

namespace dmaudit {
namespace {

using test::TableBuilder;

// The kernel has the device in the domain that the context entry has it in.
class Scene : public test::LegacyMachine {
 public:
  Scene() {
    machine.units[0].cap = {0xd2008c22260606, Origin::kKernelShadow, "test"};  // 3 and 4 levels
    IommuGroup group;
    group.domain = DomainType::kDma;
    machine.inventory.groups.push_back(group);
    DeviceFacts device;
    device.name = "0000:00:01.0";
    device.bdf = Bdf{0, 0, 8};
    device.group = 0;
    KernelDomain domain;
    domain.root = top;
    domain.levels = 3;
    domain.did = uint16_t{7};
    domain.address = KernelVa(0xffff888001000000);
    domain.type = DomainType::kDma;
    domain.unit = "dmar0";
    device.attached = domain;
    machine.inventory.devices.push_back(device);
  }

  KernelDomain& kernel() { return *machine.inventory.devices[0].attached; }
  // The kernel has the device in a domain of this type that has no tables.
  void WithoutTables(DomainType type) {
    KernelDomain domain;
    domain.address = KernelVa(0xffffffff82000000);
    domain.type = type;
    domain.unit = "dmar0";
    domain.without_tables = true;
    machine.inventory.devices[0].attached = domain;
    machine.inventory.groups[0].domain = type;
  }
  // One more unit, with tables of its own.
  PhysAddr SecondUnit() {
    const PhysAddr other = tables.NewPage();
    UnitState unit = machine.units[0];
    unit.name = "dmar1";
    unit.rtaddr = {other.value(), Origin::kDerived, "test"};
    machine.units.push_back(unit);
    return other;
  }
  // The context entry is of type pass-through.
  void PassThrough() {
    tables.Set(context, 0b1001);
    tables.Set(PhysAddr(context.value() + 8), 1 | 1 << 8);
  }
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
  const auto with = [](std::optional<DomainType> own, std::optional<DomainType> group) {
    Scene scene;
    scene.PassThrough();
    scene.kernel().type = own;
    scene.machine.inventory.groups[0].domain = group;
    return scene.Audit();
  };
  AuditResult result = with(DomainType::kIdentity, DomainType::kIdentity);
  REQUIRE(result.findings.size() == 1);
  CHECK(result.findings[0].kind->id == findings::kPassThrough.id);
  CheckViews(result, 1, 0, 0);
  for (const DomainType type :
       {DomainType::kDma, DomainType::kDmaFlushQueue, DomainType::kUnmanaged}) {
    result = with(type, DomainType::kIdentity);
    REQUIRE(result.findings.size() == 2);
    CHECK(result.findings[1].kind->id == findings::kViewType.id);
    CheckViews(result, 0, 1, 0);
  }
  // A device that up to 5.6 the driver took out of its group's domain.
  CheckViews(with(DomainType::kIdentity, DomainType::kDma), 1, 0, 0);
  CheckViews(with(std::nullopt, DomainType::kIdentity), 1, 0, 0);
  for (const std::optional<DomainType> group :
       {std::optional(DomainType::kDma), std::optional<DomainType>()}) {
    result = with(std::nullopt, group);
    CHECK(result.findings.size() == 1);
    CheckViews(result, 0, 0, 1);
  }
}

TEST_CASE("domains without tables: identity passes through, blocked has no live entry") {
  Scene identity;
  identity.WithoutTables(DomainType::kIdentity);
  CheckOnly(identity.Audit(), findings::kViewType);
  identity.PassThrough();
  CheckViews(identity.Audit(), 1, 0, 0);

  Scene blocked;
  blocked.WithoutTables(DomainType::kBlocked);
  CheckOnly(blocked.Audit(), findings::kViewType);
  blocked.tables.AttachLegacy(blocked.root, 0, 0x10, blocked.top, 3, 9);
  blocked.tables.Set(blocked.context, 0);
  const AuditResult result = blocked.Audit();
  CHECK(result.findings.empty());
  CheckViews(result, 1, 0, 0);
}

TEST_CASE("the stage of the kernel's tables is that of the entry's") {
  Scene scene;
  scene.kernel().first_stage = false;
  CheckViews(scene.Audit(), 1, 0, 0);
  scene.kernel().first_stage = true;
  CheckOnly(scene.Audit(), findings::kViewType);
}

TEST_CASE("an entry that proves a difference is shown with it") {
  Scene scene;
  scene.kernel().did = 8;
  const AuditResult result = scene.Audit();
  REQUIRE(result.findings.size() == 1);
  REQUIRE(result.findings[0].evidence.size() == 2);
  CHECK(result.findings[0].evidence[1].address == scene.context);
}

TEST_CASE("on a unit that was taken over from an earlier kernel no difference is told") {
  const auto with = [](bool inherited, uint16_t did) {
    Scene scene;
    scene.machine.units[0].inherited = inherited;
    scene.kernel().did = did;
    return scene.Audit();
  };
  CheckOnly(with(false, 8), findings::kViewDomainId);
  CHECK(with(true, 8).findings.empty());
  CheckViews(with(true, 8), 0, 0, 1);
  CheckViews(with(true, 7), 1, 0, 0);
}

TEST_CASE("the entry of the device's own unit counts") {
  Scene other;  // a second unit has an entry of the same requester, with another table
  const PhysAddr root = other.SecondUnit();
  other.tables.AttachLegacy(root, 0, 0x08, other.tables.NewPage(), 3, 3);
  AuditResult result = other.Audit();
  CHECK(result.findings.empty());
  CheckViews(result, 1, 0, 0);
  other.kernel().unit = "dmar1";
  CheckOnly(other.Audit(), findings::kViewRoot);
  for (const std::optional<std::string>& unit :
       {std::optional<std::string>("dmar2"), std::optional<std::string>()}) {
    other.kernel().unit = unit;  // one that was not found
    result = other.Audit();
    CHECK(result.findings.empty());
    CheckViews(result, 0, 0, 1);
  }
  Scene twice;  // two of one name
  twice.SecondUnit();
  twice.machine.units[1].name = "dmar0";
  twice.kernel().did = 8;
  CheckViews(twice.Audit(), 0, 0, 1);
}

TEST_CASE("the entry of a bridge's id is not held against the devices behind it") {
  Scene scene;  // 0000:00:02.0 passes on what 0000:00:01.0 sends, and is in no domain itself
  scene.tables.AttachLegacy(scene.root, 0, 0x10, scene.tables.NewPage(), 3, 5);
  const AuditResult result = scene.Audit();
  CHECK(result.findings.empty());
  CheckViews(result, 1, 0, 0);
}

TEST_CASE("spaces of processes and nested ones are not compared") {
  for (const DomainType type : {DomainType::kSva, DomainType::kNested}) {
    Scene scene;
    scene.kernel().type = type;
    scene.kernel().root.reset();  // as such a domain is read
    const AuditResult result = scene.Audit();
    CHECK(result.findings.empty());
    CheckViews(result, 0, 0, 1);
  }
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

  Scene refused;  // nothing live at all: the reading of the unit may be wrong
  refused.tables.Set(refused.context, 0);
  CheckViews(refused.Audit(), 0, 0, 1);

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
  without([](KernelDomain& kernel) { kernel.did = uint16_t{0}; });  // given to no domain
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
