// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/btf_builder.h"

namespace dmaudit::test {

uint32_t BtfBuilder::Int(std::string_view name, uint32_t size, uint32_t bits, uint32_t offset) {
  return Type(name, BtfKind::kInt, 0, false, size, {offset << 16 | bits});
}

uint32_t BtfBuilder::Array(uint32_t of, uint32_t elements) {
  return Type("", BtfKind::kArray, 0, false, 0, {of, of, elements});
}

uint32_t BtfBuilder::Typedef(std::string_view name, uint32_t of) {
  return Type(name, BtfKind::kTypedef, 0, false, of, {});
}

uint32_t BtfBuilder::Struct(std::string_view name, uint32_t size,
                            const std::vector<Member>& members, BtfKind kind) {
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

uint32_t BtfBuilder::Type(std::string_view name, BtfKind kind, uint32_t length, bool flag,
                          uint32_t size, const std::vector<uint32_t>& words) {
  Word(types_, String(name));
  Word(types_, static_cast<uint32_t>(flag) << 31 | static_cast<uint32_t>(kind) << 24 | length);
  Word(types_, size);
  for (const uint32_t word : words) Word(types_, word);
  return ++count_;
}

std::vector<std::byte> BtfBuilder::Build() const {
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

void BtfBuilder::Word(std::string& out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

uint32_t BtfBuilder::String(std::string_view text) {
  if (text.empty()) return 0;
  const uint32_t at = static_cast<uint32_t>(strings_.size());
  strings_ += text;
  strings_.push_back('\0');
  return at;
}

}  // namespace dmaudit::test
