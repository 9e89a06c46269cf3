// SPDX-License-Identifier: GPL-2.0-or-later
// A whole dump written again as a kdump-compressed file: every page with the bytes or the state it
// has in the original.
#ifndef DMAUDIT_VMCORE_WRITE_CONVERT_H_
#define DMAUDIT_VMCORE_WRITE_CONVERT_H_

#include <cstdint>
#include <string>

#include "base/result.h"
#include "vmcore/dump.h"
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
// block_size, notes, domainname and incomplete are set here. The memory it takes does not grow
// with the dump.
Result<ConvertSummary> ConvertToKdump(const Dump& dump, KdumpDescription header,
                                      const KdumpOptions& options, const std::string& path);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_CONVERT_H_
