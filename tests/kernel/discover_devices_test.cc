// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/discover_devices.h"

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <vector>

#include "support/device_look.h"

namespace dmaudit {
namespace {

using Look = test::DeviceLook;
using test::MachineScene;

TEST_CASE("a device with everything the kernel knows of it") {
  const Look look;
  CHECK(look.scene.sink.diagnostics().empty());
  CHECK(look.inventory.complete);
  REQUIRE(look.inventory.devices.size() == 1);
  const DeviceFacts& device = look.device();
  CHECK(device.name == "0000:00:01.0");
  CHECK(device.bdf == Bdf{0, 0, 8});
  CHECK(device.pci);
  CHECK(device.vendor == 0x1b36);
  CHECK(device.device == 0x0010);
  CHECK(device.class_code == 0x010802U);
  CHECK(device.bridge == false);
  CHECK(device.driver == "nvme");
  CHECK(device.bus_master == true);
  CHECK(device.power == PowerState::kD0);
  CHECK(device.ats == false);
  CHECK(device.pri == false);
  CHECK(device.pasid == false);
  CHECK(device.address.value() == look.scene.At("pci0"));
  CHECK(look.group().id == 3U);
  CHECK(look.group().domain == DomainType::kDmaFlushQueue);
  CHECK(look.group().default_domain == DomainType::kDmaFlushQueue);
  CHECK(look.group().owned == false);
  CHECK(AbilityOf(device, look.inventory) == DmaAbility::kAble);
  CHECK_FALSE(HeldByUser(device, look.inventory));
}

TEST_CASE("devices behind bridges and of several groups come in order of their ids") {
  const Look look([](MachineScene& s) {
    s.devices = {{1, 0x00, "e1000e"}, {0, 0x20, "pcieport"}, {0, 0x08, ""}};
  });
  REQUIRE(look.inventory.devices.size() == 3);
  CHECK(look.device(0).name == "0000:00:01.0");
  CHECK(look.device(0).driver == "");
  CHECK(look.group(0).id == 5U);
  CHECK(look.device(1).name == "0000:00:04.0");
  CHECK(look.device(2).name == "0000:01:00.0");
  CHECK(look.group(2).id == 3U);
}

// Of a device on bus 1.
std::optional<std::vector<Bdf>> PathAfter(const std::function<void(MachineScene&)>& change) {
  const Look look(
      [](MachineScene& s) {
        s.devices = {{1, 0x10, ""}, {0, 0x20, "pcieport"}, {0, 0x08, ""}};
      },
      [&](MachineScene& s) {
        s.SetWord("bus1", "pci_bus.self", s.At("pci1"));
        change(s);
      });
  CHECK(look.inventory.complete);
  return look.device(2).path;
}

TEST_CASE("firmware's scopes can name a device, its physical function, and the bridges above") {
  CHECK(PathAfter([](MachineScene&) {}) == std::vector<Bdf>{{0, 1, 0x10}, {0, 0, 0x20}});
  CHECK(PathAfter([](MachineScene& s) {
          s.SetByte("pci0", "pci_dev.is_virtfn", 1);
          s.SetWord("pci0", "pci_dev.physfn", s.At("pci2"));
        }) == std::vector<Bdf>{{0, 0, 0x08}});
}

TEST_CASE("a path of which a part is not known is not known") {
  CHECK_FALSE(PathAfter([](MachineScene& s) { s.SetWord("bus1", "pci_bus.self", 8); }));
  CHECK_FALSE(PathAfter([](MachineScene& s) {
    s.SetByte("pci0", "pci_dev.is_virtfn", 1);
    s.SetWord("pci0", "pci_dev.physfn", 8);
  }));
  // A bridge above itself.
  CHECK_FALSE(PathAfter([](MachineScene& s) { s.SetWord("bus0", "pci_bus.self", s.At("pci1")); }));
}

TEST_CASE("each kind of domain is told by its number") {
  for (const auto& [raw, type] : {std::pair<uint64_t, DomainType>{0, DomainType::kBlocked},
                                  {1, DomainType::kUnmanaged},
                                  {3, DomainType::kDma},
                                  {4, DomainType::kIdentity},
                                  {11, DomainType::kDmaFlushQueue},
                                  {16, DomainType::kSva},
                                  {32, DomainType::kPlatform},
                                  {64, DomainType::kNested},
                                  {2, DomainType::kOther}}) {
    const Look look([raw = raw](MachineScene& s) { s.devices[0].domain_type = raw; });
    CHECK(look.group().domain == type);
  }
}

TEST_CASE("a domain that blocks is told from one of its type") {
  const Look look([](MachineScene& s) { s.devices[0].domain_type = 1; },
                  [](MachineScene& s) { s.Set("group0.blocking_domain", s.At("domain0")); });
  CHECK(look.group().domain == DomainType::kBlocked);
  CHECK(look.group().default_domain == DomainType::kUnmanaged);
}

TEST_CASE("whether a domain blocks is not known where the word that tells is not") {
  const auto domain = [](uint64_t type) {
    const Look look([type](MachineScene& s) { s.devices[0].domain_type = type; },
                    [](MachineScene& s) {
                      const uint64_t at = s.At("group0.blocking_domain");
                      s.memory().SetState(PhysAddr(MachineScene::Physical(at)), 8,
                                          ByteState::kRedacted);
                    });
    return look.group().domain;
  };
  CHECK_FALSE(domain(1));
  CHECK(domain(0) == DomainType::kBlocked);
}

TEST_CASE("what user space holds") {
  const auto held = [](const std::function<void(MachineScene&)>& before,
                       const std::function<void(MachineScene&)>& after = nullptr) {
    const Look look(before, after);
    return HeldByUser(look.device(), look.inventory);
  };
  CHECK(held([](MachineScene& s) { s.devices[0].domain_type = 1; }));
  CHECK(held([](MachineScene& s) { s.devices[0].domain_type = 64; }));
  CHECK(held(nullptr, [](MachineScene& s) { s.Set("group0.owner", s.At("group0")); }));
  // Bound and not opened: the kernel's own domain is in place.
  CHECK_FALSE(held([](MachineScene& s) { s.devices[0].driver = "vfio-pci"; }));
  const auto without_domain = [&](const char* driver) {
    return held([driver](MachineScene& s) { s.devices[0].driver = driver; },
                [](MachineScene& s) { s.SetState("domain0", ByteState::kExcluded); });
  };
  CHECK(without_domain("vfio-pci"));
  CHECK(without_domain("mlx5_vfio_pci"));
  CHECK_FALSE(without_domain("virtio-pci"));
}

TEST_CASE("a device that is not bus master or asleep could not start DMA") {
  const auto ability = [](const MachineScene::Device& device) {
    const Look look([&](MachineScene& s) { s.devices = {device}; });
    return AbilityOf(look.device(), look.inventory);
  };
  CHECK(ability({0, 8, "nvme", 11, true, 0}) == DmaAbility::kAble);
  CHECK(ability({0, 8, "nvme", 11, true, 2}) == DmaAbility::kAble);
  CHECK(ability({0, 8, "nvme", 11, true, 3}) == DmaAbility::kUnable);
  CHECK(ability({0, 8, "nvme", 11, true, 4}) == DmaAbility::kUnable);
  CHECK(ability({0, 8, "nvme", 11, true, 5}) == DmaAbility::kUnknown);  // PCI_UNKNOWN
  CHECK(ability({0, 8, "", 11, false, 0}) == DmaAbility::kUnable);
  // VFIO gives the command register to its user, and the PCI core does not see it.
  CHECK(ability({0, 8, "vfio-pci", 1, false, 0}) == DmaAbility::kUnknown);
  CHECK(ability({0, 8, "nvgrace_gpu_vfio_pci", 1, false, 0}) == DmaAbility::kUnknown);
}

TEST_CASE("layouts of other kernels") {
  for (int variant = 0; variant < 8; ++variant) {
    CAPTURE(variant);
    const Look look([&](MachineScene& s) {
      s.has_group_device = (variant & 1) == 0;
      s.has_dev_iommu = (variant & 2) == 0;
      s.has_segment = (variant & 4) == 0;
      s.has_group_owner = variant == 0;
      s.platform_device = true;
    });
    CHECK(look.scene.sink.diagnostics().empty());
    REQUIRE(look.inventory.devices.size() == 2);
    CHECK(look.device(0).name == "0000:00:01.0");
    CHECK(look.group(0).owned == (variant == 0 ? std::optional(false) : std::nullopt));
    const DeviceFacts& other = look.device(1);
    CHECK(other.name == "INT33C0:00");
    CHECK_FALSE(other.pci);
    // Without a segment anywhere the requester id is not known.
    if ((variant & 4) == 0) {
      CHECK(other.bdf == Bdf{0, 0xf0, 8});
    } else {
      CHECK_FALSE(other.bdf);
    }
    CHECK(other.group == look.device(0).group);
  }
}

TEST_CASE("markers in place of the driver's data are no devices") {
  for (const uint64_t marker : {UINT64_MAX, UINT64_MAX - 1, uint64_t{0}}) {
    const Look look(
        [](MachineScene& s) {
          s.has_dev_iommu = false;
          s.platform_device = true;
        },
        [&](MachineScene& s) { s.SetWord("platform", "device.archdata", marker); });
    CHECK(look.scene.sink.diagnostics().empty());
    CHECK_FALSE(look.device(1).bdf);
  }
}

TEST_CASE("a segment that only the kernel numbers has no requester id") {
  const Look look(nullptr, [](MachineScene& s) { s.Set32("sysdata", 0x10000); });
  CHECK(look.device().name == "10000:00:01.0");
  CHECK_FALSE(look.device().bdf);
}

TEST_CASE("a tree that is cut leaves the groups to find devices") {
  const Look look(
      [](MachineScene& s) {
        s.devices = {{0, 0x08, "nvme"}, {0, 0x10, "ahci"}, {0, 0x18, "e1000e"}};
      },
      [](MachineScene& s) { s.Set("pci0.bus_list", 0); });
  CHECK_FALSE(look.inventory.complete);
  REQUIRE(look.inventory.devices.size() == 3);
  CHECK(look.device(2).driver == "e1000e");
  CHECK(look.scene.Count("kernel.damaged", Effect::kNote) == 1);
}

TEST_CASE("lists that run in circles or into each other end") {
  const Look circle(
      [](MachineScene& s) {
        s.devices.push_back({0, 0x10, "ahci"});
      },
      [](MachineScene& s) { s.Set("pci1.bus_list", s.At("pci0.bus_list")); });
  CHECK_FALSE(circle.inventory.complete);
  CHECK(circle.inventory.devices.size() == 2);
  // The bus is its own child: what is reached so points to other buses.
  const Look own(nullptr, [](MachineScene& s) {
    s.Set("bus0.children", s.At("bus0.node"));
    s.Set("bus0.node", s.At("bus0.children"));
  });
  CHECK(own.inventory.devices.size() == 1);
}

TEST_CASE("a device that points to another bus is none") {
  const Look look(nullptr, [](MachineScene& s) { s.Set("pci0.bus", s.At("bus1")); });
  // The group still knows it.
  CHECK(look.inventory.devices.size() == 1);
  CHECK(look.device().name == "0000:01:01.0");
  CHECK(look.scene.Count("kernel.damaged", Effect::kNote) == 1);
  CHECK_FALSE(look.inventory.complete);
}

TEST_CASE("groups that are not all read leave the list of devices incomplete, and that is said") {
  struct Case {
    const char* what;
    std::function<void(MachineScene&)> before, after;
  };
  const std::vector<Case> cases = {
      {"no symbol", [](MachineScene& s) { s.Without("iommu_group_kset"); }, nullptr},
      {"no list", nullptr, [](MachineScene& s) { s.SetState("kset", ByteState::kExcluded); }},
      {"a cut list", nullptr, [](MachineScene& s) { s.Set("kset", 8); }},
      {"a group", nullptr, [](MachineScene& s) { s.SetState("group0", ByteState::kExcluded); }},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    const Look look(c.before, c.after);
    CHECK_FALSE(look.inventory.complete);
    CHECK(look.inventory.devices.size() == 1);
    CHECK_FALSE(look.scene.sink.diagnostics().empty());
    CHECK_FALSE(look.scene.sink.incomplete());
  }
  // A kernel without groups has none to miss.
  const Look none([](MachineScene& s) {
    s.Without("iommu_group_kset");
    s.has_groups = false;
  });
  CHECK(none.inventory.complete);
  CHECK(none.scene.sink.diagnostics().empty());
}

TEST_CASE("what struct pci_dev does not tell of services the driver's own record does") {
  const auto with = [](bool ats, bool others, bool driver = true) {
    const Look look(
        [&](MachineScene& s) {
          s.has_services = ats;
          s.has_all_services = others;
          s.has_driver_services = driver;
        },
        [&](MachineScene& s) {
          s.Attach(0x6000000, 4);
          if (!driver) return;
          s.SetByte("info", "device_domain_info.ats_enabled", 1);
          s.SetByte("info", "device_domain_info.pasid_enabled", 1);
        });
    return look.device();
  };
  const DeviceFacts all = with(true, true), ats = with(true, false), none = with(false, false);
  CHECK((all.ats == false && all.pri == false && all.pasid == false));
  CHECK((ats.ats == false && ats.pri == false && ats.pasid == true));
  CHECK((none.ats == true && none.pri == false && none.pasid == true));
  const DeviceFacts unknown = with(true, false, false);
  CHECK((unknown.ats == false && !unknown.pri && !unknown.pasid));
}

TEST_CASE("a page that is not in the dump costs one fact, named once") {
  const Look domain(nullptr, [](MachineScene& s) { s.SetState("domain0", ByteState::kExcluded); });
  CHECK_FALSE(domain.group().domain);
  CHECK(domain.device().driver == "nvme");
  CHECK(domain.scene.Count("kernel.unreadable", Effect::kNote) == 1);
  const Look driver(nullptr, [](MachineScene& s) { s.SetState("driver0", ByteState::kLost); });
  CHECK_FALSE(driver.device().driver);
  CHECK(driver.scene.Count("kernel.unreadable", Effect::kNote) == 1);
}

TEST_CASE("a kernel without the variables has no inventory, and says what that costs") {
  const Look look([](MachineScene& s) {
    std::erase_if(s.variables, [](const MachineScene::Variable& variable) {
      return variable.name == "pci_root_buses";
    });
  });
  CHECK_FALSE(look.inventory.complete);
  CHECK(look.inventory.devices.empty());
  CHECK(look.scene.Count("kernel.no-symbol", Effect::kNote) == 1);
}

}  // namespace
}  // namespace dmaudit
