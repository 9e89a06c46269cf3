// SPDX-License-Identifier: GPL-2.0-or-later
// One page of dumped memory: its bytes and the state of every extent of them.
#ifndef DMAUDIT_VMCORE_MEMORY_PAGE_H_
#define DMAUDIT_VMCORE_MEMORY_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/address.h"
#include "vmcore/memory/byte_state.h"

namespace dmaudit {

// Bytes offset .. offset + size - 1 of a page.
struct PageExtent {
  uint32_t offset = 0;
  uint32_t size = 0;
  ByteState state = ByteState::kAbsent;
  friend bool operator==(const PageExtent&, const PageExtent&) = default;
};

// The extents are ascending, adjacent, and tile the page. Bytes of an unreadable extent are zero in
// `bytes` and must not be used; look at the extents first.
struct Page {
  PhysAddr base;
  std::vector<std::byte> bytes;
  std::vector<PageExtent> extents;

  // The whole page in one state, bytes zeroed: what a provider starts from.
  void Reset(PhysAddr page_base, uint32_t size, ByteState state);
  // Overlays one state on bytes offset .. offset + size - 1 (inside the page), splitting and
  // joining extents.
  void SetState(uint32_t offset, uint32_t size, ByteState state);

  bool readable() const { return extents.size() == 1 && IsReadable(extents[0].state); }
  // The state of the first unreadable byte in offset .. offset + size - 1 (inside the page), and
  // its offset; kData when all are readable.
  PageExtent FirstUnreadable(uint32_t offset, uint32_t size) const;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_MEMORY_PAGE_H_
