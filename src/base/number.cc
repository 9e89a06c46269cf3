// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/number.h"

#include <charconv>

namespace dmaudit {
namespace {

template <typename T>
std::optional<T> ParseAll(std::string_view text, int base) {
  T value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || stop != end || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<uint64_t> ParseHex(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
  return ParseAll<uint64_t>(text, 16);
}

std::optional<uint64_t> ParseDecimal(std::string_view text) { return ParseAll<uint64_t>(text, 10); }

std::optional<int64_t> ParseSignedDecimal(std::string_view text) {
  return ParseAll<int64_t>(text, 10);
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  return hex ? ParseHex(text) : ParseDecimal(text);
}

}  // namespace dmaudit
