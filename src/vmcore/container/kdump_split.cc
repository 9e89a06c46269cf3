// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/kdump_split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace dmaudit {
namespace {

void ReportUnserved(const std::vector<const KdumpFile*>& claims, const KdumpFile& any,
                    uint64_t first, uint64_t last, uint64_t pages, DiagnosticSink& sink) {
  // Without a stored page nothing is lost: a small dump that is split leaves parts without pages.
  const Effect effect = pages != 0 ? Effect::kIncomplete : Effect::kNote;
  if (claims.empty()) {
    sink.Report("kdump.part-missing", effect,
                fmt::format("{}: the part of this split dump with page frames {:#x}-{:#x} is "
                            "missing: {} pages are lost",
                            any.path, first, last, pages));
    return;
  }
  sink.Report("kdump.part-doubled", effect,
              fmt::format("{}: page frames {:#x}-{:#x} of this split dump are also in {}: {} pages "
                          "are not used",
                          claims[0]->path, first, last, claims[1]->path, pages));
}

}  // namespace

bool SameSplitDump(const KdumpHeader& a, const KdumpHeader& b) {
  return a.split && b.split && a.max_mapnr == b.max_mapnr && a.layout == b.layout &&
         a.identity == b.identity;
}

std::vector<KdumpPart> ArrangeKdumpParts(const std::vector<KdumpFile>& files,
                                         const PageBitmap& stored, DiagnosticSink& sink) {
  // Between two neighbouring borders every frame is in the same files.
  std::vector<uint64_t> borders = {0, files[0].header.max_mapnr};
  for (const KdumpFile& file : files) {
    borders.push_back(file.header.start_frame);
    borders.push_back(file.header.end_frame);
  }
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());

  std::vector<KdumpPart> parts;
  for (size_t i = 0; i + 1 < borders.size(); ++i) {
    const uint64_t first = borders[i];
    const uint64_t end = borders[i + 1];
    std::vector<const KdumpFile*> claims;
    for (const KdumpFile& file : files) {
      if (file.header.start_frame <= first && end <= file.header.end_frame) {
        claims.push_back(&file);
      }
    }
    if (claims.size() != 1) {
      const uint64_t pages = stored.Rank(end) - stored.Rank(first);
      ReportUnserved(claims, files[0], first, end - 1, pages, sink);
      continue;
    }
    const KdumpFile& file = *claims[0];
    parts.push_back({.source = file.source,
                     .descriptors = file.header.descriptors,
                     .start = file.header.start_frame,
                     .limit = file.header.end_frame,
                     .first = first,
                     .end = end,
                     .doubtful_from = file.doubtful_from});
  }
  return parts;
}

}  // namespace dmaudit
