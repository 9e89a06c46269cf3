// SPDX-License-Identifier: GPL-2.0-or-later
// Dumps that come through a pipe: copied to a temporary file without a name, because a dump is read
// by position.
#ifndef DMAUDIT_VMCORE_IO_SPOOL_H_
#define DMAUDIT_VMCORE_IO_SPOOL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "vmcore/io/file_source.h"

namespace dmaudit {

struct SpoolOptions {
  // Empty: $TMPDIR, or /var/tmp, which is for what is large.
  std::string folder;
  // More than a filtered dump of a large machine; enough to notice before a disk is full.
  uint64_t limit = uint64_t{32} << 30;
};

// Whether a stream that starts so is wanted at all.
using CheckStart = std::function<Status(std::span<const std::byte> start)>;

// As many bytes of a stream are checked, fewer where it is shorter. No signature lies behind them.
inline constexpr size_t kCheckedStart = size_t{8} << 10;

// Opens `path`, "-" for standard input. Regular files and block devices are read where they are
// (standard input too, when it is at the start of one); what comes out of a pipe or a socket is
// spooled to its end first, unless `check` refuses its start: a stream can be endless, and what it
// fills is shared. The temporary file is unlinked before anything is written to it: it
// goes when the source goes, even with a signal. The error names `path`.
Result<std::unique_ptr<FileSource>> OpenOrSpool(const std::string& path,
                                                const SpoolOptions& options,
                                                const CheckStart& check);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_IO_SPOOL_H_
