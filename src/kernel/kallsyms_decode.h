// SPDX-License-Identifier: GPL-2.0-or-later
// The encodings of the kallsyms tables: tokens, name lengths, addresses.
#ifndef DMAUDIT_KERNEL_KALLSYMS_DECODE_H_
#define DMAUDIT_KERNEL_KALLSYMS_DECODE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "kernel/kernel_reader.h"

namespace dmaudit {

// The 256 strings that name bytes stand for. A name is the concatenation of its tokens; the first
// character is the symbol's type letter.
class TokenTable {
 public:
  static constexpr size_t kTokens = 256;

  // kallsyms_token_table and kallsyms_token_index.
  static Result<TokenTable> Read(KernelReader& reader, KernelVa table, KernelVa index);

  // The name without its type letter.
  std::string Expand(std::span<const std::byte> name) const;

  // Hash of a plain name, and of a compressed one without expanding it: equal for equal names.
  static uint64_t Hash(std::string_view name);
  uint64_t Hash(std::span<const std::byte> name) const;

 private:
  // A polynomial hash appends a token in one step: hash * factor + value.
  struct Step {
    uint64_t factor = 1;
    uint64_t value = 0;
  };
  static Step StepOf(std::string_view text);

  std::array<std::string, kTokens> text_;
  std::array<Step, kTokens> step_;
  std::array<Step, kTokens> first_step_;  // without the type letter
};

// How the length in front of a name is written.
enum class LengthForm : uint8_t {
  kUleb128,  // 6.1 and later: seven bits, and seven more when the top bit is set
  kOneByte,
};

// How an address is written.
enum class AddressForm : uint8_t {
  kAbsolute,        // kallsyms_addresses: 64 bits
  kAbsolutePerCpu,  // kallsyms_offsets: not negative the value itself, negative base - 1 - offset
  kBaseRelative,    // kallsyms_offsets: base + unsigned offset
  kPlaceRelative,   // kallsyms_offsets: address of the offset + signed offset (7.0 and later)
};

// Symbol number `index` has name number `wanted` of the list that was asked for.
struct NameHit {
  uint32_t index;
  size_t wanted;
};

// Looks through `count` names from `names` on for the wanted ones, in one pass. At most
// SymbolTable::kMaxPerName hits per name. kMalformed when a length makes no sense, kUnknown when
// the names are not in the dump.
Result<std::vector<NameHit>> ScanNames(KernelReader& reader, KernelVa names, uint32_t count,
                                       const TokenTable& tokens, LengthForm form,
                                       std::span<const std::string_view> wanted);

// Where addresses are.
struct AddressTables {
  std::optional<KernelVa> addresses;      // kallsyms_addresses
  std::optional<KernelVa> offsets;        // kallsyms_offsets
  std::optional<uint64_t> relative_base;  // value of kallsyms_relative_base
};

// Address of symbol `index`; kNotFound when the tables of that form are not there.
Result<KernelVa> DecodeAddress(KernelReader& reader, const AddressTables& tables, AddressForm form,
                               uint32_t index);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_KALLSYMS_DECODE_H_
