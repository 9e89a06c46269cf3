// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/dwarf_types.h"

#include <utility>

#include "base/number.h"

namespace dmaudit {
namespace {

// Unnamed structures in each other, and members looked at for one name: far above any kernel's.
constexpr size_t kMaxNesting = 32;
constexpr size_t kMaxVisited = 65536;

}  // namespace

DwarfTypes::DwarfTypes(const DebuginfoTable& table, std::string from)
    : from_(std::move(from)), composites_(table.composites) {
  for (const uint32_t index : table.definitions) {
    definitions_.emplace(composites_[index].name, index);
  }
  // Then what is embedded in those.
  for (uint32_t index = 0; index < composites_.size(); ++index) {
    if (!composites_[index].name.empty()) definitions_.emplace(composites_[index].name, index);
  }
}

Result<uint32_t> DwarfTypes::Definition(std::string_view type) const {
  const auto it = definitions_.find(type);
  if (it == definitions_.end()) {
    return Fail(ErrorCode::kNotFound, "struct {} not found in {}", type, from_);
  }
  return it->second;
}

Result<DwarfTypes::Found> DwarfTypes::Find(uint32_t composite, std::string_view name) const {
  struct Place {
    uint32_t composite;
    size_t next = 0;
    uint64_t bit_offset = 0;
  };
  std::vector<Place> stack = {{composite}};
  size_t visited = 0;
  while (!stack.empty()) {
    Place& place = stack.back();
    const std::vector<DebuginfoMember>& members = composites_[place.composite].members;
    if (place.next == members.size()) {
      stack.pop_back();
      continue;
    }
    const DebuginfoMember& member = members[place.next++];
    const std::optional<uint64_t> at = CheckedAdd(place.bit_offset, member.layout.bit_offset);
    if (!at || ++visited > kMaxVisited) break;
    if (member.name == name && !name.empty()) return Found{*at, &member};
    if (!member.name.empty() || member.composite == DebuginfoMember::kNone ||
        member.layout.elements != 0) {
      continue;
    }
    if (stack.size() == kMaxNesting) break;
    stack.push_back({member.composite, 0, *at});
  }
  if (stack.empty()) return Found{};
  return Fail(ErrorCode::kMalformed, "struct {}: unnamed members nest without end",
              composites_[composite].name);
}

Result<MemberLayout> DwarfTypes::Member(std::string_view type, std::string_view path) const {
  const Result<uint32_t> definition = Definition(type);
  if (!definition) return tl::unexpected<Error>(definition.error());
  uint32_t composite = *definition;
  uint64_t bit_offset = 0;
  std::string_view rest = path;
  for (;;) {
    const size_t dot = rest.find('.');
    const std::string_view name = rest.substr(0, dot);
    const Result<Found> found = Find(composite, name);
    if (!found) return tl::unexpected<Error>(found.error());
    if (found->member == nullptr) {
      return Fail(ErrorCode::kNotFound, "struct {} has no member {}", type, path);
    }
    const std::optional<uint64_t> at = CheckedAdd(bit_offset, found->bit_offset);
    if (!at) return Fail(ErrorCode::kMalformed, "struct {}: member {} is too far", type, path);
    bit_offset = *at;
    if (dot == std::string_view::npos) {
      MemberLayout layout = found->member->layout;
      layout.bit_offset = bit_offset;
      return layout;
    }
    if (found->member->composite == DebuginfoMember::kNone ||
        found->member->layout.kind != MemberKind::kStruct || found->member->layout.elements != 0) {
      return Fail(ErrorCode::kNotFound, "struct {}: {} in {} is no structure", type, name, path);
    }
    composite = found->member->composite;
    rest.remove_prefix(dot + 1);
  }
}

Result<uint64_t> DwarfTypes::SizeOf(std::string_view type) const {
  const Result<uint32_t> definition = Definition(type);
  if (!definition) return tl::unexpected<Error>(definition.error());
  return composites_[*definition].size;
}

}  // namespace dmaudit
