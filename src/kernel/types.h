// SPDX-License-Identifier: GPL-2.0-or-later
// Layout of kernel structures by name, wherever it comes from.
#ifndef DMAUDIT_KERNEL_TYPES_H_
#define DMAUDIT_KERNEL_TYPES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dmaudit {

enum class MemberKind : uint8_t {
  kInteger,  // integer, boolean, enumeration; possibly a bit field
  kPointer,
  kStruct,  // structure or union
  kOther,   // floating point, function, unknown
};

// One member, reached by a path from the start of a structure.
struct MemberLayout {
  uint64_t bit_offset = 0;               // from the start of the outermost structure
  uint64_t bit_size = 0;                 // of the whole member, all elements of an array included
  MemberKind kind = MemberKind::kOther;  // of the member, of an array of its elements
  uint64_t elements = 0;                 // of an array, all dimensions together; 0: not an array
  std::string struct_name;  // kStruct: its name; kPointer: the structure pointed to; empty where
                            // there is none or it has no name

  friend bool operator==(const MemberLayout&, const MemberLayout&) = default;
};

class TypeSource {
 public:
  virtual ~TypeSource() = default;

  // Where layouts come from: "BTF (__start_BTF)", "none: <reason>".
  virtual const std::string& from() const = 0;

  // The member of `struct type` (or union) at `path`: names separated by dots, each the name of a
  // structure embedded in the one before; members of unnamed structures count as members of the
  // enclosing one. kNotFound names the type or the member that is missing.
  virtual Result<MemberLayout> Member(std::string_view type, std::string_view path) const = 0;

  // Size in bytes of `struct type` (or union).
  virtual Result<uint64_t> SizeOf(std::string_view type) const = 0;
};

// No layouts at all, and why.
class NoTypes : public TypeSource {
 public:
  explicit NoTypes(std::string_view reason);

  const std::string& from() const override { return from_; }
  Result<MemberLayout> Member(std::string_view type, std::string_view path) const override;
  Result<uint64_t> SizeOf(std::string_view type) const override;

 private:
  std::string from_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_TYPES_H_
