// SPDX-License-Identifier: GPL-2.0-or-later
// Dumps in makedumpfile's and QEMU's kdump-compressed format.
#ifndef DMAUDIT_VMCORE_CONTAINER_KDUMP_H_
#define DMAUDIT_VMCORE_CONTAINER_KDUMP_H_

#include <memory>
#include <string>

#include "base/diagnostics.h"
#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// Reads headers, notes and bitmaps. `path` names the file in messages.
Result<Dump> OpenKdump(std::shared_ptr<const ByteSource> source, const std::string& path,
                       DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_KDUMP_H_
