// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/ranges.h"

#include <fmt/format.h>

#include <algorithm>

namespace dmaudit {

std::vector<PhysRange> JoinRanges(std::vector<PhysRange> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<PhysRange> joined;
  for (const PhysRange& range : ranges) {
    // One that ends the address space has nothing behind it, and overlaps all that begin later.
    const bool touches = !joined.empty() && (joined.back().last >= range.first ||
                                             joined.back().last.value() + 1 == range.first.value());
    if (touches) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

std::string ToString(const PhysRange& range) {
  return fmt::format("{:x}-{:x}", range.first.value(), range.last.value());
}

}  // namespace dmaudit
