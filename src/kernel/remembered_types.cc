// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/remembered_types.h"

#include <utility>

namespace dmaudit {

RememberedTypes::RememberedTypes(std::unique_ptr<const TypeSource> types)
    : types_(std::move(types)) {}

Result<MemberLayout> RememberedTypes::Member(std::string_view type, std::string_view path) const {
  auto of_type = members_.find(type);
  if (of_type == members_.end()) of_type = members_.try_emplace(std::string(type)).first;
  auto& members = of_type->second;
  const auto known = members.find(path);
  if (known != members.end()) return known->second;
  return members.emplace(path, types_->Member(type, path)).first->second;
}

Result<uint64_t> RememberedTypes::SizeOf(std::string_view type) const {
  const auto known = sizes_.find(type);
  if (known != sizes_.end()) return known->second;
  return sizes_.emplace(type, types_->SizeOf(type)).first->second;
}

}  // namespace dmaudit
