// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/page_states.h"

#include <doctest/doctest.h>

#include "support/fake_memory.h"

namespace dmaudit {
namespace {

TEST_CASE("pages are counted by state up to a limit, and the rest in one step") {
  test::FakeMemory memory;
  memory.AddZeroPage(PhysAddr(0x1000));
  memory.AddZeroPage(PhysAddr(0x2000));
  memory.AddRam({PhysAddr(0x1000), PhysAddr(0x2fff)});
  memory.AddRam({PhysAddr(0x3000), PhysAddr((uint64_t{1} << 52) - 1)});
  const uint64_t all = (uint64_t{1} << 40) - 1;
  for (const uint64_t limit : {uint64_t{1}, uint64_t{2}, uint64_t{3}}) {
    const PageStates states = CountPageStates(memory, limit);
    CHECK(states.total() == limit);
    CHECK(states.pages[static_cast<size_t>(ByteState::kData)] == std::min<uint64_t>(limit, 2));
    CHECK(states.not_counted == all - limit);
  }
}

}  // namespace
}  // namespace dmaudit
