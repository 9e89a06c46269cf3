// SPDX-License-Identifier: GPL-2.0-or-later
// The page tables of the kernel that wrote a VMCOREINFO text, found and proved.
#ifndef DMAUDIT_KERNEL_KERNEL_TABLES_H_
#define DMAUDIT_KERNEL_KERNEL_TABLES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernel/address_space.h"
#include "kernel/vmcoreinfo.h"
#include "vmcore/dump.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// What VMCOREINFO calls the top-level page table; init_level4_pgt before 4.13.
inline constexpr std::array<std::string_view, 3> kTopTableNames = {"init_top_pgt", "swapper_pg_dir",
                                                                   "init_level4_pgt"};

struct KernelTables {
  PageTableRoot root;
  uint64_t phys_base = 0;  // physical minus link address of the kernel image, modulo 2^64
  std::string how;         // "init_top_pgt, phys_base from VMCOREINFO"
  // CPUs, by the order of their notes, whose page tables are this kernel's, and those whose page
  // tables are another one's. Neither: the dump does not tell.
  std::vector<size_t> cpus_of_this;
  std::vector<size_t> cpus_of_other;

  bool other_kernel_runs() const { return !cpus_of_other.empty(); }
};

// Physical places that are tried for a kernel image of which nothing says where it lies: 128 GiB in
// steps of 2 MiB.
inline constexpr uint64_t kMaxImagePlaces = 65536;

// Locates the tables and proves them: the address of the top-level table, translated through
// itself, must give its own physical address. Where the image lies comes from NUMBER(phys_base)
// (4.10 and later), the program header of the image, or the page tables that a CPU note names; when
// VMCOREINFO has no such number and those do not tell either, from trying RAM, and then only one
// place may fit. SYMBOL(phys_base), the address of a variable, is checked where it is given. The
// error says what is missing or does not fit.
Result<KernelTables> LocateKernelTables(const Vmcoreinfo& vmcoreinfo, const Dump& dump,
                                        MemorySession& session);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_KERNEL_TABLES_H_
