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
  uint64_t not_counted = 0;  // beyond the limit
  uint64_t total() const;
};

// Counts the pages of everything the dump describes as RAM, from its page directories alone: a page
// counted as data may still turn out undecodable when it is read. At most `limit` pages are looked
// at (the default is 256 GiB of 4 KiB pages, about half a second): one field of a header can claim
// any amount of memory.
PageStates CountPageStates(const PhysicalMemory& memory, uint64_t limit = uint64_t{1} << 26);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_PAGE_STATES_H_
