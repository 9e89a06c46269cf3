// SPDX-License-Identifier: GPL-2.0-or-later
// Who the kernel is: release, version, build id, command line, when and why it died.
#ifndef DMAUDIT_KERNEL_IDENTITY_H_
#define DMAUDIT_KERNEL_IDENTITY_H_

#include "kernel/kernel_view.h"
#include "kernel/machine.h"
#include "kernel/vmcoreinfo.h"
#include "vmcore/dump.h"

namespace dmaudit {

// Fills everything but the fields that say where symbols and tables came from. Nothing of it hides
// a finding, so what is missing is a note.
void ReadIdentity(const KernelView& kernel, const Vmcoreinfo& vmcoreinfo, const DumpInfo& info,
                  KernelIdentity& identity);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_IDENTITY_H_
