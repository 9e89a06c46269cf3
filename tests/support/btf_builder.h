// SPDX-License-Identifier: GPL-2.0-or-later
// Builds BTF blobs, right ones and, with one field changed, wrong ones.
#ifndef DMAUDIT_TESTS_SUPPORT_BTF_BUILDER_H_
#define DMAUDIT_TESTS_SUPPORT_BTF_BUILDER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "kernel/btf.h"

namespace dmaudit::test {

class BtfBuilder {
 public:
  struct Member {
    std::string name;
    uint32_t type;
    uint32_t bit_offset;
    uint32_t bit_field = 0;  // width; makes the structure one with kind_flag
  };

  // Header fields to write instead of the right ones.
  struct Header {
    uint16_t magic = 0xeb9f;
    uint8_t version = 1;
    std::optional<uint32_t> header_length, type_offset, type_length, string_offset, string_length,
        layout_offset, layout_length;
  };
  Header header;
  // Per kind {fixed, per element}: when set, the header has 32 bytes and a layout section follows.
  std::vector<std::pair<uint8_t, uint8_t>> layout;

  uint32_t Int(std::string_view name, uint32_t size) { return Int(name, size, size * 8, 0); }
  uint32_t Int(std::string_view name, uint32_t size, uint32_t bits, uint32_t offset) {
    return Type(name, BtfKind::kInt, 0, false, size, {offset << 16 | bits});
  }
  uint32_t Pointer(uint32_t to) { return Type("", BtfKind::kPointer, 0, false, to, {}); }
  uint32_t Array(uint32_t of, uint32_t elements) {
    return Type("", BtfKind::kArray, 0, false, 0, {of, of, elements});
  }
  uint32_t Typedef(std::string_view name, uint32_t of) {
    return Type(name, BtfKind::kTypedef, 0, false, of, {});
  }
  uint32_t Const(uint32_t of) { return Type("", BtfKind::kConst, 0, false, of, {}); }
  uint32_t Float() { return Type("", BtfKind::kFloat, 0, false, 8, {}); }
  uint32_t Struct(std::string_view name, uint32_t size, const std::vector<Member>& members,
                  BtfKind kind = BtfKind::kStruct) {
    bool flag = false;
    for (const Member& member : members) flag = flag || member.bit_field != 0;
    std::vector<uint32_t> words;
    for (const Member& member : members) {
      words.push_back(String(member.name));
      words.push_back(member.type);
      words.push_back(member.bit_field << 24 | member.bit_offset);
    }
    return Type(name, kind, static_cast<uint32_t>(members.size()), flag, size, words);
  }
  // Any record: `length` is what vlen says, `words` is what follows.
  uint32_t Type(std::string_view name, BtfKind kind, uint32_t length, bool flag, uint32_t size,
                const std::vector<uint32_t>& words) {
    Word(types_, String(name));
    Word(types_, static_cast<uint32_t>(flag) << 31 | static_cast<uint32_t>(kind) << 24 | length);
    Word(types_, size);
    for (const uint32_t word : words) Word(types_, word);
    return ++count_;
  }
  uint32_t next_id() const { return count_ + 1; }

  std::vector<std::byte> Build() const {
    const uint32_t length = layout.empty() ? 24 : 32;
    std::string table;
    for (const auto& [fixed, element] : layout) {
      table.push_back(static_cast<char>(fixed));
      table.push_back(static_cast<char>(element));
      table += std::string(2, '\0');
    }
    std::string out(length, '\0');
    const std::span<std::byte> head(reinterpret_cast<std::byte*>(out.data()), out.size());
    const uint32_t types = static_cast<uint32_t>(types_.size());
    const uint32_t strings = static_cast<uint32_t>(strings_.size());
    StoreUnchecked<uint16_t>(head, 0, header.magic);
    StoreUnchecked<uint8_t>(head, 2, header.version);
    StoreUnchecked<uint32_t>(head, 4, header.header_length.value_or(length));
    StoreUnchecked<uint32_t>(head, 8, header.type_offset.value_or(0));
    StoreUnchecked<uint32_t>(head, 12, header.type_length.value_or(types));
    StoreUnchecked<uint32_t>(head, 16, header.string_offset.value_or(types));
    StoreUnchecked<uint32_t>(head, 20, header.string_length.value_or(strings));
    if (!layout.empty()) {
      StoreUnchecked<uint32_t>(head, 24, header.layout_offset.value_or(types + strings));
      StoreUnchecked<uint32_t>(head, 28,
                               header.layout_length.value_or(static_cast<uint32_t>(table.size())));
    }
    out += types_ + strings_ + table;
    const auto bytes = AsBytes(out);
    return {bytes.begin(), bytes.end()};
  }

 private:
  static void Word(std::string& out, uint32_t value) {
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  }
  uint32_t String(std::string_view text) {
    if (text.empty()) return 0;
    const uint32_t at = static_cast<uint32_t>(strings_.size());
    strings_ += text;
    strings_.push_back('\0');
    return at;
  }

  std::string types_;
  std::string strings_ = std::string(1, '\0');
  uint32_t count_ = 0;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_BTF_BUILDER_H_
