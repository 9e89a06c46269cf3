// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/device_states.h"

#include <doctest/doctest.h>

#include <utility>

namespace dmaudit {
namespace {

DeviceFacts Device(uint8_t devfn, bool bus_master, std::optional<size_t> group) {
  DeviceFacts device;
  device.bdf = Bdf{0, 0, devfn};
  device.driver = "test";
  device.bus_master = bus_master;
  device.power = PowerState::kD0;
  device.bridge = false;
  device.group = group;
  return device;
}

DeviceInventory Inventory(std::vector<DeviceFacts> devices) {
  DeviceInventory inventory;
  inventory.complete = true;
  inventory.devices = std::move(devices);
  inventory.groups.resize(2);
  return inventory;
}

TEST_CASE("devices are found by requester id, those without one are passed over") {
  DeviceInventory inventory = Inventory({Device(0x08, true, 0), Device(0x10, true, 1)});
  inventory.devices.emplace_back();
  const DeviceStates states(inventory);
  CHECK(states.Find({0, 0, 0x08}) == 0U);
  CHECK(states.Find({0, 0, 0x10}) == 1U);
  CHECK_FALSE(states.Find({0, 0, 0x07}));
  CHECK_FALSE(states.Find({0, 0, 0x09}));
  CHECK_FALSE(states.Find({0, 0, 0x11}));
  CHECK_FALSE(DeviceStates({}).Find({0, 0, 0}));
}

TEST_CASE("a requester is unable only with its whole group") {
  const auto ability = [](const DeviceInventory& inventory) {
    return DeviceStates(inventory).Ability(0);
  };
  CHECK(ability(Inventory({Device(8, true, 0)})) == DmaAbility::kAble);
  CHECK(ability(Inventory({Device(8, false, 0), Device(16, true, 1)})) == DmaAbility::kUnable);
  CHECK(ability(Inventory({Device(8, false, 0), Device(16, true, 0)})) == DmaAbility::kUnknown);
  CHECK(ability(Inventory({Device(8, false, 0), Device(16, false, 0)})) == DmaAbility::kUnable);
  // A bridge forwards the requests of others.
  DeviceInventory bridged = Inventory({Device(8, false, 0), Device(16, true, 0)});
  bridged.devices[1].bridge = true;
  CHECK(ability(bridged) == DmaAbility::kUnable);
  // Who else is in the group is not known.
  CHECK(ability(Inventory({Device(8, false, std::nullopt)})) == DmaAbility::kUnknown);
  DeviceInventory gaps = Inventory({Device(8, false, 0)});
  gaps.complete = false;
  CHECK(ability(gaps) == DmaAbility::kUnknown);
}

}  // namespace
}  // namespace dmaudit
