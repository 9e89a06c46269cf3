// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

void PhysicalMemory::VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const {
  const uint32_t size = page_size();
  VisitRam([&](PhysRange range) {
    // A range that ends inside a page, or at the top of the address space, must not wrap.
    const uint64_t last = range.last.AlignDown(size).value();
    for (uint64_t at = range.first.AlignDown(size).value();; at += size) {
      if (IsReadable(PageStateHint(PhysAddr(at))) && !visit(PhysAddr(at), size)) return false;
      if (at == last) return true;
    }
  });
}

}  // namespace dmaudit
