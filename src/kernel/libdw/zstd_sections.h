// SPDX-License-Identifier: GPL-2.0-or-later
// Debug sections compressed with zstd (CONFIG_DEBUG_INFO_COMPRESSED_ZSTD, Linux 6.3), which libelf
// reads itself only as of elfutils 0.189. Only for use in an isolated process.
#ifndef DMAUDIT_KERNEL_LIBDW_ZSTD_SECTIONS_H_
#define DMAUDIT_KERNEL_LIBDW_ZSTD_SECTIONS_H_

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "kernel/libdw/elf_file.h"

namespace dmaudit {

// What sections were decompressed to. Outlives the use of the file's contents.
using InflatedSections = std::vector<std::vector<std::byte>>;

// Puts the contents of the debug sections of `file` that are compressed with zstd in their places.
// The error names the first section that is damaged, or compressed in a way nobody here knows.
Status InflateZstdSections(const ElfFile& file, InflatedSections& storage);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_LIBDW_ZSTD_SECTIONS_H_
