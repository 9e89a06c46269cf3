// SPDX-License-Identifier: GPL-2.0-or-later
// Kernel virtual memory of an x86-64 dump: the kernel's own page tables, walked in physical memory.
#ifndef DMAUDIT_KERNEL_ADDRESS_SPACE_H_
#define DMAUDIT_KERNEL_ADDRESS_SPACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/address.h"
#include "base/diagnostics.h"
#include "base/result.h"
#include "kernel/kernel_reader.h"
#include "kernel/vmcoreinfo.h"
#include "vmcore/dump.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

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

// The page tables of the kernel that wrote VMCOREINFO.
struct KernelTables {
  PageTableRoot root;
  uint64_t phys_base = 0;  // physical minus link address of the kernel image, modulo 2^64
  std::string how;         // "init_top_pgt, phys_base from VMCOREINFO"
  // CPU notes of the dump show another kernel running than the one VMCOREINFO describes.
  bool other_kernel_runs = false;
};

// Locates the tables and proves them: the address of the top-level table, translated through
// itself, must give its own physical address. The error says what is missing or does not fit.
Result<KernelTables> LocateKernelTables(const Vmcoreinfo& vmcoreinfo, const Dump& dump,
                                        MemorySession& session, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_ADDRESS_SPACE_H_
