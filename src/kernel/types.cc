// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/types.h"

#include <fmt/format.h>

namespace dmaudit {

NoTypes::NoTypes(std::string_view reason) : from_(fmt::format("none: {}", reason)) {}

Result<MemberLayout> NoTypes::Member(std::string_view type, std::string_view path) const {
  return Fail(ErrorCode::kNotFound, "struct {}: member {}: no type information", type, path);
}

Result<uint64_t> NoTypes::SizeOf(std::string_view type) const {
  return Fail(ErrorCode::kNotFound, "struct {}: no type information", type);
}

}  // namespace dmaudit
