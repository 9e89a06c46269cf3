// SPDX-License-Identifier: GPL-2.0-or-later
// Split dumps: makedumpfile --split writes several files, each with all headers and bitmaps and the
// pages of one range of page frames.
#ifndef DMAUDIT_VMCORE_CONTAINER_KDUMP_SPLIT_H_
#define DMAUDIT_VMCORE_CONTAINER_KDUMP_SPLIT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "vmcore/container/kdump_header.h"
#include "vmcore/container/kdump_memory.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// A file of a kdump-compressed dump with its headers read.
struct KdumpFile {
  std::string path;
  std::shared_ptr<const ByteSource> source;
  KdumpHeader header;
  uint64_t doubtful_from = UINT64_MAX;  // of its KdumpPart
};

// Whether both are parts of one split dump, as far as their main headers tell.
bool SameSplitDump(const KdumpHeader& a, const KdumpHeader& b);

// Which file serves which page frames, ascending and disjoint. Frames that no file has, and frames
// that several have (nothing says which of them is right), are served by none and reported, by the
// names of the files; `stored` tells whether a page is lost with them. One whole dump is served as
// it is.
std::vector<KdumpPart> ArrangeKdumpParts(const std::vector<KdumpFile>& files,
                                         const PageBitmap& stored, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_KDUMP_SPLIT_H_
