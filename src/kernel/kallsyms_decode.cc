// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kallsyms_decode.h"

#include <algorithm>
#include <bitset>
#include <cstring>

#include "base/bytes.h"
#include "kernel/symbols.h"

namespace dmaudit {
namespace {

// KSYM_NAME_LEN is 512 from 6.1 on, and a token stands for at least one character.
constexpr size_t kMaxNameTokens = 512;
// A token is a piece of a name.
constexpr size_t kMaxTokenText = 512;
// Odd, so that no power of it is 0.
constexpr uint64_t kHashFactor = 0x9e37'79b9'7f4a'7c15;

// A window that slides over kernel memory page by page, so that the names need not be held as a
// whole.
class Stream {
 public:
  Stream(KernelReader& reader, KernelVa start) : reader_(reader), next_(start) {}

  // Makes `size` (at most kMaxNameTokens) bytes available, or says why they are not known.
  Status Need(size_t size) {
    while (available() < size) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, available());
      end_ -= begin_;
      begin_ = 0;
      // Up to a page border only: what follows the last name need not be readable.
      const size_t step = kPage - static_cast<size_t>(next_.OffsetIn(kPage));
      const Status status = reader_.Read(next_, std::span(buffer_).subspan(end_, step));
      if (!status) return status;
      end_ += step;
      const std::optional<KernelVa> next = next_.Plus(step);
      if (!next) return Fail(ErrorCode::kMalformed, "names reach the end of the address space");
      next_ = *next;
    }
    return {};
  }
  std::span<const std::byte> bytes() const {
    return std::span(buffer_).subspan(begin_, available());
  }
  void Skip(size_t size) { begin_ += size; }

 private:
  static constexpr size_t kPage = 4096;

  size_t available() const { return end_ - begin_; }

  KernelReader& reader_;
  KernelVa next_;
  std::array<std::byte, kPage + kMaxNameTokens> buffer_{};
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace

TokenTable::Step TokenTable::StepOf(std::string_view text) {
  Step step;
  for (const char c : text) {
    step.factor *= kHashFactor;
    step.value = step.value * kHashFactor + static_cast<unsigned char>(c);
  }
  return step;
}

uint64_t TokenTable::Hash(std::string_view name) { return StepOf(name).value; }

uint64_t TokenTable::Hash(std::span<const std::byte> name) const {
  if (name.empty()) return 0;
  uint64_t hash = first_step_[static_cast<size_t>(name[0])].value;
  for (const std::byte token : name.subspan(1)) {
    const Step& step = step_[static_cast<size_t>(token)];
    hash = hash * step.factor + step.value;
  }
  return hash;
}

std::string TokenTable::Expand(std::span<const std::byte> name) const {
  std::string text;
  for (const std::byte token : name) text += text_[static_cast<size_t>(token)];
  if (!text.empty()) text.erase(0, 1);
  return text;
}

Result<TokenTable> TokenTable::Read(KernelReader& reader, KernelVa table, KernelVa index) {
  std::array<std::byte, kTokens * 2> offsets{};
  if (const Status status = reader.Read(index, offsets); !status) {
    return Within("kallsyms_token_index", status.error());
  }
  TokenTable tokens;
  for (size_t i = 0; i < kTokens; ++i) {
    const std::optional<KernelVa> at = table.Plus(LoadUnchecked<uint16_t>(offsets, i * 2));
    if (!at) {
      return Fail(ErrorCode::kMalformed, "kallsyms_token_table {:#x}: out of range", table.value());
    }
    Result<std::string> text = reader.ReadString(*at, kMaxTokenText);
    if (!text) return Within("kallsyms_token_table", text.error());
    if (text->size() == kMaxTokenText) {
      return Fail(ErrorCode::kMalformed, "kallsyms_token_table: token {} at {:#x} has no end", i,
                  at->value());
    }
    tokens.text_[i] = std::move(*text);
    tokens.step_[i] = StepOf(tokens.text_[i]);
    tokens.first_step_[i] = StepOf(
        std::string_view(tokens.text_[i]).substr(std::min<size_t>(1, tokens.text_[i].size())));
  }
  return tokens;
}

Result<std::vector<NameHit>> ScanNames(KernelReader& reader, KernelVa names, uint32_t count,
                                       const TokenTable& tokens, LengthForm form,
                                       std::span<const std::string_view> wanted) {
  // The filter turns down nearly every name; what passes is compared by hash, then letter by
  // letter.
  constexpr unsigned kFilterBits = 12;
  std::bitset<size_t{1} << kFilterBits> filter;
  std::vector<uint64_t> hashes;
  for (const std::string_view name : wanted) {
    hashes.push_back(TokenTable::Hash(name));
    filter.set(hashes.back() >> (64 - kFilterBits));
  }
  std::vector<size_t> found(wanted.size(), 0);
  std::vector<NameHit> hits;
  Stream stream(reader, names);
  for (uint32_t index = 0; index < count; ++index) {
    size_t head = 1;
    Status status = stream.Need(head);
    if (!status) return Within("kallsyms_names", status.error());
    size_t length = static_cast<size_t>(stream.bytes()[0]);
    if (form == LengthForm::kUleb128 && length >= 128) {
      head = 2;
      status = stream.Need(head);
      if (!status) return Within("kallsyms_names", status.error());
      length = (length & 0x7f) | static_cast<size_t>(stream.bytes()[1]) << 7;
    }
    if (length == 0 || length > kMaxNameTokens) {
      return Fail(ErrorCode::kMalformed, "kallsyms_names: name {} has length {}, expected 1 to {}",
                  index, length, kMaxNameTokens);
    }
    stream.Skip(head);
    status = stream.Need(length);
    if (!status) return Within("kallsyms_names", status.error());
    const std::span<const std::byte> name = stream.bytes().first(length);
    const uint64_t hash = tokens.Hash(name);
    if (filter.test(hash >> (64 - kFilterBits))) {
      for (size_t i = 0; i < wanted.size(); ++i) {
        if (hashes[i] != hash || found[i] == SymbolTable::kMaxPerName) continue;
        if (tokens.Expand(name) != wanted[i]) continue;
        ++found[i];
        hits.push_back({index, i});
      }
    }
    stream.Skip(length);
  }
  return hits;
}

Result<KernelVa> DecodeAddress(KernelReader& reader, const AddressTables& tables, AddressForm form,
                               uint32_t index) {
  if (form == AddressForm::kAbsolute) {
    if (!tables.addresses) return Fail(ErrorCode::kNotFound, "no kallsyms_addresses");
    const std::optional<KernelVa> at = tables.addresses->Plus(uint64_t{index} * 8);
    if (!at) return Fail(ErrorCode::kMalformed, "kallsyms_addresses: out of range");
    const Result<uint64_t> address = reader.ReadU64(*at);
    if (!address) return Within("kallsyms_addresses", address.error());
    return KernelVa(*address);
  }
  if (!tables.offsets) return Fail(ErrorCode::kNotFound, "no kallsyms_offsets");
  const std::optional<KernelVa> at = tables.offsets->Plus(uint64_t{index} * 4);
  if (!at) return Fail(ErrorCode::kMalformed, "kallsyms_offsets: out of range");
  const Result<uint32_t> raw = reader.ReadU32(*at);
  if (!raw) return Within("kallsyms_offsets", raw.error());
  // Sign-extended; all sums are modulo 2^64, and a wrong one fails the comparison of _stext.
  const uint64_t offset = static_cast<uint64_t>(int64_t{static_cast<int32_t>(*raw)});
  if (form == AddressForm::kPlaceRelative) return KernelVa(at->value() + offset);
  if (!tables.relative_base) return Fail(ErrorCode::kNotFound, "no kallsyms_relative_base");
  if (form == AddressForm::kBaseRelative) return KernelVa(*tables.relative_base + *raw);
  const bool negative = (*raw >> 31) != 0;
  return KernelVa(negative ? *tables.relative_base - 1 - offset : offset);
}

}  // namespace dmaudit
