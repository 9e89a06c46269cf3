// SPDX-License-Identifier: GPL-2.0-or-later
// The type records of a BTF blob, by id.
#ifndef DMAUDIT_KERNEL_BTF_TYPES_H_
#define DMAUDIT_KERNEL_BTF_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

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

// Structures and unions.
constexpr bool IsComposite(BtfKind kind) {
  return kind == BtfKind::kStruct || kind == BtfKind::kUnion;
}

// The kernel's verifier allows 32 levels of modifiers and nested types.
inline constexpr unsigned kMaxBtfChain = 32;

// A type record, decoded; `data` is what follows its three words.
struct BtfType {
  BtfKind kind = BtfKind::kVoid;
  bool flag = false;  // kind_flag
  uint32_t name = 0;  // offset into the strings
  uint32_t length = 0;
  uint32_t size_or_type = 0;
  std::span<const std::byte> data;
};

class BtfTypes {
 public:
  // Takes over the blob and checks that its header and every type record lie inside it. Structures
  // of the wanted names are located in that one pass; others cost a pass each when they are asked
  // for. Kinds this build does not know are stepped over when the blob says how long they are
  // (layout section), otherwise refused (kUnsupported).
  static Result<BtfTypes> Parse(std::vector<std::byte> blob,
                                std::span<const std::string_view> wanted);

  BtfTypes(BtfTypes&&) = default;
  BtfTypes& operator=(BtfTypes&&) = default;
  BtfTypes(const BtfTypes&) = delete;
  BtfTypes& operator=(const BtfTypes&) = delete;

  // Ids are 1 to count(); 0 is void.
  uint32_t count() const { return count_; }

  Result<BtfType> TypeById(uint32_t id) const;
  // The string at an offset that a record gives; empty outside of the string section.
  std::string_view NameAt(uint32_t offset) const;
  // Through typedefs and qualifiers.
  Result<uint32_t> Strip(uint32_t id) const;
  Result<uint64_t> BitSize(uint32_t id) const;
  // Definitions of a named structure or union, the first few of them.
  std::vector<uint32_t> Definitions(std::string_view name) const;

 private:
  BtfTypes() = default;

  Status ParseHeader();
  Result<uint64_t> RecordSize(uint32_t offset, uint32_t id) const;
  Status ScanTypes(std::span<const std::string_view> wanted);
  BtfType TypeAt(uint32_t offset, uint64_t size) const;

  std::vector<std::byte> blob_;
  std::span<const std::byte> types_;    // into blob_
  std::span<const std::byte> strings_;  // into blob_, ends with NUL
  std::span<const std::byte> layout_;   // into blob_: sizes of the records per kind; may be empty
  uint32_t count_ = 0;
  std::vector<uint32_t> checkpoints_;  // offset of every kCheckpoint-th record
  std::map<std::string, std::vector<uint32_t>, std::less<>> wanted_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_BTF_TYPES_H_
