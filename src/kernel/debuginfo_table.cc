// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/debuginfo_table.h"

#include <string_view>

#include "base/bytes.h"

namespace dmaudit {
namespace {

constexpr uint64_t kMagic = 0x3174'6261'7464'6d64;

class Writer {
 public:
  void Number(uint64_t value) {
    for (unsigned i = 0; i < 8; ++i) bytes_.push_back(static_cast<std::byte>(value >> 8 * i));
  }
  void Text(std::string_view text) {
    text = text.substr(0, DebuginfoTable::kMaxText);
    Number(text.size());
    const auto bytes = AsBytes(text);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> Take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// After the first failure everything reads as zero and empty.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint64_t Number() {
    const std::optional<uint64_t> value = Load<uint64_t>(bytes_, 0);
    if (!value) {
      failed_ = true;
      return 0;
    }
    bytes_ = bytes_.subspan(8);
    return *value;
  }
  // A number of things, each of which takes at least 8 bytes of what is left.
  size_t Count(size_t limit) {
    const uint64_t count = Number();
    if (count > limit || count > bytes_.size() / 8) {
      failed_ = true;
      return 0;
    }
    return static_cast<size_t>(count);
  }
  std::string Text() {
    const uint64_t size = Number();
    if (size > DebuginfoTable::kMaxText || size > bytes_.size()) {
      failed_ = true;
      return {};
    }
    std::string text(reinterpret_cast<const char*>(bytes_.data()), static_cast<size_t>(size));
    bytes_ = bytes_.subspan(static_cast<size_t>(size));
    return text;
  }
  void Fail() { failed_ = true; }
  bool failed() const { return failed_; }
  bool ended() const { return bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
  bool failed_ = false;
};

}  // namespace

std::vector<std::byte> DebuginfoTable::Encode() const {
  Writer out;
  out.Number(kMagic);
  for (const std::string* text : {&build_id, &no_symbols, &no_types, &types_file, &supplement}) {
    out.Text(*text);
  }
  out.Number(symbols.size());
  for (const Symbol& symbol : symbols) {
    out.Text(symbol.name);
    out.Number(symbol.address);
  }
  out.Number(composites.size());
  for (const DebuginfoComposite& composite : composites) {
    out.Text(composite.name);
    out.Number(composite.size);
    out.Number(composite.members.size());
    for (const DebuginfoMember& member : composite.members) {
      out.Text(member.name);
      out.Number(member.layout.bit_offset);
      out.Number(member.layout.bit_size);
      out.Number(static_cast<uint64_t>(member.layout.kind));
      out.Number(member.layout.elements);
      out.Text(member.layout.struct_name);
      out.Number(member.composite);
    }
  }
  out.Number(definitions.size());
  for (const uint32_t index : definitions) out.Number(index);
  return out.Take();
}

Result<DebuginfoTable> DebuginfoTable::Decode(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxBytes) {
    return Fail(ErrorCode::kLimit, "debuginfo: more than {} bytes of symbols and layouts",
                kMaxBytes);
  }
  Reader in(bytes);
  if (in.Number() != kMagic) {
    return Fail(ErrorCode::kMalformed, "debuginfo: the table does not begin as one");
  }
  DebuginfoTable table;
  for (std::string* text : {&table.build_id, &table.no_symbols, &table.no_types, &table.types_file,
                            &table.supplement}) {
    *text = in.Text();
  }
  table.symbols.resize(in.Count(kMaxSymbols));
  for (Symbol& symbol : table.symbols) {
    symbol.name = in.Text();
    symbol.address = in.Number();
  }
  const size_t composites = in.Count(kMaxComposites);
  size_t members = 0;
  for (size_t i = 0; i < composites && !in.failed(); ++i) {
    DebuginfoComposite& composite = table.composites.emplace_back();
    composite.name = in.Text();
    composite.size = in.Number();
    const size_t count = in.Count(kMaxMembers - members);
    members += count;
    composite.members.resize(count);
    for (DebuginfoMember& member : composite.members) {
      member.name = in.Text();
      member.layout.bit_offset = in.Number();
      member.layout.bit_size = in.Number();
      const uint64_t kind = in.Number();
      if (kind > static_cast<uint64_t>(MemberKind::kOther)) in.Fail();
      member.layout.kind = static_cast<MemberKind>(kind);
      member.layout.elements = in.Number();
      member.layout.struct_name = in.Text();
      const uint64_t index = in.Number();
      if (index >= composites && index != DebuginfoMember::kNone) in.Fail();
      member.composite = static_cast<uint32_t>(index);
    }
  }
  table.definitions.resize(in.Count(kMaxComposites));
  for (uint32_t& index : table.definitions) {
    const uint64_t value = in.Number();
    if (value >= composites) in.Fail();
    index = static_cast<uint32_t>(value);
  }
  if (in.failed() || !in.ended()) {
    return dmaudit::Fail(ErrorCode::kMalformed, "debuginfo: the table of {} bytes is damaged",
                         bytes.size());
  }
  return table;
}

}  // namespace dmaudit
