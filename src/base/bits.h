// SPDX-License-Identifier: GPL-2.0-or-later
// Hardware words as tables of named bit fields that provably tile the word.
#ifndef DMAUDIT_BASE_BITS_H_
#define DMAUDIT_BASE_BITS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dmaudit {

enum class FieldKind : uint8_t {
  kUsed,      // means something to the hardware
  kIgnored,   // hardware does not look; software may use it
  kReserved,  // must be 0 where the entry is present
};

// Bits high..low of a 64-bit word, both included, numbered as specifications print them.
struct Field {
  uint8_t high;
  uint8_t low;
  std::string_view name;
  FieldKind kind = FieldKind::kUsed;

  constexpr uint64_t mask() const {
    const unsigned width = static_cast<unsigned>(high - low) + 1;
    const uint64_t ones = width >= 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
    return ones << low;
  }
  constexpr uint64_t Get(uint64_t word) const { return (word & mask()) >> low; }
  // The word with this field replaced; bits of `value` beyond the field's width are cut off.
  constexpr uint64_t Set(uint64_t word, uint64_t value) const {
    return (word & ~mask()) | ((value << low) & mask());
  }
};

// Fields that no code names: what they are is all there is to say.
consteval Field Reserved(uint8_t high, uint8_t low) {
  return {high, low, "reserved", FieldKind::kReserved};
}
consteval Field Ignored(uint8_t high, uint8_t low) {
  return {high, low, "ignored", FieldKind::kIgnored};
}

// True when the fields, given from high to low, cover bits 63..0 with neither gap nor overlap.
template <size_t N>
consteval bool Tiles64(const std::array<Field, N>& fields) {
  int next = 63;
  for (const Field& field : fields) {
    if (field.high != next || field.low > field.high) return false;
    next = field.low - 1;
  }
  return next == -1;
}

// All bits of the fields of one kind.
template <size_t N>
consteval uint64_t MaskOf(const std::array<Field, N>& fields, FieldKind kind) {
  uint64_t mask = 0;
  for (const Field& field : fields) {
    if (field.kind == kind) mask |= field.mask();
  }
  return mask;
}

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_BITS_H_
