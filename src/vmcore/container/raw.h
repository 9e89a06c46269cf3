// SPDX-License-Identifier: GPL-2.0-or-later
// Raw memory images: the bytes of memory one after the other, and nothing that says so. Never
// guessed, only opened when asked for.
#ifndef DMAUDIT_VMCORE_CONTAINER_RAW_H_
#define DMAUDIT_VMCORE_CONTAINER_RAW_H_

#include <memory>
#include <string>

#include "base/address.h"
#include "base/diagnostics.h"
#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// Takes the file as memory from `base` on; everything before and behind is absent. Says with
// kIncomplete that such an image cannot tell zeros of memory from padding where nothing was read.
Result<Dump> OpenRaw(std::shared_ptr<const ByteSource> source, const std::string& path,
                     PhysAddr base, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_RAW_H_
