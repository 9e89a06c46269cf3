// SPDX-License-Identifier: GPL-2.0-or-later
// Layouts of named structures out of DWARF, through libdw. Only for use in an isolated process.
#ifndef DMAUDIT_KERNEL_LIBDW_DWARF_LAYOUTS_H_
#define DMAUDIT_KERNEL_LIBDW_DWARF_LAYOUTS_H_

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kernel/debuginfo_table.h"
#include "kernel/libdw/elf_file.h"

namespace dmaudit {

// Adds composites and definitions of the wanted structures to `table`. The units that hold an
// address of `near` are looked at first, and then, for what is still missing, all others in order.
// What is not there is missing from the table. `supplement`: where a supplementary file of dwz is
// looked for first; empty for the usual places alone. Error: the file has no DWARF that libdw
// reads, or its supplementary file is not found (`table.supplement` then says which).
Status ReadLayouts(const ElfFile& file, std::span<const std::string_view> wanted,
                   std::span<const uint64_t> near, const std::string& supplement,
                   DebuginfoTable& table);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_LIBDW_DWARF_LAYOUTS_H_
