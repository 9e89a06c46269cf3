// SPDX-License-Identifier: GPL-2.0-or-later
// Rows of `dmaudit pages`, as text or NDJSON.
#ifndef DMAUDIT_REPORT_PAGE_ROWS_H_
#define DMAUDIT_REPORT_PAGE_ROWS_H_

#include <memory>
#include <string_view>

#include "base/address.h"
#include "report/output.h"
#include "vmcore/memory/page_digest.h"

namespace dmaudit {

// Either ranges or pages, never both in one output.
class PageRowWriter {
 public:
  virtual ~PageRowWriter() = default;
  virtual void Range(PhysRange range, ByteState state) = 0;
  virtual void Page(const PageDigest& digest) = 0;
};

// `format` is "text" or "ndjson"; anything else gives nothing.
std::unique_ptr<PageRowWriter> MakePageRowWriter(std::string_view format, Output& output);

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_PAGE_ROWS_H_
