// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/btf.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/number.h"

namespace dmaudit {
namespace {

constexpr uint16_t kMagic = 0xeb9f;
constexpr uint8_t kVersion = 1;
constexpr uint32_t kMinHeader = 24;         // up to str_len
constexpr uint32_t kHeaderWithLayout = 32;  // 7.1 and later: layout_off, layout_len
constexpr uint32_t kRecordHead = 12;        // name_off, info, size or type

// Every record costs one look-up of its checkpoint and half of this many steps.
constexpr uint32_t kCheckpoint = 32;
// BTF_MAX_TYPE: ids have 20 bits.
constexpr uint32_t kMaxTypes = 0xf'ffff;
// The kernel's verifier allows 32 levels of modifiers and nested types.
constexpr unsigned kMaxChain = 32;
// Members looked at while one name is searched: more than the largest kernel structure has with all
// unnamed structures in it.
constexpr unsigned kMaxMembersVisited = 65536;
// Definitions of one name; anything beyond is as ambiguous as two.
constexpr size_t kMaxDefinitions = 16;

// Bytes after the head of a record: fixed, and per element (vlen).
struct Trailer {
  uint8_t fixed;
  uint8_t element;
};
constexpr std::array<Trailer, kBtfKinds> kTrailers = {{
    {0, 0},   // void
    {4, 0},   // int
    {0, 0},   // pointer
    {12, 0},  // array
    {0, 12},  // struct
    {0, 12},  // union
    {0, 8},   // enum
    {0, 0},   // forward
    {0, 0},   // typedef
    {0, 0},   // volatile
    {0, 0},   // const
    {0, 0},   // restrict
    {0, 0},   // function
    {0, 8},   // function prototype
    {4, 0},   // variable
    {0, 12},  // data section
    {0, 0},   // float
    {4, 0},   // declaration tag
    {0, 0},   // type tag
    {0, 12},  // enum64
}};

constexpr uint32_t kPointerBits = 64;

uint32_t InfoKind(uint32_t info) { return info >> 24 & 0x1f; }
uint32_t InfoLength(uint32_t info) { return info & 0xffff; }
bool InfoFlag(uint32_t info) { return (info >> 31) != 0; }

bool IsComposite(BtfKind kind) { return kind == BtfKind::kStruct || kind == BtfKind::kUnion; }

}  // namespace

Status Btf::ParseHeader() {
  const std::span<const std::byte> blob(blob_);
  if (blob.size() < kMinHeader) {
    return Fail(ErrorCode::kMalformed, "BTF: {} bytes, the header alone has {}", blob.size(),
                kMinHeader);
  }
  const uint16_t magic = LoadUnchecked<uint16_t>(blob, 0);
  if (magic != kMagic) {
    return Fail(ErrorCode::kMalformed, "BTF: magic is {:#x}, expected {:#x}", magic, kMagic);
  }
  const uint8_t version = LoadUnchecked<uint8_t>(blob, 2);
  if (version != kVersion) {
    return Fail(ErrorCode::kUnsupported, "BTF: version is {}, expected {}", version, kVersion);
  }
  const uint32_t header = LoadUnchecked<uint32_t>(blob, 4);
  if (header < kMinHeader || header > blob.size()) {
    return Fail(ErrorCode::kMalformed, "BTF: header length is {}, expected {} to {}", header,
                kMinHeader, blob.size());
  }
  const std::span<const std::byte> body = blob.subspan(header);
  const auto section = [&](std::string_view name, uint64_t at,
                           std::span<const std::byte>& out) -> Status {
    const uint32_t offset = LoadUnchecked<uint32_t>(blob, at);
    const uint32_t length = LoadUnchecked<uint32_t>(blob, at + 4);
    const auto span = SubSpan(body, offset, length);
    if (!span) {
      return Fail(ErrorCode::kMalformed, "BTF: {} section {:#x} + {:#x} leaves the {:#x} bytes",
                  name, offset, length, body.size());
    }
    out = *span;
    return {};
  };
  if (const Status status = section("type", 8, types_); !status) return status;
  if (const Status status = section("string", 16, strings_); !status) return status;
  if (header >= kHeaderWithLayout) {
    if (const Status status = section("layout", 24, layout_); !status) return status;
  }
  // With that every offset into the section starts a string that ends inside it.
  if (strings_.empty() || strings_.front() != std::byte{0} || strings_.back() != std::byte{0}) {
    return Fail(ErrorCode::kMalformed, "BTF: the string section does not begin and end with NUL");
  }
  return {};
}

Result<uint64_t> Btf::RecordSize(uint32_t offset, uint32_t id) const {
  const std::optional<uint32_t> info = Load<uint32_t>(types_, uint64_t{offset} + 4);
  if (!info || types_.size() - offset < kRecordHead) {
    return Fail(ErrorCode::kMalformed, "BTF: type {} at {:#x} is cut off", id, offset);
  }
  const uint32_t kind = InfoKind(*info);
  Trailer trailer{};
  if (kind != 0 && kind < kBtfKinds) {
    trailer = kTrailers[kind];
  } else {
    // Per kind: u8 size of the fixed part, u8 size of an element, u16 flags.
    const std::optional<uint8_t> fixed = Load<uint8_t>(layout_, uint64_t{kind} * 4);
    const std::optional<uint8_t> element = Load<uint8_t>(layout_, uint64_t{kind} * 4 + 1);
    if (kind == 0 || !fixed || !element) {
      return Fail(ErrorCode::kUnsupported, "BTF: type {} at {:#x} is of unknown kind {}", id,
                  offset, kind);
    }
    trailer = {*fixed, *element};
  }
  const uint64_t size = kRecordHead + trailer.fixed + uint64_t{trailer.element} * InfoLength(*info);
  if (size > types_.size() - offset) {
    return Fail(ErrorCode::kMalformed, "BTF: type {} at {:#x} with {} elements is cut off", id,
                offset, InfoLength(*info));
  }
  return size;
}

std::string_view Btf::NameAt(uint32_t offset) const {
  if (offset >= strings_.size()) return {};
  const char* text = reinterpret_cast<const char*>(strings_.data()) + offset;
  return {text, std::strlen(text)};
}

Status Btf::ScanTypes(std::span<const std::string_view> wanted) {
  for (const std::string_view name : wanted) wanted_[std::string(name)];
  // Most names differ from every wanted one in the first two letters already.
  std::array<bool, 65536> first_letters{};
  for (const std::string_view name : wanted) {
    if (name.size() < 2) continue;
    first_letters[LoadUnchecked<uint16_t>(AsBytes(name), 0)] = true;
  }
  uint32_t offset = 0;
  uint32_t id = 1;
  while (offset < types_.size()) {
    if (id > kMaxTypes) {
      return Fail(ErrorCode::kLimit, "BTF: more than {} types", kMaxTypes);
    }
    const Result<uint64_t> size = RecordSize(offset, id);
    if (!size) return tl::unexpected<Error>(size.error());
    if (id % kCheckpoint == 0 || id == 1) checkpoints_.push_back(offset);
    const uint32_t name = LoadUnchecked<uint32_t>(types_, offset);
    const uint32_t info = LoadUnchecked<uint32_t>(types_, offset + 4);
    if (name >= strings_.size()) {
      return Fail(ErrorCode::kMalformed,
                  "BTF: type {} at {:#x} has its name at {:#x}, outside the "
                  "string section",
                  id, offset, name);
    }
    if (IsComposite(static_cast<BtfKind>(InfoKind(info))) && strings_.size() - name > 2 &&
        first_letters[LoadUnchecked<uint16_t>(strings_, name)]) {
      const auto it = wanted_.find(NameAt(name));
      if (it != wanted_.end() && it->second.size() < kMaxDefinitions) it->second.push_back(id);
    }
    offset += static_cast<uint32_t>(*size);
    ++id;
  }
  type_count_ = id - 1;
  return {};
}

Result<Btf> Btf::Parse(std::vector<std::byte> blob, std::span<const std::string_view> wanted,
                       std::string from) {
  Btf btf;
  btf.from_ = std::move(from);
  btf.blob_ = std::move(blob);
  if (const Status status = btf.ParseHeader(); !status) {
    return tl::unexpected<Error>(status.error());
  }
  if (const Status status = btf.ScanTypes(wanted); !status) {
    return tl::unexpected<Error>(status.error());
  }
  return btf;
}

Btf::Type Btf::TypeAt(uint32_t offset, uint64_t size) const {
  const uint32_t info = LoadUnchecked<uint32_t>(types_, offset + 4);
  Type type;
  type.kind = static_cast<BtfKind>(InfoKind(info));
  type.flag = InfoFlag(info);
  type.length = InfoLength(info);
  type.name = LoadUnchecked<uint32_t>(types_, offset);
  type.size_or_type = LoadUnchecked<uint32_t>(types_, offset + 8);
  type.data = types_.subspan(offset + kRecordHead, static_cast<size_t>(size - kRecordHead));
  return type;
}

Result<Btf::Type> Btf::TypeById(uint32_t id) const {
  if (id == 0) return Type{};
  if (id > type_count_) {
    return Fail(ErrorCode::kMalformed, "BTF: type id {} is out of range, there are {} types", id,
                type_count_);
  }
  uint32_t at = id < kCheckpoint ? 1 : id / kCheckpoint * kCheckpoint;
  uint32_t offset = checkpoints_[id / kCheckpoint];
  for (;; ++at) {
    const Result<uint64_t> size = RecordSize(offset, at);
    if (!size) return tl::unexpected<Error>(size.error());
    if (at == id) return TypeAt(offset, *size);
    offset += static_cast<uint32_t>(*size);
  }
}

Result<uint32_t> Btf::Strip(uint32_t id) const {
  for (unsigned i = 0; i < kMaxChain; ++i) {
    const Result<Type> type = TypeById(id);
    if (!type) return tl::unexpected<Error>(type.error());
    switch (type->kind) {
      case BtfKind::kTypedef:
      case BtfKind::kVolatile:
      case BtfKind::kConst:
      case BtfKind::kRestrict:
      case BtfKind::kTypeTag:
        id = type->size_or_type;
        break;
      default:
        return id;
    }
  }
  return Fail(ErrorCode::kMalformed, "BTF: type {}: chain of more than {} typedefs and qualifiers",
              id, kMaxChain);
}

Result<uint64_t> Btf::BitSize(uint32_t id) const {
  uint64_t factor = 1;
  for (unsigned i = 0; i < kMaxChain; ++i) {
    const Result<uint32_t> stripped = Strip(id);
    if (!stripped) return tl::unexpected<Error>(stripped.error());
    const Result<Type> type = TypeById(*stripped);
    if (!type) return tl::unexpected<Error>(type.error());
    uint64_t bits = 0;
    switch (type->kind) {
      case BtfKind::kInt:
      case BtfKind::kEnum:
      case BtfKind::kEnum64:
      case BtfKind::kFloat:
      case BtfKind::kStruct:
      case BtfKind::kUnion:
        bits = uint64_t{type->size_or_type} * 8;
        break;
      case BtfKind::kPointer:
        bits = kPointerBits;
        break;
      case BtfKind::kArray: {
        const uint32_t elements = LoadUnchecked<uint32_t>(type->data, 8);
        const std::optional<uint64_t> product = CheckedMul(factor, elements);
        if (!product) return Fail(ErrorCode::kMalformed, "BTF: array {} is too large", *stripped);
        factor = *product;
        id = LoadUnchecked<uint32_t>(type->data, 0);
        continue;
      }
      default:
        return Fail(ErrorCode::kMalformed, "BTF: type {} of kind {} has no size", *stripped,
                    static_cast<unsigned>(type->kind));
    }
    const std::optional<uint64_t> product = CheckedMul(factor, bits);
    if (!product) return Fail(ErrorCode::kMalformed, "BTF: array of type {} is too large", id);
    return *product;
  }
  return Fail(ErrorCode::kMalformed, "BTF: type {}: more than {} array dimensions", id, kMaxChain);
}

std::vector<uint32_t> Btf::Definitions(std::string_view name) const {
  if (const auto it = wanted_.find(name); it != wanted_.end()) return it->second;
  std::vector<uint32_t> ids;
  uint32_t offset = 0;
  for (uint32_t id = 1; id <= type_count_; ++id) {
    const Result<uint64_t> size = RecordSize(offset, id);
    if (!size) break;
    const Type type = TypeAt(offset, *size);
    if (IsComposite(type.kind) && ids.size() < kMaxDefinitions && NameAt(type.name) == name) {
      ids.push_back(id);
    }
    offset += static_cast<uint32_t>(*size);
  }
  return ids;
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
    const Result<Type> type = TypeById(level.type);
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
      const std::string_view text = NameAt(member_name);
      if (text == name) return std::optional(Found{bit_offset, member_type, bit_field});
      if (!text.empty()) continue;
      const Result<uint32_t> inner = Strip(member_type);
      if (!inner) return tl::unexpected<Error>(inner.error());
      const Result<Type> inner_type = TypeById(*inner);
      if (!inner_type) return tl::unexpected<Error>(inner_type.error());
      if (!IsComposite(inner_type->kind)) continue;
      if (stack.size() == kMaxChain) {
        return Fail(ErrorCode::kMalformed,
                    "BTF: type {}: unnamed structures nest more than {} deep", id, kMaxChain);
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
  for (unsigned i = 0; i < kMaxChain; ++i) {
    const Result<uint32_t> stripped = Strip(id);
    if (!stripped) return tl::unexpected<Error>(stripped.error());
    const Result<Type> type = TypeById(*stripped);
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
        const Result<uint32_t> target = Strip(type->size_or_type);
        if (!target) return tl::unexpected<Error>(target.error());
        const Result<Type> pointee = TypeById(*target);
        if (!pointee) return tl::unexpected<Error>(pointee.error());
        if (IsComposite(pointee->kind) || pointee->kind == BtfKind::kForward) {
          layout.struct_name = NameAt(pointee->name);
        }
        break;
      }
      case BtfKind::kStruct:
      case BtfKind::kUnion:
        layout.kind = MemberKind::kStruct;
        layout.struct_name = NameAt(type->name);
        break;
      default:
        layout.kind = MemberKind::kOther;
        break;
    }
    if (array) layout.elements = elements;
    if (found.bit_field_size != 0) {
      layout.bit_size = found.bit_field_size;
    } else if (layout.bit_size == 0) {
      const Result<uint64_t> bits = BitSize(found.type);
      if (!bits) return tl::unexpected<Error>(bits.error());
      layout.bit_size = *bits;
    }
    return layout;
  }
  return Fail(ErrorCode::kMalformed, "BTF: type {}: more than {} array dimensions", found.type,
              kMaxChain);
}

Result<MemberLayout> Btf::MemberOf(uint32_t id, std::string_view type,
                                   std::string_view path) const {
  const Result<Type> outer = TypeById(id);
  if (!outer) return tl::unexpected<Error>(outer.error());
  Found found{0, id, 0};
  std::string_view rest = path;
  while (!rest.empty()) {
    const size_t dot = rest.find('.');
    const std::string_view name = rest.substr(0, dot);
    rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
    const Result<uint32_t> stripped = Strip(found.type);
    if (!stripped) return tl::unexpected<Error>(stripped.error());
    const Result<Type> container = TypeById(*stripped);
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
  const std::vector<uint32_t> ids = Definitions(type);
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
  const std::vector<uint32_t> ids = Definitions(type);
  if (ids.empty()) return Fail(ErrorCode::kNotFound, "{} has no struct {}", from_, type);
  std::optional<uint64_t> size;
  for (const uint32_t id : ids) {
    const Result<Type> found = TypeById(id);
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
