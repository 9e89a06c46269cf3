// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/table_page.h"

#include <algorithm>

namespace dmaudit {

bool TablePage::unknown() const {
  if (whole_) return false;
  for (const PageExtent& extent : page_->extents) {
    const uint32_t end = extent.offset + extent.size;
    if (end > start_ && extent.offset < start_ + kSize && IsReadable(extent.state)) return false;
  }
  return true;
}

void TablePage::ReportUnknown(DiagnosticSink& sink, std::string_view name, uint32_t offset,
                              uint32_t size) const {
  const uint32_t from = start_ + offset;
  const uint32_t to = from + size;
  for (const PageExtent& extent : page_->extents) {
    const uint32_t first = std::max(extent.offset, from);
    const uint32_t end = std::min(extent.offset + extent.size, to);
    if (first >= end || IsReadable(extent.state)) continue;
    const bool all = first == from && end == to;
    const std::string where =
        all ? std::string() : fmt::format("bytes {:#x}..{:#x}: ", first - start_, end - start_ - 1);
    if (extent.state == ByteState::kAbsent) {
      sink.Incomplete("walk.wild-pointer",
                      "{}: {}lies outside the memory that the dump describes: what it maps is "
                      "unknown",
                      name, where);
    } else {
      sink.Incomplete("walk.unreadable", "{}: {}unreadable: {}: what it maps is unknown", name,
                      where, ToString(extent.state));
    }
  }
}

}  // namespace dmaudit
