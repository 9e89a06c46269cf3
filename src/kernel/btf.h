// SPDX-License-Identifier: GPL-2.0-or-later
// BTF: the type information a kernel carries in its own memory.
#ifndef DMAUDIT_KERNEL_BTF_H_
#define DMAUDIT_KERNEL_BTF_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "kernel/btf_types.h"
#include "kernel/types.h"

namespace dmaudit {

// Layouts of structures, by the names of their members.
class Btf : public TypeSource {
 public:
  // As BtfTypes::Parse. `from` says where the blob comes from.
  static Result<Btf> Parse(std::vector<std::byte> blob, std::span<const std::string_view> wanted,
                           std::string from);

  const std::string& from() const override { return from_; }
  Result<MemberLayout> Member(std::string_view type, std::string_view path) const override;
  Result<uint64_t> SizeOf(std::string_view type) const override;

  uint32_t type_count() const { return types_.count(); }

 private:
  struct Found {
    uint64_t bit_offset = 0;
    uint32_t type = 0;
    uint64_t bit_field_size = 0;  // 0: not a bit field
  };

  Btf(BtfTypes types, std::string from) : types_(std::move(types)), from_(std::move(from)) {}

  Result<std::optional<Found>> FindMember(uint32_t id, std::string_view name) const;
  Result<MemberLayout> MemberOf(uint32_t id, std::string_view type, std::string_view path) const;
  Result<MemberLayout> Describe(const Found& found) const;

  BtfTypes types_;
  std::string from_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_BTF_H_
