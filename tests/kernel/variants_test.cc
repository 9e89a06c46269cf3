// SPDX-License-Identifier: GPL-2.0-or-later
// Whole kernels by the layouts that they have, distributions' backports included: the same machine
// is read from each. README.md lists every row in which kernels differ, and the test that holds it.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "kernel/machine.h"
#include "support/machine_scene.h"
#include "support/temp_dir.h"

namespace dmaudit {
namespace {

using test::MachineScene;
using Ids = MachineScene::DomainIds;

struct Kernel {
  const char* name;
  std::function<void(MachineScene&)> layout;
};

// What every kernel before 3.15 has, and those that kept it.
void Oldest(MachineScene& s) {
  s.has_segment = false;
  s.has_copied_tables = s.has_flags = s.has_back_pointer = s.has_page_requests = false;
  s.has_iommu_device = s.has_group_device = s.has_dev_iommu = s.has_group_owner = false;
  s.has_services = s.has_driver_services = s.has_domain_types = false;
  s.has_pasid_domains = s.has_attach_handles = false;
  s.info_of_pci_dev = s.scopes_of_pci_dev = true;
  s.domain_ids = Ids::kOne;
  for (const char* name : {"iommu_device_list", "intel_iommu_sm", "dmar_satc_units"}) {
    s.Without(name);
  }
}

// 4.3 and later, and Red Hat's 3.10.
void Middle(MachineScene& s) {
  s.has_copied_tables = s.has_back_pointer = s.has_group_owner = false;
  s.has_info_segment = s.has_dev_iommu = false;
  s.has_pasid_domains = s.has_attach_handles = false;
  s.domain_ids = Ids::kArray;
  s.Without("dmar_satc_units");
}

const std::vector<Kernel>& Kernels() {
  static const std::vector<Kernel> kernels = {
      {"2.6.32 of RHEL 6",
       [](MachineScene& s) {
         Oldest(s);
         s.has_groups = false;
         s.Without("iommu_group_kset");
       }},
      {"3.10", Oldest},
      {"3.10 of RHEL 7: the structures of 4.x",
       [](MachineScene& s) {
         Middle(s);
         s.has_iommu_device = s.has_group_device = s.has_services = false;
         s.units_supported = 64;
         s.Without("iommu_device_list");
         s.Without("intel_iommu_sm");
       }},
      {"4.4",
       [](MachineScene& s) {
         Middle(s);
         s.has_iommu_device = s.has_group_device = s.has_all_services = false;
         s.Without("iommu_device_list");
         s.Without("intel_iommu_sm");
         s.variables.push_back({"intel_iommu_ecs", 4});
       }},
      {"4.18 of RHEL 8: struct dev_iommu, and the driver's data elsewhere",
       [](MachineScene& s) {
         Middle(s);
         s.has_dev_iommu = s.has_archdata = s.has_info_segment = true;
       }},
      {"4.19",
       [](MachineScene& s) {
         Middle(s);
         s.Without("intel_iommu_sm");
         s.variables.push_back({"intel_iommu_ecs", 4});
       }},
      {"5.4", Middle},
      {"5.10",
       [](MachineScene& s) {
         Middle(s);
         s.has_dev_iommu = s.has_info_segment = s.has_back_pointer = true;
       }},
      {"5.15 of stable: copied_tables of 6.0",
       [](MachineScene& s) {
         s.has_group_owner = false;
         s.domain_ids = Ids::kArray;
       }},
      {"5.19",
       [](MachineScene& s) {
         s.has_copied_tables = false;
         s.domain_ids = Ids::kArray;
         s.units_supported = 1024;
       }},
      {"6.1", [](MachineScene&) {}},
      {"6.12: tables in a union", [](MachineScene& s) { s.pgd_in_union = true; }},
      {"6.12 of RHEL 10: names of 6.18",
       [](MachineScene& s) {
         s.pgd_in_union = true;
         s.name_length = 16;
       }},
      {"7.1", [](MachineScene& s) {
         s.generic_page_tables = true;
         s.name_length = 16;
       }}};
  return kernels;
}

TEST_CASE("the same machine is read from every kernel's layouts") {
  for (const Kernel& kernel : Kernels()) {
    CAPTURE(kernel.name);
    MachineScene scene;
    kernel.layout(scene);
    scene.Build();
    scene.Attach(0xb000000, 3);
    scene.AddScope("rmrr", 0x7000000, 0x70fffff);
    const Result<MachineState> found = scene.Discover();
    REQUIRE(found);
    // A kernel that registers units nowhere is told to; nothing else is said of any of them.
    CHECK_FALSE(scene.sink.incomplete());
    const size_t unregistered = scene.has_iommu_device ? 0 : 1;
    CHECK(scene.Count("kernel.no-symbol", Effect::kNote) == unregistered);
    CHECK(scene.sink.diagnostics().size() == unregistered);

    CHECK(found->iommu == IommuPresence::kIntel);
    REQUIRE(found->units.size() == 1);
    const UnitState& unit = found->units[0];
    CHECK(unit.name == "dmar0");
    CHECK(unit.segment == 0);
    CHECK_FALSE(unit.ignored);
    CHECK(unit.register_base.value() == PhysAddr(MachineScene::kRegisters));
    CHECK(unit.cap.value() == MachineScene::kCap);
    CHECK(unit.ecap.value() == MachineScene::kEcap);
    CHECK(unit.gcmd.value() == 0x86000000);
    CHECK(unit.rtaddr.value() == MachineScene::kRoot);
    CHECK(unit.iqa.value() == MachineScene::kQueue);
    CHECK(unit.irta.value() == (MachineScene::kIrTable | 0xf));

    CHECK(found->inventory.complete);
    REQUIRE(found->inventory.devices.size() == 1);
    const DeviceFacts& device = found->inventory.devices[0];
    CHECK(device.bdf == Bdf{0, 0, 8});
    CHECK(device.driver == "nvme");
    CHECK(device.bus_master == true);
    for (const std::optional<bool>& service : {device.ats, device.pri, device.pasid}) {
      CHECK(service == (scene.has_driver_services ? std::optional(false) : std::nullopt));
    }
    REQUIRE(device.attached);
    CHECK(device.attached->root == PhysAddr(0xb000000));
    CHECK(device.attached->levels == 3U);
    CHECK(device.attached->did == 9);
    REQUIRE(device.group.has_value() == scene.has_groups);
    if (scene.has_groups) {
      const IommuGroup& group = found->inventory.groups[*device.group];
      CHECK(group.id == 3U);
      CHECK(group.domain.has_value() == scene.has_domain_types);
      CHECK(group.owned.has_value() == scene.has_group_owner);
    }

    CHECK(found->scopes.complete);
    REQUIRE(found->scopes.scopes.size() == 2);
    CHECK(found->scopes.scopes[0].flag == true);
    CHECK(found->scopes.scopes[1].range == PhysRange{PhysAddr(0x7000000), PhysAddr(0x70fffff)});
    CHECK(found->scopes.scopes[1].devices == std::vector<Bdf>{{0, 0, 8}, {0, 2, 0}});
  }
}

// The unit's number against the length of the array that the layout has.
TEST_CASE("an id by unit: the last unit the array has room for, and one more") {
  for (const uint32_t room : {16U, 64U, 1024U}) {
    for (const uint32_t number : {room - 1, room, room + 1}) {
      CAPTURE(room);
      CAPTURE(number);
      MachineScene scene;
      scene.domain_ids = Ids::kArray;
      scene.units_supported = room;
      scene.Build();
      scene.Attach(0xb000000, 3);
      scene.Set32("iommu0.seq_id", number);
      scene.SetWord("own", "dmar_domain.iommu_did", 0);
      const uint64_t ids = scene.At("own") + scene.OffsetOf("dmar_domain.iommu_did");
      for (const uint32_t at : {room - 1, room, room + 1}) {
        scene.memory().WriteU32(PhysAddr(MachineScene::Physical(ids + 2 * at)), 9);
      }
      const Result<MachineState> found = scene.Discover();
      REQUIRE(found);
      const DeviceFacts& device = found->inventory.devices.at(0);
      REQUIRE(device.attached);
      if (number < room) {
        CHECK(device.attached->did == 9);
      } else {
        CHECK_FALSE(device.attached->did);
      }
    }
  }
}

// The segment of a requester where the driver's data has none: that of its unit.
TEST_CASE("a device that is not PCI is in the segment of its unit where its data has none") {
  for (const bool own : {true, false}) {
    CAPTURE(own);
    MachineScene scene;
    scene.platform_device = true;
    scene.has_info_segment = own;
    scene.Build();
    scene.SetByte("iommu0", "intel_iommu.segment", 2);
    if (own) scene.SetWord("info", "device_domain_info.segment", 0x0000'08f0'0000'0002);
    const Result<MachineState> found = scene.Discover();
    REQUIRE(found);
    REQUIRE(found->inventory.devices.size() == 2);
    CHECK(found->inventory.devices[1].bdf == Bdf{2, 0xf0, 8});
  }
}

TEST_CASE("extended contexts need intel_iommu_ecs and the capability") {
  constexpr uint64_t kEcs = uint64_t{1} << 24;
  const auto mode = [](uint64_t ecap, uint32_t enabled) {
    MachineScene scene;
    scene.log.clear();
    scene.Without("intel_iommu_sm");
    scene.variables.push_back({"intel_iommu_ecs", 4});
    scene.Build();
    scene.Set("iommu0.ecap", ecap);
    scene.Set32("intel_iommu_ecs", enabled);
    const Result<MachineState> found = scene.Discover();
    REQUIRE(found);
    CHECK(scene.sink.diagnostics().empty());
    REQUIRE(found->units.at(0).rtaddr);
    return found->units[0].rtaddr.value() & 0xfff;
  };
  CHECK(mode(MachineScene::kEcap, 1) == 0);
  CHECK(mode(MachineScene::kEcap | kEcs, 0) == 0);
  CHECK(mode(MachineScene::kEcap | kEcs, 1) == 0x800);
}

TEST_CASE("README.md names tests that exist") {
  const std::filesystem::path folder = std::filesystem::path(DMAUDIT_TEST_SOURCES) / "kernel";
  std::string sources;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".cc") sources += test::ReadText(entry.path().string());
  }
  const std::string readme = test::ReadText((folder / "README.md").string());
  size_t named = 0;
  for (size_t at = readme.find("“"); at != std::string::npos; at = readme.find("“", at + 1)) {
    const size_t start = at + std::string_view("“").size();
    const std::string name = readme.substr(start, readme.find("”", start) - start);
    CAPTURE(name);
    CHECK(sources.find("TEST_CASE(\"" + name + "\")") != std::string::npos);
    ++named;
  }
  CHECK(named >= 30);
}

}  // namespace
}  // namespace dmaudit
