// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/physical_memory.h"

#include <algorithm>

#include "vmcore/memory/state_joiner.h"

namespace dmaudit {

bool PhysicalMemory::ReadTogether(PhysAddr, DecodeContext&, std::span<std::byte>) const {
  return false;
}

void PhysicalMemory::VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const {
  const uint32_t size = page_size();
  StateJoiner joined(visit);
  VisitRam([&](PhysRange range) {
    for (uint64_t at = range.first.value();;) {
      const PhysAddr base = PhysAddr(at).AlignDown(size);
      const uint64_t last = std::min(base.value() + (size - 1), range.last.value());
      if (!joined.Add({PhysAddr(at), PhysAddr(last)}, PageStateHint(base))) return false;
      if (last == range.last.value()) return true;
      at = last + 1;
    }
  });
  joined.Finish();
}

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
