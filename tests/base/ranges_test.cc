// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/ranges.h"

#include <doctest/doctest.h>

namespace dmaudit {
namespace {

PhysRange Range(uint64_t first, uint64_t last) { return {PhysAddr(first), PhysAddr(last)}; }

TEST_CASE("ranges that touch or overlap are one, others stay apart, in order") {
  using Ranges = std::vector<PhysRange>;
  CHECK(JoinRanges({}).empty());
  CHECK(JoinRanges({Range(0x20, 0x2f), Range(0, 0xf)}) == Ranges{Range(0, 0xf), Range(0x20, 0x2f)});
  // The last byte before, the next one, one between.
  CHECK(JoinRanges({Range(0, 0x10), Range(0x10, 0x1f)}) == Ranges{Range(0, 0x1f)});
  CHECK(JoinRanges({Range(0, 0xf), Range(0x10, 0x1f)}) == Ranges{Range(0, 0x1f)});
  CHECK(JoinRanges({Range(0, 0xe), Range(0x10, 0x1f)}).size() == 2);
  // One inside another does not shorten it.
  CHECK(JoinRanges({Range(0, 0xff), Range(0x10, 0x1f)}) == Ranges{Range(0, 0xff)});
  CHECK(JoinRanges({Range(0x10, UINT64_MAX), Range(0x20, 0x2f)}) ==
        Ranges{Range(0x10, UINT64_MAX)});
}

}  // namespace
}  // namespace dmaudit
