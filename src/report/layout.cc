// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/layout.h"

#include <algorithm>

namespace dmaudit {
namespace {

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The longest prefix of at most `width` columns that ends at a blank, or at the width when there is
// none.
std::string_view TakeLine(std::string_view text, size_t width) {
  size_t columns = 0;
  size_t blank = std::string_view::npos;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') blank = i;
    if (IsContinuation(text[i])) continue;
    if (columns == width) {
      return text.substr(0, blank == std::string_view::npos || blank == 0 ? i : blank);
    }
    ++columns;
  }
  return text;
}

void Pad(size_t columns, Output& output) {
  for (size_t i = 0; i < columns; ++i) output.Write(" ");
}

constexpr size_t kColumnGap = 2;
// A column is not made narrower than this: a device name still fits.
constexpr size_t kLeastColumn = 12;

// Takes from the widest column until the table fits.
void FitColumns(std::vector<size_t>& widths) {
  size_t total = 0;
  for (const size_t width : widths) total += kColumnGap + width;
  while (total > kTextWidth) {
    const auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kLeastColumn) return;
    --*widest;
    --total;
  }
}

// As many lines as the cell with the most needs.
void WriteRow(const std::vector<std::string>& row, const std::vector<size_t>& widths,
              Output& output) {
  std::vector<std::string_view> rest(row.begin(), row.end());
  do {
    size_t owed = 0;  // blanks are written only in front of something
    for (size_t i = 0; i < rest.size() && i < widths.size(); ++i) {
      owed += kColumnGap;
      const std::string_view part = TakeLine(rest[i], widths[i]);
      if (!part.empty()) {
        Pad(owed, output);
        output.Write(part);
        owed = 0;
      }
      owed += widths[i] - DisplayWidth(part);
      rest[i].remove_prefix(part.size());
      while (rest[i].starts_with(' ')) rest[i].remove_prefix(1);
    }
    output.Write("\n");
  } while (std::ranges::any_of(rest, [](std::string_view cell) { return !cell.empty(); }));
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
}

void WriteWrapped(std::string_view head, std::string_view text, Output& output) {
  const size_t indent = DisplayWidth(head);
  const size_t width = indent + 20 < kTextWidth ? kTextWidth - indent : 20;
  output.Write(head);
  bool first = true;
  while (first || !text.empty()) {
    if (!first) Pad(indent, output);
    first = false;
    const std::string_view line = TakeLine(text, width);
    output.Write(line);
    output.Write("\n");
    text.remove_prefix(line.size());
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
}

void TextTable::Write(Output& output) const {
  std::vector<size_t> widths;
  for (const std::string& cell : header_) widths.push_back(DisplayWidth(cell));
  for (const std::vector<std::string>& row : rows_) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  FitColumns(widths);
  WriteRow(header_, widths, output);
  for (const std::vector<std::string>& row : rows_) WriteRow(row, widths, output);
}

}  // namespace dmaudit
