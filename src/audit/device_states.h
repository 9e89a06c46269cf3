// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel knew of a requester, and whether it could start DMA.
#ifndef DMAUDIT_AUDIT_DEVICE_STATES_H_
#define DMAUDIT_AUDIT_DEVICE_STATES_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "kernel/device_facts.h"

namespace dmaudit {

class DeviceStates {
 public:
  // `inventory`, in its order, outlives this.
  explicit DeviceStates(const DeviceInventory& inventory);

  // The device whose requester id this is; index into the inventory.
  std::optional<size_t> Find(const Bdf& bdf) const;
  // Whether requests with this id could be started. Devices of one group may appear under each
  // other's ids (conventional PCI behind a bridge), so that an id is only called unable when every
  // device of its group is; bridges forward and are not counted.
  DmaAbility Ability(size_t device) const;

 private:
  const DeviceInventory& inventory_;
  std::vector<DmaAbility> own_;         // per device
  std::vector<bool> group_all_unable_;  // per group
};

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_DEVICE_STATES_H_
