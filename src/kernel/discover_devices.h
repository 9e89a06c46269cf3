// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's devices: the PCI tree, and the IOMMU groups.
#ifndef DMAUDIT_KERNEL_DISCOVER_DEVICES_H_
#define DMAUDIT_KERNEL_DISCOVER_DEVICES_H_

#include <cstddef>

#include "kernel/device_facts.h"
#include "kernel/kernel_view.h"

namespace dmaudit {

// All functions of a full PCI segment; large machines have a few thousand.
inline constexpr size_t kMaxPciDevices = 65536;
// Buses over all segments, each at least one struct pci_bus of about a kilobyte.
inline constexpr size_t kMaxPciBuses = 16384;
inline constexpr size_t kMaxIommuGroups = kMaxPciDevices;

// From pci_root_buses down, and from iommu_group_kset what the tree did not give: devices of a
// broken tree, and devices that are not PCI. What cannot be read is a note that says what it costs.
DeviceInventory DiscoverDevices(const KernelView& kernel);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_DISCOVER_DEVICES_H_
