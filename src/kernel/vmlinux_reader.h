// SPDX-License-Identifier: GPL-2.0-or-later
// Symbols and layouts out of a vmlinux, a debug file of one, or both.
#ifndef DMAUDIT_KERNEL_VMLINUX_READER_H_
#define DMAUDIT_KERNEL_VMLINUX_READER_H_

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kernel/debuginfo_table.h"
#include "kernel/isolated.h"

namespace dmaudit {

// "libdw 0.188", or "none" in a build without it.
std::string DebuginfoSupport();

// Looks the wanted names up in the symbol table and the DWARF (versions 2 to 5) of an ELF file.
// Where the file has no DWARF, its separate debug file is looked for, by build id and
// .gnu_debuglink; a supplementary file of dwz by .gnu_debugaltlink, or it is `supplement` where
// that is not empty. Compressed sections are read as far as libdw does. Of the compilation units
// only those are gone into that define what is wanted: first the ones of the kernel's own VT-d
// code, then the rest until everything is found.
//
// The file is parsed in a process of its own: a crafted one that crashes or hangs it, or makes it
// grow, is an error like any other. A table without symbols, or without types, says why. Error:
// no ELF file of x86-64, or nothing could be read of it; kUnsupported in a build without libdw.
Result<DebuginfoTable> ReadVmlinux(const std::string& path,
                                   std::span<const std::string_view> symbols,
                                   std::span<const std::string_view> structures,
                                   const std::string& supplement = {},
                                   const IsolationLimits& limits = {});

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_VMLINUX_READER_H_
