// SPDX-License-Identifier: GPL-2.0-or-later
// Which kind of IOMMU the kernel drives, if any.
#ifndef DMAUDIT_KERNEL_DISCOVER_IOMMU_H_
#define DMAUDIT_KERNEL_DISCOVER_IOMMU_H_

#include <string>

#include "kernel/discover_units.h"
#include "kernel/kernel_view.h"
#include "kernel/machine.h"

namespace dmaudit {

struct IommuVerdict {
  IommuPresence presence = IommuPresence::kUnknown;
  std::string evidence;
};

// From the DMAR units, the IOMMUs registered with the kernel (iommu_device_list) and AMD-Vi's own
// lists. kNone only when every list that could say otherwise was read and is empty. An IOMMU that
// drives devices beside the DMAR units, or instead of them, and is not read is a diagnostic.
IommuVerdict DiscoverIommu(const KernelView& kernel, const UnitDiscovery& units);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_DISCOVER_IOMMU_H_
