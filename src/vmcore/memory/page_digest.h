// SPDX-License-Identifier: GPL-2.0-or-later
// State and checksum of every page of a dump: what two containers of one machine are compared by.
#ifndef DMAUDIT_VMCORE_MEMORY_PAGE_DIGEST_H_
#define DMAUDIT_VMCORE_MEMORY_PAGE_DIGEST_H_

#include <cstdint>
#include <functional>

#include "vmcore/memory/byte_state.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

struct PageDigest {
  uint64_t frame = 0;  // address / page size
  // The one state of the page; of a page with several, that of its first unknown byte (kData when
  // all are known).
  ByteState state = ByteState::kAbsent;
  uint32_t known = 0;  // bytes of the page whose value is known
  uint32_t crc32 = 0;  // of the page; meaningful when all of it is known

  bool readable() const { return IsReadable(state); }
};

struct DigestSummary {
  uint64_t pages = 0;      // visited
  uint64_t not_whole = 0;  // announced as data by the page directory, and not so when decoded
  uint64_t left_out = 0;   // unknown pages beyond `max_unknown`
};

// Decodes every page that the dump describes once, on `threads` threads, and calls `visit` in
// ascending order on the caller's thread until it gives false. Pages that the page directory says
// are unknown cost nothing but the call; a header can claim any number of them, so no more than
// `max_unknown` are visited.
DigestSummary VisitPageDigests(const PhysicalMemory& memory, unsigned threads, uint64_t max_unknown,
                               const std::function<bool(const PageDigest&)>& visit);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_MEMORY_PAGE_DIGEST_H_
