// SPDX-License-Identifier: GPL-2.0-or-later
// An ACPI DMAR table, right as Build() gives it.
#ifndef DMAUDIT_TESTS_SUPPORT_DMAR_TABLE_BUILDER_H_
#define DMAUDIT_TESTS_SUPPORT_DMAR_TABLE_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace dmaudit::test {

class DmarTableBuilder {
 public:
  using Path = std::vector<std::pair<uint8_t, uint8_t>>;  // device, function

  DmarTableBuilder() {
    for (const char c : {'D', 'M', 'A', 'R'}) bytes_.push_back(static_cast<std::byte>(c));
    bytes_.insert(bytes_.end(), 44, std::byte{0});
  }

  static std::vector<uint8_t> Scope(uint8_t type, uint8_t bus, const Path& path) {
    std::vector<uint8_t> out = {type, static_cast<uint8_t>(6 + 2 * path.size()), 0, 0, 0, bus};
    for (const auto& [device, function] : path) {
      out.push_back(device);
      out.push_back(function);
    }
    return out;
  }

  // Offset of the structure.
  size_t Drhd(uint8_t flags, uint16_t segment, uint64_t registers,
              std::initializer_list<std::vector<uint8_t>> scopes) {
    return Structure(0, flags, segment, {registers}, scopes);
  }
  size_t Rmrr(uint16_t segment, uint64_t first, uint64_t last,
              std::initializer_list<std::vector<uint8_t>> scopes) {
    return Structure(1, 0, segment, {first, last}, scopes);
  }
  // ATSR (2), SATC (5), or any other.
  size_t Other(uint16_t type, uint8_t flags, uint16_t segment,
               std::initializer_list<std::vector<uint8_t>> scopes) {
    return Structure(type, flags, segment, {}, scopes);
  }

  // With the length, and the checksum that fits.
  std::vector<std::byte> Build() const {
    std::vector<std::byte> out = bytes_;
    StoreUnchecked<uint32_t>(out, 4, static_cast<uint32_t>(out.size()));
    return Summed(std::move(out));
  }
  static std::vector<std::byte> Summed(std::vector<std::byte> table) {
    table[9] = std::byte{0};
    uint8_t sum = 0;
    for (const std::byte byte : table) sum = static_cast<uint8_t>(sum + std::to_integer<int>(byte));
    table[9] = static_cast<std::byte>(-sum & 0xff);
    return table;
  }

 private:
  size_t Structure(uint16_t type, uint8_t flags, uint16_t segment,
                   std::initializer_list<uint64_t> words,
                   std::initializer_list<std::vector<uint8_t>> scopes) {
    const size_t at = bytes_.size();
    bytes_.insert(bytes_.end(), 8 + 8 * words.size(), std::byte{0});
    size_t word_at = at + 8;
    for (const uint64_t word : words) {
      StoreUnchecked<uint64_t>(bytes_, word_at, word);
      word_at += 8;
    }
    for (const std::vector<uint8_t>& scope : scopes) {
      for (const uint8_t byte : scope) bytes_.push_back(static_cast<std::byte>(byte));
    }
    StoreUnchecked<uint16_t>(bytes_, at, type);
    StoreUnchecked<uint16_t>(bytes_, at + 2, static_cast<uint16_t>(bytes_.size() - at));
    StoreUnchecked<uint8_t>(bytes_, at + 4, flags);
    StoreUnchecked<uint16_t>(bytes_, at + 6, segment);
    return at;
  }

  std::vector<std::byte> bytes_;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_DMAR_TABLE_BUILDER_H_
