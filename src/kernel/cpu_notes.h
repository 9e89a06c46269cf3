// SPDX-License-Identifier: GPL-2.0-or-later
// Control registers of the CPUs, from the notes that QEMU adds to its dumps.
#ifndef DMAUDIT_KERNEL_CPU_NOTES_H_
#define DMAUDIT_KERNEL_CPU_NOTES_H_

#include <cstdint>
#include <span>
#include <vector>

#include "vmcore/dump.h"

namespace dmaudit {

struct CpuRegisters {
  uint64_t cr0 = 0;
  uint64_t cr3 = 0;
  uint64_t cr4 = 0;

  bool paging() const { return (cr0 >> 31 & 1) != 0; }
  bool five_levels() const { return (cr4 >> 12 & 1) != 0; }
};

// One entry per note of name "QEMU" that holds version 1 of QEMU's x86 CPU state; others are passed
// over. At most kMaxCpuNotes: CPUs beyond add nothing to what is asked of them.
inline constexpr size_t kMaxCpuNotes = 64;
std::vector<CpuRegisters> ReadCpuNotes(std::span<const DumpNote> notes);

// The notes that say which kernel is which: VMCOREINFO as it is, QEMU's CPU states with everything
// but the control registers overwritten by 'X'. General registers and device dumps can hold
// anybody's data.
std::vector<DumpNote> NotesOfKernel(std::span<const DumpNote> notes);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_CPU_NOTES_H_
