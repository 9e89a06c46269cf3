// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/identity.h"

#include <algorithm>
#include <utility>

#include "base/ranges.h"

namespace dmaudit {

std::vector<PhysRange> WholeRamPages(const std::vector<PhysRange>& system_ram) {
  constexpr uint64_t kPage = 4096;
  constexpr uint64_t kLowMemory = uint64_t{1} << 20;
  std::vector<PhysRange> pages;
  for (const PhysRange& range : system_ram) {
    uint64_t first = std::max(range.first.value(), kLowMemory);
    first = first > UINT64_MAX - (kPage - 1) ? UINT64_MAX : (first + kPage - 1) & ~(kPage - 1);
    // The end is exclusive here; a range that ends the address space keeps its last page.
    const uint64_t end = range.last.value() == UINT64_MAX ? UINT64_MAX & ~(kPage - 1)
                                                          : (range.last.value() + 1) & ~(kPage - 1);
    if (first < end) pages.push_back({PhysAddr(first), PhysAddr(end - 1)});
  }
  return JoinRanges(std::move(pages));
}

void IdentityCover::Add(const LiveRange& range) {
  if (range.iova.value() != range.pa.value() || !range.permissions.read ||
      !range.permissions.write) {
    return;
  }
  const std::optional<PhysRange> mapped = PhysRange::FromSize(range.pa, range.size);
  if (!mapped) return;
  while (next_ < ram_.size() && ram_[next_].last < mapped->first) ++next_;
  for (size_t i = next_; i < ram_.size() && ram_[i].first <= mapped->last; ++i) {
    covered_ += ram_[i].Intersect(*mapped)->size();
  }
}

uint64_t IdentityCover::total() const {
  uint64_t bytes = 0;
  for (const PhysRange& range : ram_) bytes += range.size();
  return bytes;
}

}  // namespace dmaudit
