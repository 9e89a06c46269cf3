// SPDX-License-Identifier: GPL-2.0-or-later
// A whole dump written again: every page with the bytes or the state it has in the original.
#ifndef DMAUDIT_VMCORE_WRITE_CONVERT_H_
#define DMAUDIT_VMCORE_WRITE_CONVERT_H_

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/write/elf_writer.h"
#include "vmcore/write/kdump_writer.h"

namespace dmaudit {

struct ConvertSummary {
  KdumpSummary pages;
  // Pages known in part: kdump holds whole pages only, so they became unknown as a whole.
  uint64_t partial_pages = 0;
};

// Writes `dump` to `path`, which appears complete or not at all. RAM stays RAM; pages excluded,
// lost, truncated or corrupt in the original are that in the result, never bytes; redacted words
// stay redacted by the note that comes along. `header` gives what the dump's notes do not: its
// block_size, notes, domainname, incomplete and dump_level are set here. The memory it takes does
// not grow with the dump.
Result<ConvertSummary> ConvertToKdump(const Dump& dump, KdumpDescription header,
                                      const KdumpOptions& options, const std::string& path);

struct ElfOptions {
  unsigned threads = 1;
  // Called now and then with the bytes done and all there are; false ends the writing (kIo).
  std::function<bool(uint64_t done, uint64_t total)> progress = nullptr;
};

// Writes `dump` to `path`, which appears complete or not at all: byte for byte where its segments
// end inside a page. What is excluded, lost, truncated or corrupt is in no segment, and a note says
// what it is. Pages of zeros are holes in the file. The notes of `description` are set here. The
// memory it takes does not grow with the dump.
Result<ElfSummary> ConvertToElf(const Dump& dump, ElfDescription description,
                                const ElfOptions& options, const std::string& path);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_CONVERT_H_
