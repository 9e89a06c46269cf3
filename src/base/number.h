// SPDX-License-Identifier: GPL-2.0-or-later
// Strict number parsing: the whole text or nothing; no sign, no blanks, no wrap-around.
#ifndef DMAUDIT_BASE_NUMBER_H_
#define DMAUDIT_BASE_NUMBER_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace dmaudit {

// Hexadecimal digits, with or without "0x".
std::optional<uint64_t> ParseHex(std::string_view text);
std::optional<uint64_t> ParseDecimal(std::string_view text);
// Decimal with an optional minus sign, as the kernel prints long values in VMCOREINFO.
std::optional<int64_t> ParseSignedDecimal(std::string_view text);
// "0x..." as hexadecimal, everything else as decimal.
std::optional<uint64_t> ParseNumber(std::string_view text);

// a + b, a * b; nothing when the result leaves 64 bits.
constexpr std::optional<uint64_t> CheckedAdd(uint64_t a, uint64_t b) {
  if (b > UINT64_MAX - a) return std::nullopt;
  return a + b;
}
constexpr std::optional<uint64_t> CheckedMul(uint64_t a, uint64_t b) {
  if (a != 0 && b > UINT64_MAX / a) return std::nullopt;
  return a * b;
}

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_NUMBER_H_
