// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/identity.h"

#include <doctest/doctest.h>

namespace dmaudit {
namespace {

PhysRange Range(uint64_t first, uint64_t last) { return {PhysAddr(first), PhysAddr(last)}; }

TEST_CASE("RAM is taken in whole pages above 1 MiB, sorted and merged") {
  CHECK(WholeRamPages({Range(0x1000, 0x9fbff)}).empty());
  CHECK(WholeRamPages({Range(0xff000, 0x101fff)}) == std::vector{Range(0x100000, 0x101fff)});
  CHECK(WholeRamPages({Range(0x200001, 0x202ffe)}) == std::vector{Range(0x201000, 0x201fff)});
  CHECK(WholeRamPages({Range(0x300000, 0x300fff), Range(0x200000, 0x2fffff)}) ==
        std::vector{Range(0x200000, 0x300fff)});
  CHECK(WholeRamPages({Range(0x200000, 0x200ffe)}).empty());
  CHECK(WholeRamPages({Range(UINT64_MAX, UINT64_MAX)}).empty());
}

TEST_CASE("RAM is covered by every byte of it, writable and at its own address") {
  const std::vector<PhysRange> ram = {Range(0x200000, 0x2fffff), Range(0x400000, 0x400fff)};
  const LiveRange first{Iova(0x200000), 0x100000, PhysAddr(0x200000), {true, true}};
  const LiveRange second{Iova(0x400000), 0x1000, PhysAddr(0x400000), {true, true}};
  const auto whole = [&](const LiveRange& a, const LiveRange& b) {
    IdentityCover cover(ram);
    cover.Add(a);
    cover.Add(b);
    return cover.whole();
  };
  CHECK(whole(first, second));
  LiveRange short_range = first;
  short_range.size -= 0x1000;
  CHECK_FALSE(whole(short_range, second));
  LiveRange moved = second;
  moved.iova = Iova(0x401000);
  CHECK_FALSE(whole(first, moved));
  LiveRange read_only = second;
  read_only.permissions.write = false;
  CHECK_FALSE(whole(first, read_only));
}

TEST_CASE("without RAM known nothing is whole") {
  const std::vector<PhysRange> none;
  CHECK_FALSE(IdentityCover(none).whole());
}

}  // namespace
}  // namespace dmaudit
