// SPDX-License-Identifier: GPL-2.0-or-later
// How many pages of a dump are in which state.
#ifndef DMAUDIT_AUDIT_PAGE_STATES_H_
#define DMAUDIT_AUDIT_PAGE_STATES_H_

#include <array>
#include <cstdint>

#include "vmcore/memory/byte_state.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

struct PageStates {
  std::array<uint64_t, kByteStateCount> pages{};  // by ByteState
  uint64_t page_size = 0;
  uint64_t total() const;
};

// Counts the pages of everything the dump describes as RAM, from its page directories alone: a page
// counted as data may still turn out undecodable when it is read. Cost is proportional to the
// number of ranges, not to their size: one field of a header can claim any amount of memory.
PageStates CountPageStates(const PhysicalMemory& memory);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_PAGE_STATES_H_
