// SPDX-License-Identifier: GPL-2.0-or-later
// Address ranges: sets of them, and as text.
#ifndef DMAUDIT_BASE_RANGES_H_
#define DMAUDIT_BASE_RANGES_H_

#include <string>
#include <vector>

#include "base/address.h"

namespace dmaudit {

// The same addresses as ascending, disjoint ranges: those that touch or overlap are one.
std::vector<PhysRange> JoinRanges(std::vector<PhysRange> ranges);

// "10000000-1fffffff", as /proc/iomem prints it.
std::string ToString(const PhysRange& range);

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_RANGES_H_
