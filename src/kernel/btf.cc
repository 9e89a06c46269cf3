// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/btf.h"

#include "base/bytes.h"
#include "base/number.h"

namespace dmaudit {
namespace {

// Members looked at while one name is searched: more than the largest kernel structure has with all
// unnamed structures in it.
constexpr unsigned kMaxMembersVisited = 65536;

}  // namespace

Result<Btf> Btf::Parse(std::vector<std::byte> blob, std::span<const std::string_view> wanted,
                       std::string from) {
  Result<BtfTypes> types = BtfTypes::Parse(std::move(blob), wanted);
  if (!types) return tl::unexpected<Error>(types.error());
  return Btf(*std::move(types), std::move(from));
}

Result<std::optional<Btf::Found>> Btf::FindMember(uint32_t id, std::string_view name) const {
  // Depth first through unnamed structures, in order of declaration.
  struct Level {
    uint32_t type;
    uint64_t bit_offset;
    uint32_t next;
  };
  std::vector<Level> stack{{id, 0, 0}};
  unsigned visited = 0;
  while (!stack.empty()) {
    Level& level = stack.back();
    const Result<BtfType> type = types_.TypeById(level.type);
    if (!type) return tl::unexpected<Error>(type.error());
    bool descended = false;
    while (level.next < type->length) {
      if (++visited > kMaxMembersVisited) {
        return Fail(ErrorCode::kLimit, "BTF: type {}: more than {} members", id,
                    kMaxMembersVisited);
      }
      const size_t at = size_t{level.next} * 12;
      ++level.next;
      const uint32_t member_name = LoadUnchecked<uint32_t>(type->data, at);
      const uint32_t member_type = LoadUnchecked<uint32_t>(type->data, at + 4);
      const uint32_t raw = LoadUnchecked<uint32_t>(type->data, at + 8);
      const uint64_t bit_offset = level.bit_offset + (type->flag ? raw & 0xff'ffff : raw);
      const uint64_t bit_field = type->flag ? raw >> 24 : 0;
      const std::string_view text = types_.NameAt(member_name);
      if (text == name) return std::optional(Found{bit_offset, member_type, bit_field});
      if (!text.empty()) continue;
      const Result<uint32_t> inner = types_.Strip(member_type);
      if (!inner) return tl::unexpected<Error>(inner.error());
      const Result<BtfType> inner_type = types_.TypeById(*inner);
      if (!inner_type) return tl::unexpected<Error>(inner_type.error());
      if (!IsComposite(inner_type->kind)) continue;
      if (stack.size() == kMaxBtfChain) {
        return Fail(ErrorCode::kMalformed,
                    "BTF: type {}: unnamed structures nest more than {} deep", id, kMaxBtfChain);
      }
      stack.push_back({*inner, bit_offset, 0});
      descended = true;
      break;
    }
    if (!descended) stack.pop_back();
  }
  return std::optional<Found>();
}

Result<MemberLayout> Btf::Describe(const Found& found) const {
  MemberLayout layout;
  layout.bit_offset = found.bit_offset;
  uint64_t elements = 1;
  bool array = false;
  uint32_t id = found.type;
  for (unsigned i = 0; i < kMaxBtfChain; ++i) {
    const Result<uint32_t> stripped = types_.Strip(id);
    if (!stripped) return tl::unexpected<Error>(stripped.error());
    const Result<BtfType> type = types_.TypeById(*stripped);
    if (!type) return tl::unexpected<Error>(type.error());
    switch (type->kind) {
      case BtfKind::kArray: {
        array = true;
        const std::optional<uint64_t> product =
            CheckedMul(elements, LoadUnchecked<uint32_t>(type->data, 8));
        if (!product) return Fail(ErrorCode::kMalformed, "BTF: array {} is too large", *stripped);
        elements = *product;
        id = LoadUnchecked<uint32_t>(type->data, 0);
        continue;
      }
      case BtfKind::kInt: {
        layout.kind = MemberKind::kInteger;
        // Bit fields of blobs without kind_flag: the integer type itself is narrow.
        const uint32_t encoding = LoadUnchecked<uint32_t>(type->data, 0);
        const uint32_t bits = encoding & 0xff;
        if (!array && found.bit_field_size == 0 && bits < uint64_t{type->size_or_type} * 8) {
          layout.bit_offset += encoding >> 16 & 0xff;
          layout.bit_size = bits;
        }
        break;
      }
      case BtfKind::kEnum:
      case BtfKind::kEnum64:
        layout.kind = MemberKind::kInteger;
        break;
      case BtfKind::kPointer: {
        layout.kind = MemberKind::kPointer;
        const Result<uint32_t> target = types_.Strip(type->size_or_type);
        if (!target) return tl::unexpected<Error>(target.error());
        const Result<BtfType> pointee = types_.TypeById(*target);
        if (!pointee) return tl::unexpected<Error>(pointee.error());
        if (IsComposite(pointee->kind) || pointee->kind == BtfKind::kForward) {
          layout.struct_name = types_.NameAt(pointee->name);
        }
        break;
      }
      case BtfKind::kStruct:
      case BtfKind::kUnion:
        layout.kind = MemberKind::kStruct;
        layout.struct_name = types_.NameAt(type->name);
        break;
      default:
        layout.kind = MemberKind::kOther;
        break;
    }
    if (array) layout.elements = elements;
    if (found.bit_field_size != 0) {
      layout.bit_size = found.bit_field_size;
    } else if (layout.bit_size == 0) {
      const Result<uint64_t> bits = types_.BitSize(found.type);
      if (!bits) return tl::unexpected<Error>(bits.error());
      layout.bit_size = *bits;
    }
    return layout;
  }
  return Fail(ErrorCode::kMalformed, "BTF: type {}: more than {} array dimensions", found.type,
              kMaxBtfChain);
}

Result<MemberLayout> Btf::MemberOf(uint32_t id, std::string_view type,
                                   std::string_view path) const {
  const Result<BtfType> outer = types_.TypeById(id);
  if (!outer) return tl::unexpected<Error>(outer.error());
  Found found{0, id, 0};
  std::string_view rest = path;
  while (!rest.empty()) {
    const size_t dot = rest.find('.');
    const std::string_view name = rest.substr(0, dot);
    rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
    const Result<uint32_t> stripped = types_.Strip(found.type);
    if (!stripped) return tl::unexpected<Error>(stripped.error());
    const Result<BtfType> container = types_.TypeById(*stripped);
    if (!container) return tl::unexpected<Error>(container.error());
    if (!IsComposite(container->kind)) {
      return Fail(ErrorCode::kNotFound, "struct {} has no member {}: what holds {} is no structure",
                  type, path, name);
    }
    const Result<std::optional<Found>> member = FindMember(*stripped, name);
    if (!member) return tl::unexpected<Error>(member.error());
    if (!*member) return Fail(ErrorCode::kNotFound, "struct {} has no member {}", type, path);
    found = {found.bit_offset + (*member)->bit_offset, (*member)->type, (*member)->bit_field_size};
  }
  Result<MemberLayout> layout = Describe(found);
  if (!layout) return layout;
  const uint64_t bits = uint64_t{outer->size_or_type} * 8;
  if (layout->bit_offset > bits || layout->bit_size > bits - layout->bit_offset) {
    return Fail(ErrorCode::kMalformed,
                "BTF: struct {} of {} bytes: member {} at bit {} with {} bits lies outside", type,
                outer->size_or_type, path, layout->bit_offset, layout->bit_size);
  }
  return layout;
}

Result<MemberLayout> Btf::Member(std::string_view type, std::string_view path) const {
  if (path.empty() || path.front() == '.' || path.back() == '.') {
    return Fail(ErrorCode::kUsage, "'{}' is no path to a member", path);
  }
  const std::vector<uint32_t> ids = types_.Definitions(type);
  if (ids.empty()) return Fail(ErrorCode::kNotFound, "{} has no struct {}", from_, type);
  // Unrelated structures may share a name; only what all that have the member agree on is usable.
  std::optional<MemberLayout> layout;
  Error missing;
  for (const uint32_t id : ids) {
    Result<MemberLayout> candidate = MemberOf(id, type, path);
    if (!candidate) {
      if (candidate.error().code != ErrorCode::kNotFound) return candidate;
      missing = candidate.error();
      continue;
    }
    if (layout && *layout != *candidate) {
      return Fail(ErrorCode::kNotFound,
                  "struct {} is defined {} times with different places of member {}", type,
                  ids.size(), path);
    }
    layout = *std::move(candidate);
  }
  if (!layout) return tl::unexpected<Error>(missing);
  return *layout;
}

Result<uint64_t> Btf::SizeOf(std::string_view type) const {
  const std::vector<uint32_t> ids = types_.Definitions(type);
  if (ids.empty()) return Fail(ErrorCode::kNotFound, "{} has no struct {}", from_, type);
  std::optional<uint64_t> size;
  for (const uint32_t id : ids) {
    const Result<BtfType> found = types_.TypeById(id);
    if (!found) return tl::unexpected<Error>(found.error());
    if (size && *size != found->size_or_type) {
      return Fail(ErrorCode::kNotFound, "struct {} is defined {} times with different sizes", type,
                  ids.size());
    }
    size = found->size_or_type;
  }
  return *size;
}

}  // namespace dmaudit
