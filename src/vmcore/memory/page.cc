// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/page.h"

#include <algorithm>
#include <utility>

namespace dmaudit {

void Page::Reset(PhysAddr page_base, uint32_t size, ByteState state) {
  base = page_base;
  bytes.assign(size, std::byte{0});
  extents.assign(1, PageExtent{0, size, state});
}

void Page::SetState(uint32_t offset, uint32_t size, ByteState state) {
  if (size == 0) return;
  std::vector<PageExtent> out;
  const auto append_to = [](std::vector<PageExtent>& list, uint32_t from, uint32_t to,
                            ByteState s) {
    if (from >= to) return;
    if (!list.empty() && list.back().state == s) {
      list.back().size += to - from;
    } else {
      list.push_back({from, to - from, s});
    }
  };
  const auto append = [&](uint32_t from, uint32_t to, ByteState s) { append_to(out, from, to, s); };
  const uint32_t end = offset + size;
  // Stretches mostly come ascending, and a file can make them a byte each.
  if (!extents.empty() && extents.back().offset <= offset) {
    const PageExtent last = extents.back();
    extents.pop_back();
    append_to(extents, last.offset, offset, last.state);
    append_to(extents, offset, end, state);
    append_to(extents, end, last.offset + last.size, last.state);
    return;
  }
  bool placed = false;
  for (const PageExtent& extent : extents) {
    const uint32_t extent_end = extent.offset + extent.size;
    append(extent.offset, std::min(extent_end, offset), extent.state);
    if (!placed && extent_end > offset) {
      append(offset, end, state);
      placed = true;
    }
    append(std::max(extent.offset, end), extent_end, extent.state);
  }
  extents = std::move(out);
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
