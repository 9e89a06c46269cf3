// SPDX-License-Identifier: GPL-2.0-or-later
// ELF vmcores: copies of /proc/vmcore, makedumpfile -E, QEMU dump-guest-memory.
#ifndef DMAUDIT_VMCORE_CONTAINER_ELF_H_
#define DMAUDIT_VMCORE_CONTAINER_ELF_H_

#include <memory>
#include <string>

#include "base/diagnostics.h"
#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// Reads headers and notes. `path` names the file in messages.
Result<Dump> OpenElf(std::shared_ptr<const ByteSource> source, const std::string& path,
                     DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_ELF_H_
