// SPDX-License-Identifier: GPL-2.0-or-later
// The CPU state that QEMU adds to its dumps, as far as control registers go.
#ifndef DMAUDIT_TESTS_SUPPORT_CPU_NOTE_H_
#define DMAUDIT_TESTS_SUPPORT_CPU_NOTE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "vmcore/dump.h"

namespace dmaudit::test {

// A CPU with paging on, four levels, and this CR3.
inline DumpNote CpuNote(uint64_t cr3) {
  DumpNote note{"QEMU", 0, std::vector<std::byte>(440)};
  StoreUnchecked<uint32_t>(note.descriptor, 0, 1);
  StoreUnchecked<uint64_t>(note.descriptor, 392, 0x80050033);
  StoreUnchecked<uint64_t>(note.descriptor, 416, cr3);
  return note;
}

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_CPU_NOTE_H_
