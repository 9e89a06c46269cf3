// SPDX-License-Identifier: GPL-2.0-or-later
// AVML images, version 2: blocks of memory, each a header, a framed snappy stream and its size.
#ifndef DMAUDIT_VMCORE_CONTAINER_AVML_H_
#define DMAUDIT_VMCORE_CONTAINER_AVML_H_

#include <memory>
#include <string>

#include "base/diagnostics.h"
#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// Finds the blocks: from the end of the file, where each says how long it is, or chunk by chunk
// where that does not lead back to the start. `path` names the file in messages.
//
// States: what no block covers is absent. AVML drops blocks that are all zero (of up to 16 MiB),
// and the file does not tell them from what was never RAM: unknown, not zero.
Result<Dump> OpenAvml(std::shared_ptr<const ByteSource> source, const std::string& path,
                      DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_AVML_H_
