// SPDX-License-Identifier: GPL-2.0-or-later
// A streaming JSON writer: output can be millions of rows, so nothing is built up in memory.
#ifndef DMAUDIT_REPORT_JSON_WRITER_H_
#define DMAUDIT_REPORT_JSON_WRITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/output.h"

namespace dmaudit {

// Writes one JSON value. Calls follow the document's structure; commas, quotes, escapes and
// indentation are its own. Strings of a dump may hold anything: what is not well-formed UTF-8 comes
// out as the text "\xNN".
class JsonWriter {
 public:
  enum class Style : uint8_t { kIndented, kCompact };

  JsonWriter(Output& output, Style style) : output_(output), style_(style) {}

  JsonWriter& BeginObject();
  JsonWriter& EndObject();
  JsonWriter& BeginArray();
  JsonWriter& EndArray();
  JsonWriter& Key(std::string_view key);

  JsonWriter& String(std::string_view value);
  JsonWriter& Number(uint64_t value);
  JsonWriter& Bool(bool value);
  JsonWriter& Null();
  // "0x..." in a string: JSON numbers do not hold 64 bits.
  JsonWriter& Hex(uint64_t value);

 private:
  void BeforeValue();
  void NewLine();
  void Close(char bracket);

  Output& output_;
  Style style_;
  std::vector<bool> has_items_;  // one per open object or array
  bool after_key_ = false;
};

// `key` with what `write` writes of the value; null where there is none.
template <typename T, typename Write>
void WriteIfKnown(JsonWriter& json, std::string_view key, const std::optional<T>& value,
                  Write write) {
  json.Key(key);
  if (value) {
    write(*value);
  } else {
    json.Null();
  }
}

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_JSON_WRITER_H_
