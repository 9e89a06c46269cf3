// SPDX-License-Identifier: GPL-2.0-or-later
// How many pages of a dump are in which state.
#ifndef DMAUDIT_AUDIT_PAGE_STATES_H_
#define DMAUDIT_AUDIT_PAGE_STATES_H_

#include <array>
#include <cstdint>

#include "base/address.h"
#include "vmcore/memory/byte_state.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

struct PageStates {
  std::array<uint64_t, kByteStateCount> pages{};  // by ByteState
  uint64_t in_part = 0;  // of those that are not readable, how many hold readable bytes too
  uint64_t page_size = 0;
  uint64_t total() const;
};

// Counts pages by ranges that come ascending and disjoint, as PhysicalMemory::VisitStates gives
// them. A page that several share is one page, in the first state in it that is not readable; bytes
// of it that are in no range are absent.
class PageStateCounter {
 public:
  explicit PageStateCounter(uint64_t page_size);

  void Add(PhysRange range, ByteState state);
  PageStates Finish();

 private:
  // The page that the last range ended in.
  struct Shared {
    uint64_t page = 0;
    uint64_t end = 0;  // offset in the page that ranges got to; 0 when there is no page
    ByteState state = ByteState::kAbsent;
    bool any_known = false;
  };

  void AddPart(uint64_t page, uint64_t begin, uint64_t end, ByteState state);
  void Settle();

  PageStates states_;
  Shared shared_;
};

// Counts the pages of everything the dump describes as RAM, from its page directories alone: a page
// counted as data may still turn out undecodable when it is read. Cost is proportional to the
// number of ranges, not to their size: one field of a header can claim any amount of memory.
PageStates CountPageStates(const PhysicalMemory& memory);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_PAGE_STATES_H_
