// SPDX-License-Identifier: GPL-2.0-or-later
// BTF: the type information a kernel carries in its own memory.
#ifndef DMAUDIT_KERNEL_BTF_H_
#define DMAUDIT_KERNEL_BTF_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernel/types.h"

namespace dmaudit {

// Kinds of type records, numbered as in the format.
enum class BtfKind : uint8_t {
  kVoid = 0,
  kInt = 1,
  kPointer = 2,
  kArray = 3,
  kStruct = 4,
  kUnion = 5,
  kEnum = 6,
  kForward = 7,
  kTypedef = 8,
  kVolatile = 9,
  kConst = 10,
  kRestrict = 11,
  kFunction = 12,
  kFunctionPrototype = 13,
  kVariable = 14,
  kDataSection = 15,
  kFloat = 16,
  kDeclarationTag = 17,
  kTypeTag = 18,
  kEnum64 = 19,
};
inline constexpr unsigned kBtfKinds = 20;

class Btf : public TypeSource {
 public:
  // Takes over the blob and checks that its header and every type record lie inside it. Structures
  // of the wanted names are located in that one pass; others cost a pass each when they are asked
  // for. Kinds this build does not know are stepped over when the blob says how long they are
  // (layout section), otherwise refused (kUnsupported).
  static Result<Btf> Parse(std::vector<std::byte> blob, std::span<const std::string_view> wanted,
                           std::string from);

  Btf(Btf&&) = default;
  Btf& operator=(Btf&&) = default;
  Btf(const Btf&) = delete;
  Btf& operator=(const Btf&) = delete;

  const std::string& from() const override { return from_; }
  Result<MemberLayout> Member(std::string_view type, std::string_view path) const override;
  Result<uint64_t> SizeOf(std::string_view type) const override;

  uint32_t type_count() const { return type_count_; }

 private:
  // A type record, decoded; `data` is what follows its three words.
  struct Type {
    BtfKind kind = BtfKind::kVoid;
    bool flag = false;  // kind_flag
    uint32_t name = 0;  // offset into the strings
    uint32_t length = 0;
    uint32_t size_or_type = 0;
    std::span<const std::byte> data;
  };
  struct Found {
    uint64_t bit_offset = 0;
    uint32_t type = 0;
    uint64_t bit_field_size = 0;  // 0: not a bit field
  };

  Btf() = default;

  Status ParseHeader();
  Result<uint64_t> RecordSize(uint32_t offset, uint32_t id) const;
  Status ScanTypes(std::span<const std::string_view> wanted);
  Result<Type> TypeById(uint32_t id) const;
  Type TypeAt(uint32_t offset, uint64_t size) const;
  // The string at an offset that was checked to lie in the string section.
  std::string_view NameAt(uint32_t offset) const;
  // Through typedefs and qualifiers.
  Result<uint32_t> Strip(uint32_t id) const;
  Result<uint64_t> BitSize(uint32_t id) const;
  // Definitions of a named structure or union.
  std::vector<uint32_t> Definitions(std::string_view name) const;
  Result<std::optional<Found>> FindMember(uint32_t id, std::string_view name) const;
  Result<MemberLayout> MemberOf(uint32_t id, std::string_view type, std::string_view path) const;
  Result<MemberLayout> Describe(const Found& found) const;

  std::string from_;
  std::vector<std::byte> blob_;
  std::span<const std::byte> types_;    // into blob_
  std::span<const std::byte> strings_;  // into blob_, ends with NUL
  std::span<const std::byte> layout_;   // into blob_: sizes of the records per kind; may be empty
  uint32_t type_count_ = 0;             // ids 1 .. type_count_
  std::vector<uint32_t> checkpoints_;   // offset of every kCheckpoint-th record
  std::map<std::string, std::vector<uint32_t>, std::less<>> wanted_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_BTF_H_
