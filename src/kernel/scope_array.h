// SPDX-License-Identifier: GPL-2.0-or-later
// The devices that a DRHD, RMRR, ATSR or SATC names, as the kernel keeps them: an array of struct
// dmar_dev_scope {dev, bus, devfn} (3.15 and later, drivers/iommu/dmar.c), of struct pci_dev * in
// kernels whose types do not have that structure.
#ifndef DMAUDIT_KERNEL_SCOPE_ARRAY_H_
#define DMAUDIT_KERNEL_SCOPE_ARRAY_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "base/result.h"
#include "kernel/kernel_view.h"
#include "kernel/type_view.h"

namespace dmaudit {

struct ScopeDevice {
  uint8_t bus = 0;
  uint8_t devfn = 0;
};

// Calls `visit` for each of the `count` elements of unit.devices; a device that does not exist is
// nothing. Stops at the first element that cannot be read.
Status VisitScopeDevices(const KernelView& kernel, const StructView& unit, uint64_t count,
                         const std::function<void(const std::optional<ScopeDevice>&)>& visit);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_SCOPE_ARRAY_H_
