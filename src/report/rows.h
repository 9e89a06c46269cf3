// SPDX-License-Identifier: GPL-2.0-or-later
// Rows of `dmaudit mappings`, as text, NDJSON or CSV.
#ifndef DMAUDIT_REPORT_ROWS_H_
#define DMAUDIT_REPORT_ROWS_H_

#include <cstddef>
#include <memory>
#include <string_view>

#include "audit/mappings.h"
#include "report/output.h"

namespace dmaudit {

class RowWriter {
 public:
  virtual ~RowWriter() = default;
  // Once, before the first row.
  virtual void Header() {}
  virtual void Row(const MappingRow& row) = 0;
  // Once, after the last row, where `gaps` (not 0) things could hide rows. Rows for machines have
  // no place for that: the exit status says it (docs/mappings.md).
  virtual void Incomplete(size_t gaps) { (void)gaps; }
};

// `format` is "text", "ndjson" or "csv"; anything else gives nothing.
std::unique_ptr<RowWriter> MakeRowWriter(std::string_view format, Output& output);

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_ROWS_H_
