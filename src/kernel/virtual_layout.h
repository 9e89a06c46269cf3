// SPDX-License-Identifier: GPL-2.0-or-later
// Where an x86-64 kernel sees physical memory and itself.
#ifndef DMAUDIT_KERNEL_VIRTUAL_LAYOUT_H_
#define DMAUDIT_KERNEL_VIRTUAL_LAYOUT_H_

#include <cstdint>
#include <optional>

#include "kernel/address_space.h"
#include "vmcore/dump.h"

namespace dmaudit {

struct VirtualLayout {
  // The virtual address of physical address 0 in the direct map (page_offset_base).
  std::optional<uint64_t> direct_map;
  // The kernel image from its start to the first address that is not mapped.
  std::optional<DumpInfo::VirtualSegment> image;
};

// What the page tables say; nothing where they are not in the dump. Reads are no evidence.
VirtualLayout FindVirtualLayout(MemorySession& session, const PageTableRoot& root);

// What the segments of an ELF dump say, where they agree.
VirtualLayout VirtualLayoutOf(const DumpInfo& info);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_VIRTUAL_LAYOUT_H_
