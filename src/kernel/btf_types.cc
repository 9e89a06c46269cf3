// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/btf_types.h"

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

}  // namespace

Status BtfTypes::ParseHeader() {
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

Result<uint64_t> BtfTypes::RecordSize(uint32_t offset, uint32_t id) const {
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

std::string_view BtfTypes::NameAt(uint32_t offset) const {
  if (offset >= strings_.size()) return {};
  const char* text = reinterpret_cast<const char*>(strings_.data()) + offset;
  return {text, std::strlen(text)};
}

Status BtfTypes::ScanTypes(std::span<const std::string_view> wanted) {
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
  count_ = id - 1;
  return {};
}

Result<BtfTypes> BtfTypes::Parse(std::vector<std::byte> blob,
                                 std::span<const std::string_view> wanted) {
  BtfTypes types;
  types.blob_ = std::move(blob);
  if (const Status status = types.ParseHeader(); !status) {
    return tl::unexpected<Error>(status.error());
  }
  if (const Status status = types.ScanTypes(wanted); !status) {
    return tl::unexpected<Error>(status.error());
  }
  return types;
}

BtfType BtfTypes::TypeAt(uint32_t offset, uint64_t size) const {
  const uint32_t info = LoadUnchecked<uint32_t>(types_, offset + 4);
  BtfType type;
  type.kind = static_cast<BtfKind>(InfoKind(info));
  type.flag = InfoFlag(info);
  type.length = InfoLength(info);
  type.name = LoadUnchecked<uint32_t>(types_, offset);
  type.size_or_type = LoadUnchecked<uint32_t>(types_, offset + 8);
  type.data = types_.subspan(offset + kRecordHead, static_cast<size_t>(size - kRecordHead));
  return type;
}

Result<BtfType> BtfTypes::TypeById(uint32_t id) const {
  if (id == 0) return BtfType{};
  if (id > count_) {
    return Fail(ErrorCode::kMalformed, "BTF: type id {} is out of range, there are {} types", id,
                count_);
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

Result<uint32_t> BtfTypes::Strip(uint32_t id) const {
  for (unsigned i = 0; i < kMaxBtfChain; ++i) {
    const Result<BtfType> type = TypeById(id);
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
              id, kMaxBtfChain);
}

Result<uint64_t> BtfTypes::BitSize(uint32_t id) const {
  uint64_t factor = 1;
  for (unsigned i = 0; i < kMaxBtfChain; ++i) {
    const Result<uint32_t> stripped = Strip(id);
    if (!stripped) return tl::unexpected<Error>(stripped.error());
    const Result<BtfType> type = TypeById(*stripped);
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
  return Fail(ErrorCode::kMalformed, "BTF: type {}: more than {} array dimensions", id,
              kMaxBtfChain);
}

std::vector<uint32_t> BtfTypes::Definitions(std::string_view name) const {
  if (const auto it = wanted_.find(name); it != wanted_.end()) return it->second;
  std::vector<uint32_t> ids;
  uint32_t offset = 0;
  for (uint32_t id = 1; id <= count_; ++id) {
    const Result<uint64_t> size = RecordSize(offset, id);
    if (!size) break;
    const BtfType type = TypeAt(offset, *size);
    if (IsComposite(type.kind) && ids.size() < kMaxDefinitions && NameAt(type.name) == name) {
      ids.push_back(id);
    }
    offset += static_cast<uint32_t>(*size);
  }
  return ids;
}

}  // namespace dmaudit
