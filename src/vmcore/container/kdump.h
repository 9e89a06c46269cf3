// SPDX-License-Identifier: GPL-2.0-or-later
// Dumps in makedumpfile's and QEMU's kdump-compressed format, and in diskdump's, its ancestor.
#ifndef DMAUDIT_VMCORE_CONTAINER_KDUMP_H_
#define DMAUDIT_VMCORE_CONTAINER_KDUMP_H_

#include <memory>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "base/result.h"
#include "vmcore/container/kdump_split.h"
#include "vmcore/dump.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// Reads headers, notes and bitmaps. `path` names the file in messages. Of a part of a split dump
// the pages of the other parts are lost.
Result<Dump> OpenKdump(std::shared_ptr<const ByteSource> source, const std::string& path,
                       DiagnosticSink& sink);

// The same for files whose headers are read: one, or several parts of one dump (SameSplitDump).
Result<Dump> OpenKdumpFiles(std::vector<KdumpFile> files, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_KDUMP_H_
