// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/page_states.h"

#include <numeric>

namespace dmaudit {

uint64_t PageStates::total() const {
  return std::accumulate(pages.begin(), pages.end(), uint64_t{0});
}

PageStates CountPageStates(const PhysicalMemory& memory, uint64_t limit) {
  PageStates states;
  states.page_size = memory.page_size();
  // Ranges that meet inside a page must not count it twice.
  uint64_t next = 0;
  memory.VisitRam([&](PhysRange range) {
    uint64_t page = range.first.AlignDown(states.page_size).value();
    if (page < next) page = next;
    const uint64_t last = range.last.AlignDown(states.page_size).value();
    for (; page <= last; page += states.page_size) {
      if (limit == 0) {
        states.not_counted += (last - page) / states.page_size + 1;
        next = last + states.page_size;
        return next != 0;
      }
      --limit;
      ++states.pages[static_cast<size_t>(memory.PageStateHint(PhysAddr(page)))];
      next = page + states.page_size;
      if (next == 0) return false;
    }
    return true;
  });
  return states;
}

}  // namespace dmaudit
