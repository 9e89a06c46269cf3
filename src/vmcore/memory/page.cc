// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/page.h"

#include <algorithm>

namespace dmaudit {

void Page::Reset(PhysAddr page_base, uint32_t size, ByteState state) {
  base = page_base;
  bytes.assign(size, std::byte{0});
  extents.assign(1, PageExtent{0, size, state});
}

void Page::SetState(uint32_t offset, uint32_t size, ByteState state) {
  if (size == 0) return;
  const uint32_t end = offset + size;
  // Extents mostly come ascending, and a file can make them a byte each: only what reaches behind
  // `offset` is laid out again.
  auto keep = extents.end();
  while (keep != extents.begin() && (keep - 1)->offset + (keep - 1)->size > offset) --keep;
  const std::vector<PageExtent> behind(keep, extents.end());
  extents.erase(keep, extents.end());
  const auto append = [this](uint32_t from, uint32_t to, ByteState s) {
    if (from >= to) return;
    if (!extents.empty() && extents.back().state == s) {
      extents.back().size += to - from;
    } else {
      extents.push_back({from, to - from, s});
    }
  };
  if (!behind.empty()) append(behind.front().offset, offset, behind.front().state);
  append(offset, end, state);
  for (const PageExtent& extent : behind) {
    append(std::max(extent.offset, end), extent.offset + extent.size, extent.state);
  }
}

PageExtent Page::FirstUnreadable(uint32_t offset, uint32_t size) const {
  for (const PageExtent& extent : extents) {
    if (extent.offset + extent.size <= offset) continue;
    if (extent.offset >= offset + size) break;
    if (!IsReadable(extent.state)) {
      return {std::max(extent.offset, offset), extent.size, extent.state};
    }
  }
  return {offset, size, ByteState::kData};
}

}  // namespace dmaudit
