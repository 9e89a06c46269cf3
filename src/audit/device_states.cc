// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/device_states.h"

#include <algorithm>

namespace dmaudit {

DeviceStates::DeviceStates(const DeviceInventory& inventory)
    : inventory_(inventory), group_all_unable_(inventory.groups.size(), true) {
  own_.reserve(inventory.devices.size());
  for (const DeviceFacts& device : inventory.devices) {
    own_.push_back(AbilityOf(device, inventory));
    const bool forwards = device.bridge && *device.bridge;
    if (device.group && !forwards && own_.back() != DmaAbility::kUnable) {
      group_all_unable_[*device.group] = false;
    }
  }
}

std::optional<size_t> DeviceStates::Find(const Bdf& bdf) const {
  const auto& devices = inventory_.devices;
  // Devices without an id are last.
  const auto it = std::lower_bound(
      devices.begin(), devices.end(), bdf,
      [](const DeviceFacts& device, const Bdf& id) { return device.bdf && *device.bdf < id; });
  if (it == devices.end() || it->bdf != bdf) return std::nullopt;
  return static_cast<size_t>(it - devices.begin());
}

DmaAbility DeviceStates::Ability(size_t device) const {
  const DmaAbility own = own_[device];
  if (own != DmaAbility::kUnable) return own;
  // A list of devices with gaps may lack the one that matters.
  if (!inventory_.complete) return DmaAbility::kUnknown;
  const std::optional<size_t>& group = inventory_.devices[device].group;
  return group && group_all_unable_[*group] ? own : DmaAbility::kUnknown;
}

}  // namespace dmaudit
