// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/view_comparison.h"

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

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
  uint64_t with_reason = 0;
  for (const UnknownViews& some : result.views.gaps) with_reason += some.devices.size();
  CHECK(with_reason == unknown);
}

// The one device is unknown for this reason, and no finding tells of views.
void CheckUnknown(const AuditResult& result, ViewGap gap) {
  CheckViews(result, 0, 0, 1);
  REQUIRE(result.views.gaps.size() == 1);
  CHECK(ToString(result.views.gaps[0].gap) == ToString(gap));
  CHECK(result.views.gaps[0].devices == std::vector<size_t>{0});
  for (const Finding& finding : result.findings) CHECK(!finding.kind->id.starts_with("view."));
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

TEST_CASE("a device whose record could not be read is unknown, on a machine with a unit") {
  Scene scene;
  DeviceFacts& device = scene.machine.inventory.devices[0];
  device.attached.reset();
  CheckViews(scene.Audit(), 0, 0, 0);  // attached to nothing
  device.attachment_unread = true;
  CheckUnknown(scene.Audit(), ViewGap::kRecordUnread);
  device.bdf.reset();
  CheckViews(scene.Audit(), 0, 0, 0);
  device.bdf = Bdf{0, 0, 8};
  scene.machine.units.clear();
  scene.machine.iommu = IommuPresence::kNone;
  CheckViews(scene.Audit(), 0, 0, 0);
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
  CheckUnknown(lost.Audit(), ViewGap::kDescentUnreadable);
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
    CheckUnknown(result, ViewGap::kIdentityUnknown);
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
  CheckUnknown(with(true, 8), ViewGap::kInherited);
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
  other.kernel().unit = "dmar2";
  CheckUnknown(other.Audit(), ViewGap::kUnitMissing);
  other.kernel().unit.reset();
  CheckUnknown(other.Audit(), ViewGap::kUnitUnreadable);
  Scene twice;  // two of one name
  twice.SecondUnit();
  twice.machine.units[1].name = "dmar0";
  twice.kernel().did = 8;
  CheckUnknown(twice.Audit(), ViewGap::kUnitAmbiguous);
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
    CheckUnknown(scene.Audit(), ViewGap::kKind);
    // Without an entry either.
    scene.tables.AttachLegacy(scene.root, 0, 0x10, scene.top, 3, 9);
    scene.tables.Set(scene.context, 0);
    CheckUnknown(scene.Audit(), ViewGap::kKind);
  }
  Scene nested;  // by the entry
  const PhysAddr root = nested.tables.NewPage();
  const PhysAddr directory = nested.tables.NewPage();
  nested.tables.AttachScalable(root, 0, 0x08, directory);
  const PhysAddr second = nested.tables.NewPage();
  nested.tables.SetNested(directory, 0, second, 4, nested.tables.NewPage(), 4, 7);
  nested.machine.units[0].rtaddr = {root.value() | 0x400, Origin::kDerived, "test"};
  nested.machine.units[0].ecap = {0xee9e86f050df, Origin::kKernelShadow, "test"};
  nested.kernel().root = second;
  nested.kernel().levels = 4;
  CheckUnknown(nested.Audit(), ViewGap::kKind);
}

TEST_CASE("a device without an entry, where every entry was seen") {
  Scene none;
  const PhysAddr other = none.tables.AttachLegacy(none.root, 0, 0x10, none.top, 3, 9);
  none.tables.Set(none.context, 0);
  CheckOnly(none.Audit(), findings::kViewNoEntry);

  none.memory.SetState(PhysAddr(other.value() + 0x100), 8, ByteState::kExcluded);
  CheckUnknown(none.Audit(), ViewGap::kEntryUnread);

  Scene refused;  // nothing live at all: the reading of the unit may be wrong
  refused.tables.Set(refused.context, 0);
  CheckUnknown(refused.Audit(), ViewGap::kNothingLive);

  Scene off;
  off.machine.units[0].gcmd = {0, Origin::kKernelShadow, "test"};
  CheckUnknown(off.Audit(), ViewGap::kUnitNotWalked);

  Scene topless;  // without an entry, and without tables that it could have
  topless.tables.AttachLegacy(topless.root, 0, 0x10, topless.top, 3, 9);
  topless.tables.Set(topless.context, 0);
  topless.kernel().root.reset();
  CheckUnknown(topless.Audit(), ViewGap::kTopUnknown);
}

TEST_CASE("what is not known on the kernel's side is counted, and no finding") {
  const auto without = [](ViewGap gap, const std::function<void(KernelDomain&)>& forget) {
    Scene scene;
    forget(scene.kernel());
    const AuditResult result = scene.Audit();
    CHECK(result.findings.empty());
    CheckUnknown(result, gap);
  };
  without(ViewGap::kTopUnknown, [](KernelDomain& kernel) { kernel.root.reset(); });
  without(ViewGap::kLevelsUnknown, [](KernelDomain& kernel) { kernel.levels.reset(); });
  without(ViewGap::kIdUnknown, [](KernelDomain& kernel) { kernel.did.reset(); });
  without(ViewGap::kIdUnset, [](KernelDomain& kernel) { kernel.did = uint16_t{0}; });
  Scene detached;
  detached.machine.inventory.devices[0].attached.reset();
  CheckViews(detached.Audit(), 0, 0, 0);
  Scene filtered;
  filtered.options.devices = BdfFilter{};
  filtered.options.devices->bus = 5;
  CheckViews(filtered.Audit(), 0, 0, 0);
}

TEST_CASE("devices that are unknown for different reasons are grouped by them") {
  Scene scene;
  DeviceInventory& inventory = scene.machine.inventory;
  inventory.devices[0].attached->unit.reset();
  for (const uint8_t devfn : std::to_array<uint8_t>({0x10, 0x18, 0x20})) {
    DeviceFacts device = inventory.devices[0];
    device.bdf = Bdf{0, 0, devfn};
    if (devfn == 0x18) device.attached->unit = "dmar9";
    if (devfn == 0x20) device.attached.reset();
    inventory.devices.push_back(device);
  }
  const AuditResult result = scene.Audit();
  CheckViews(result, 0, 0, 3);
  REQUIRE(result.views.gaps.size() == 2);
  CHECK(result.views.gaps[0].gap == ViewGap::kUnitUnreadable);
  CHECK(result.views.gaps[0].devices == std::vector<size_t>{0, 1});
  CHECK(result.views.gaps[1].gap == ViewGap::kUnitMissing);
  CHECK(result.views.gaps[1].devices == std::vector<size_t>{2});
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
