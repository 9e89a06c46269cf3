// SPDX-License-Identifier: GPL-2.0-or-later
// Kernel virtual memory of an x86-64 dump: the kernel's own page tables, walked in physical memory.
#ifndef DMAUDIT_KERNEL_ADDRESS_SPACE_H_
#define DMAUDIT_KERNEL_ADDRESS_SPACE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/result.h"
#include "kernel/kernel_reader.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// Bits 51:12 of a CR3 or of a page table entry.
inline constexpr uint64_t kTableAddressBits = 0x000f'ffff'ffff'f000;

// A top-level page table and how to read it.
struct PageTableRoot {
  PhysAddr table;
  unsigned levels = 4;           // 4 or 5
  uint64_t encryption_mask = 0;  // AMD memory encryption: address bits that are not address
};

// KernelReader through one set of page tables. Reads and table entries are recorded by the session
// as it is set at the time; a translation found while searching is walked again for evidence.
class KernelAddressSpace : public KernelReader {
 public:
  // `session` outlives this object.
  KernelAddressSpace(MemorySession& session, PageTableRoot root) : session_(session), root_(root) {}

  Status Read(KernelVa address, std::span<std::byte> out) override;
  Result<PhysAddr> Translate(KernelVa address) override;
  MappedStretch StretchAt(KernelVa address) override;
  bool ReadKnown(KernelVa address, std::span<std::byte> out, std::byte filler) override;

  const PageTableRoot& root() const { return root_; }

 private:
  // One leaf of the tables.
  struct Mapping {
    uint64_t first = 1;  // virtual address of its first byte; 1 (unaligned) marks a free slot
    uint64_t size = 0;
    uint64_t physical = 0;
    bool recorded = false;
  };
  Result<Mapping> Find(KernelVa address);
  Result<Mapping> Walk(KernelVa address);

  // Enough for the text mapping, a few stretches of the direct map and the last objects looked at.
  static constexpr size_t kCachedMappings = 16;

  MemorySession& session_;
  PageTableRoot root_;
  std::array<Mapping, kCachedMappings> cache_{};
  size_t next_slot_ = 0;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_ADDRESS_SPACE_H_
