// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/json_writer.h"

#include <fmt/format.h>

#include "base/text.h"

namespace dmaudit {

void JsonWriter::NewLine() {
  if (style_ == Style::kCompact) return;
  output_.Write("\n");
  for (size_t i = 0; i < has_items_.size(); ++i) output_.Write("  ");
}

void JsonWriter::BeforeValue() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (has_items_.empty()) return;
  if (has_items_.back()) output_.Write(style_ == Style::kCompact ? ", " : ",");
  has_items_.back() = true;
  NewLine();
}

JsonWriter& JsonWriter::BeginObject() {
  BeforeValue();
  output_.Write("{");
  has_items_.push_back(false);
  return *this;
}

JsonWriter& JsonWriter::BeginArray() {
  BeforeValue();
  output_.Write("[");
  has_items_.push_back(false);
  return *this;
}

void JsonWriter::Close(char bracket) {
  const bool had_items = has_items_.back();
  has_items_.pop_back();
  if (had_items) NewLine();
  output_.Write(std::string_view(&bracket, 1));
}

JsonWriter& JsonWriter::EndObject() {
  Close('}');
  return *this;
}

JsonWriter& JsonWriter::EndArray() {
  Close(']');
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  String(key);
  output_.Write(": ");
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view value) {
  BeforeValue();
  output_.Write("\"");
  // Control characters and malformed bytes become the text \xNN first; what is left needs only two
  // escapes.
  const std::string safe = EscapeForTerminal(value);
  size_t start = 0;
  for (size_t i = 0; i < safe.size(); ++i) {
    if (safe[i] != '"' && safe[i] != '\\') continue;
    output_.Write(std::string_view(safe).substr(start, i - start));
    output_.Write("\\");
    start = i;
  }
  output_.Write(std::string_view(safe).substr(start));
  output_.Write("\"");
  return *this;
}

JsonWriter& JsonWriter::Number(uint64_t value) {
  BeforeValue();
  output_.Write(fmt::format_int(value).c_str());
  return *this;
}

JsonWriter& JsonWriter::Bool(bool value) {
  BeforeValue();
  output_.Write(value ? "true" : "false");
  return *this;
}

JsonWriter& JsonWriter::Null() {
  BeforeValue();
  output_.Write("null");
  return *this;
}

JsonWriter& JsonWriter::Hex(uint64_t value) {
  BeforeValue();
  output_.Write(fmt::format("\"{:#x}\"", value));
  return *this;
}

}  // namespace dmaudit
