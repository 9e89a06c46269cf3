// SPDX-License-Identifier: GPL-2.0-or-later
// Memory reserved for the crash kernel, and whether one was loaded.
#ifndef DMAUDIT_KERNEL_DISCOVER_CRASHKERNEL_H_
#define DMAUDIT_KERNEL_DISCOVER_CRASHKERNEL_H_

#include <optional>
#include <vector>

#include "kernel/kernel_view.h"
#include "kernel/machine.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

struct CrashkernelDiscovery {
  // nullopt: it could not be told whether anything is reserved.
  std::optional<std::vector<Reservation>> reservations;
  Known<bool> loaded;
  std::optional<CrashImage> image;
};

// crashk_res, crashk_low_res and crashk_cma_ranges; as rival claims the "Crash kernel" entries of
// iomem_resource, the gap that the dump itself leaves there, and the log. A rival stands in for a
// variable that cannot be read. What disagrees, and what may hide a reservation, is a diagnostic.
CrashkernelDiscovery DiscoverCrashkernel(const KernelView& kernel, const PhysicalMemory& memory);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_DISCOVER_CRASHKERNEL_H_
