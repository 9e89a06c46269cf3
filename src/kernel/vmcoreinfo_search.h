// SPDX-License-Identifier: GPL-2.0-or-later
// VMCOREINFO texts in memory, for dumps that have no note of it, and for the second kernel of those
// that hold two. Every kernel keeps its text in a page of its own and a copy in the note it
// prepares for a crash (kernel/crash_core.c, vmcoreinfo_data and vmcoreinfo_note; static arrays
// before 4.13), and a crash adds CRASHTIME to both.
#ifndef DMAUDIT_KERNEL_VMCOREINFO_SEARCH_H_
#define DMAUDIT_KERNEL_VMCOREINFO_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "kernel/vmcoreinfo.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

struct FoundVmcoreinfo {
  PhysAddr at;    // first byte of the text
  PhysAddr last;  // its NUL
  Vmcoreinfo vmcoreinfo;
};

struct VmcoreinfoSearchResult {
  std::vector<FoundVmcoreinfo> texts;  // by address
  uint64_t bytes_searched = 0;
  // Not all of memory was searched: more pages than the file can honestly hold, or more texts than
  // kMaxVmcoreinfoTexts.
  bool cut_off = false;
};

// Texts that are looked at closely: a kernel leaves three or four, other memory hardly any.
inline constexpr size_t kMaxVmcoreinfoTexts = 64;

// A text is what starts with OSRELEASE=, ends with a NUL within the page that the kernel allots to
// it, and names at least the kernel's page table and the start of its text. Only pages that the
// dump stores are read, and of those no more than `max_bytes`. Reads as search; the pages of what
// is found are read again as evidence.
VmcoreinfoSearchResult SearchVmcoreinfo(MemorySession& session, uint64_t max_bytes);

// The text at one address; the error says what is not right with it.
Result<FoundVmcoreinfo> ReadVmcoreinfo(MemorySession& session, PhysAddr at);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_VMCOREINFO_SEARCH_H_
