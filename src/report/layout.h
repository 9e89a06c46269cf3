// SPDX-License-Identifier: GPL-2.0-or-later
// Text laid out for people: columns, wrapped lines, colour.
#ifndef DMAUDIT_REPORT_LAYOUT_H_
#define DMAUDIT_REPORT_LAYOUT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "report/output.h"

namespace dmaudit {

inline constexpr size_t kTextWidth = 100;

// Columns shown by a terminal: UTF-8 sequences count once.
size_t DisplayWidth(std::string_view text);

// Wraps at blanks to kTextWidth; the first line starts with `head`, the others with as many blanks.
// A word longer than a line is cut.
void WriteWrapped(std::string_view head, std::string_view text, Output& output);

// A table of at most kTextWidth columns: the widest cells are wrapped. Cells are escaped by the
// caller.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) : header_(std::move(header)) {}
  void AddRow(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // Each line indented by two blanks.
  void Write(Output& output) const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_LAYOUT_H_
