// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/discover_iommu.h"

#include <doctest/doctest.h>

#include "support/machine_look.h"

namespace dmaudit {
namespace {

using test::Look;
using test::MachineScene;

TEST_CASE("no unit anywhere is no IOMMU; a list that was not read leaves it open") {
  Look none([](MachineScene& s) { s.units = 0; });
  CHECK(none.state.iommu == IommuPresence::kNone);
  CHECK(none.state.units.empty());
  CHECK(none.diagnostics().empty());
  Look open([](MachineScene& s) { s.units = 0; },
            [](MachineScene& s) { s.SetState("iommu_device_list", ByteState::kExcluded); });
  CHECK(open.state.iommu == IommuPresence::kUnknown);
  CHECK(open.scene.Count("kernel.iommu-unknown", Effect::kIncomplete) == 1);
  const auto no_units = [](MachineScene& s) {
    s.units = 0;
    s.log.clear();
  };
  Look lost(no_units, [](MachineScene& s) { s.SetState("dmar_drhd_units", ByteState::kExcluded); });
  CHECK(lost.state.iommu == IommuPresence::kUnknown);
  CHECK(lost.scene.sink.incomplete());
}

TEST_CASE("a kernel without dmar_drhd_units in its symbols leaves the IOMMU unknown") {
  Look look([](MachineScene& s) {
    std::erase_if(s.variables, [](const auto& v) { return v.name == "dmar_drhd_units"; });
    s.units = 0;
    s.log.clear();
  });
  CHECK(look.state.iommu == IommuPresence::kUnknown);
  CHECK(look.scene.Count("kernel.no-symbol", Effect::kIncomplete) == 1);
}

TEST_CASE("AMD-Vi in use is said and not read") {
  Look look(
      [](MachineScene& s) {
        s.units = 0;
        s.variables.push_back({"amd_iommu_list", 16});
      },
      [](MachineScene& s) { s.Set("amd_iommu_list", MachineScene::kSlab); });
  CHECK(look.state.iommu == IommuPresence::kAmd);
  CHECK(look.scene.Count("kernel.amd-vi", Effect::kIncomplete) == 1);
  Look empty([](MachineScene& s) {
    s.units = 0;
    s.variables.push_back({"amd_iommu_list", 16});
  });
  CHECK(empty.state.iommu == IommuPresence::kNone);
}

TEST_CASE("an IOMMU of another driver beside the units makes the audit incomplete") {
  Look look([](MachineScene& s) { s.units = 1; },
            [](MachineScene& s) {
              s.Set("intel_iommu_ops", 0);
              const uint64_t device = s.At("iommu0.iommu");
              s.memory().WriteU64(PhysAddr(MachineScene::Physical(device + 16)), 0x1234);
            });
  CHECK(look.state.iommu == IommuPresence::kIntel);
  CHECK(look.scene.Count("kernel.other-iommu", Effect::kIncomplete) == 1);
}

TEST_CASE("lists of units that do not fit together make the audit incomplete") {
  // The first unit leads back to the head: the list looks whole.
  Look cut([](MachineScene& s) { s.units = 3; },
           [](MachineScene& s) { s.Set("drhd0.list", s.At("dmar_drhd_units")); });
  CHECK(cut.state.units.size() == 1);
  CHECK(cut.scene.Count("kernel.disagree", Effect::kIncomplete) == 1);
  // An ignored unit is not registered, and makes up for none that is missing.
  Look ignored(
      [](MachineScene& s) {
        s.units = 3;
        s.bit_fields = false;
      },
      [](MachineScene& s) {
        s.Set("drhd0.ignored", 1);
        s.Set("iommu0.iommu", s.At("iommu2.iommu"));  // behind unit 1
        s.Set("iommu_device_list", s.At("iommu1.iommu"));
        s.Set("iommu1.iommu", s.At("iommu2.iommu"));
        s.Set("drhd1.list", s.At("dmar_drhd_units"));
      });
  CHECK(ignored.state.units.size() == 2);
  CHECK(ignored.scene.Count("kernel.disagree", Effect::kIncomplete) == 1);
  // The resource tree knows of a unit.
  const auto claimed = [](MachineScene& s) {
    s.iomem.back() = {"dmar1", 0xfed91000, 0xfed91fff, {}};
  };
  Look unlisted(claimed);
  CHECK(unlisted.scene.Count("kernel.disagree", Effect::kIncomplete) == 1);
  Look empty(nullptr, [](MachineScene& s) {
    for (const char* list : {"dmar_drhd_units", "iommu_device_list"}) s.Set(list, s.At(list));
  });
  CHECK(empty.state.iommu == IommuPresence::kUnknown);
  CHECK(empty.scene.Count("kernel.disagree", Effect::kIncomplete) == 1);
  // No unit, and an IOMMU of which nothing can be read.
  Look unread([](MachineScene& s) { s.iomem.pop_back(); },
              [](MachineScene& s) {
                s.Set("dmar_drhd_units", s.At("dmar_drhd_units"));
                const uint64_t device = s.At("iommu0.iommu");
                s.memory().SetState(PhysAddr(MachineScene::Physical(device + 16)), 8,
                                    ByteState::kLost);
              });
  CHECK(unread.state.iommu == IommuPresence::kUnknown);
  CHECK(unread.scene.Count("kernel.iommu-unknown", Effect::kIncomplete) == 1);
}

}  // namespace
}  // namespace dmaudit
