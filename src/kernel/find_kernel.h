// SPDX-License-Identifier: GPL-2.0-or-later
// Which kernels are in a dump, and which of them is audited. A dump of a running or hung capture
// kernel holds two: the crashed one and the one that was started to save it.
#ifndef DMAUDIT_KERNEL_FIND_KERNEL_H_
#define DMAUDIT_KERNEL_FIND_KERNEL_H_

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/diagnostics.h"
#include "base/result.h"
#include "kernel/discovery_options.h"
#include "kernel/kernel_tables.h"
#include "kernel/vmcoreinfo.h"
#include "vmcore/dump.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// A kernel whose page tables are proved.
struct FoundKernel {
  Vmcoreinfo vmcoreinfo;
  KernelTables tables;
  std::optional<PhysAddr> text;  // of VMCOREINFO in memory; nullopt: it is a note of the dump
  bool crashed = false;          // a copy of its VMCOREINFO has CRASHTIME
};

struct KernelChoice {
  FoundKernel kernel;
  // Others that were found; empty as well when nobody looked (a note was enough).
  std::vector<FoundKernel> others;
};

// "6.1.0-48-amd64, VMCOREINFO in memory at 0x2f5a000, page table at 0x30a10000, crashed, runs on
// CPU 0"
std::string Describe(const FoundKernel& kernel);

// Without a wish (`which` empty): the kernel of the VMCOREINFO note. Without a note, or when the
// note does not fit the dump, memory is searched for the text: the only kernel found; of several
// the only one with CRASHTIME; or else the only one that a CPU runs. `crashed` is the same and
// insists on CRASHTIME when there are several. `capture` is the one that has not crashed while
// another one has, or that is not the one of the note; of several the one that a CPU runs.
// An address is that of a VMCOREINFO text in memory. When that does not decide, the error names
// every kernel found with the address to ask for it. kUnsupported when the dump is of another
// machine than x86-64.
Result<KernelChoice> FindKernel(const Dump& dump, MemorySession& session,
                                const std::optional<WhichKernel>& which, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_FIND_KERNEL_H_
