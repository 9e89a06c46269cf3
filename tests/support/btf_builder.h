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
  uint32_t Int(std::string_view name, uint32_t size, uint32_t bits, uint32_t offset);
  uint32_t Pointer(uint32_t to) { return Type("", BtfKind::kPointer, 0, false, to, {}); }
  uint32_t Array(uint32_t of, uint32_t elements);
  uint32_t Typedef(std::string_view name, uint32_t of);
  uint32_t Const(uint32_t of) { return Type("", BtfKind::kConst, 0, false, of, {}); }
  uint32_t Float() { return Type("", BtfKind::kFloat, 0, false, 8, {}); }
  uint32_t Struct(std::string_view name, uint32_t size, const std::vector<Member>& members,
                  BtfKind kind = BtfKind::kStruct);
  // Any record: `length` is what vlen says, `words` is what follows.
  uint32_t Type(std::string_view name, BtfKind kind, uint32_t length, bool flag, uint32_t size,
                const std::vector<uint32_t>& words);
  uint32_t next_id() const { return count_ + 1; }

  std::vector<std::byte> Build() const;

 private:
  static void Word(std::string& out, uint32_t value);
  uint32_t String(std::string_view text);

  std::string types_;
  std::string strings_ = std::string(1, '\0');
  uint32_t count_ = 0;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_BTF_BUILDER_H_
