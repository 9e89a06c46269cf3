// SPDX-License-Identifier: GPL-2.0-or-later
// A machine and what is discovered of its devices.
#ifndef DMAUDIT_TESTS_SUPPORT_DEVICE_LOOK_H_
#define DMAUDIT_TESTS_SUPPORT_DEVICE_LOOK_H_

#include <doctest/doctest.h>

#include <functional>

#include "support/machine_look.h"

namespace dmaudit::test {

struct DeviceLook : Look {
  explicit DeviceLook(const std::function<void(MachineScene&)>& before = nullptr,
                      const std::function<void(MachineScene&)>& after = nullptr)
      : Look(before, after), inventory(state.inventory) {
    // Facts of devices hide no DMA, whatever happens to them.
    CHECK_FALSE(scene.sink.incomplete());
  }
  DeviceLook(const DeviceLook&) = delete;
  DeviceLook& operator=(const DeviceLook&) = delete;
  const DeviceFacts& device(size_t i = 0) const {
    REQUIRE(inventory.devices.size() > i);
    return inventory.devices[i];
  }
  const IommuGroup& group(size_t i = 0) const {
    REQUIRE(device(i).group);
    REQUIRE(inventory.groups.size() > *device(i).group);
    return inventory.groups[*device(i).group];
  }

  const DeviceInventory& inventory;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_DEVICE_LOOK_H_
