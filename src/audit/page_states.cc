// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/page_states.h"

#include <numeric>

namespace dmaudit {

uint64_t PageStates::total() const {
  return std::accumulate(pages.begin(), pages.end(), uint64_t{0});
}

PageStates CountPageStates(const PhysicalMemory& memory) {
  PageStates states;
  states.page_size = memory.page_size();
  const uint64_t in_page = states.page_size - 1;
  const auto count = [&states](ByteState state, uint64_t pages) {
    states.pages[static_cast<size_t>(state)] += pages;
  };
  uint64_t next = 0;  // page number; those below are counted
  memory.VisitStates([&](PhysRange range, ByteState state) {
    uint64_t page = range.first.value() / states.page_size;
    uint64_t end = range.last.value() / states.page_size + 1;
    // A page of which this is only a part has the state that it has as a whole.
    const auto count_shared = [&](uint64_t shared) {
      if (shared < next) return;
      count(memory.PageStateHint(PhysAddr(shared * states.page_size)), 1);
      next = shared + 1;
    };
    if ((range.first.value() & in_page) != 0) count_shared(page++);
    const bool ends_inside = (range.last.value() & in_page) != in_page;
    if (ends_inside) --end;
    if (page < end) {
      count(state, end - page);
      next = end;
    }
    if (ends_inside) count_shared(end);
    return true;
  });
  return states;
}

}  // namespace dmaudit
