// SPDX-License-Identifier: GPL-2.0-or-later
// LiME images, version 1 (AVML writes them too when told not to compress): ranges of memory, each
// behind a header.
#ifndef DMAUDIT_VMCORE_CONTAINER_LIME_H_
#define DMAUDIT_VMCORE_CONTAINER_LIME_H_

#include <memory>
#include <string>

#include "base/diagnostics.h"
#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// Reads the headers of the ranges. `path` names the file in messages.
//
// States: what lies between ranges is absent (no RAM, or AVML dropped it because it was zero: the
// file does not tell which). LiME pads the part of a page at the end of a range with zeros that it
// never read, and misplaces the bytes of a range that begins inside a page: both are excluded.
// Pages that the writer could not read are zeros in the file and cannot be told from data. Nothing
// but the next header shows that no byte of a range is missing: where there is something else, the
// range is corrupt.
Result<Dump> OpenLime(std::shared_ptr<const ByteSource> source, const std::string& path,
                      DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_LIME_H_
