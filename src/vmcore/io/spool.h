// SPDX-License-Identifier: GPL-2.0-or-later
// Dumps that come through a pipe: copied to a temporary file without a name, because a dump is read
// by position.
#ifndef DMAUDIT_VMCORE_IO_SPOOL_H_
#define DMAUDIT_VMCORE_IO_SPOOL_H_

#include <cstdint>
#include <memory>
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

// Opens `path`, "-" for standard input. Regular files and block devices are read where they are
// (standard input too, when it is at the start of one); what comes out of a pipe or a socket is
// spooled to its end first. The temporary file is unlinked before anything is written to it: it
// goes when the source goes, even with a signal. The error names `path`.
Result<std::unique_ptr<FileSource>> OpenOrSpool(const std::string& path,
                                                const SpoolOptions& options);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_IO_SPOOL_H_
