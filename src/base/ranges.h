// SPDX-License-Identifier: GPL-2.0-or-later
// Sets of address ranges.
#ifndef DMAUDIT_BASE_RANGES_H_
#define DMAUDIT_BASE_RANGES_H_

#include <vector>

#include "base/address.h"

namespace dmaudit {

// The same addresses as ascending, disjoint ranges: those that touch or overlap are one.
std::vector<PhysRange> JoinRanges(std::vector<PhysRange> ranges);

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_RANGES_H_
