// SPDX-License-Identifier: GPL-2.0-or-later
// Builds kallsyms tables in every encoding.
#ifndef DMAUDIT_TESTS_SUPPORT_KALLSYMS_BUILDER_H_
#define DMAUDIT_TESTS_SUPPORT_KALLSYMS_BUILDER_H_

#include <functional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "kernel/kallsyms_decode.h"

namespace dmaudit::test {

struct KallsymsBuilder {
  struct Symbol {
    char type;
    std::string name;
    uint64_t address;
  };
  using Writer = std::function<void(uint64_t address, std::span<const std::byte>)>;

  // How the tables lie in memory.
  enum class Order {
    kScattered,       // at fixed places, for readers that are told where
    kAddressesFirst,  // as 6.3 and earlier: addresses, number, names, markers, tokens, index
    kAddressesLast,   // as 6.4 and later: number, names, markers, tokens, index, addresses
  };

  std::vector<Symbol> symbols;
  LengthForm lengths = LengthForm::kUleb128;
  AddressForm addresses = AddressForm::kPlaceRelative;
  uint64_t relative_base = 0xffffffff81000000;
  // Where the tables go; scattered names last, so that they may grow.
  uint64_t at = 0xffffffff82000000;
  Order order = Order::kScattered;
  // Of tables in order only.
  size_t marker_width = 4;
  uint64_t alignment = 8;
  bool sequence_numbers = false;  // 6.1 to 6.3: three bytes a symbol between markers and tokens

  static constexpr size_t kBlock = 256;  // symbols for one marker

  uint64_t num_syms_at() const { return Place(Table::kNumSyms); }
  uint64_t relative_base_at() const { return Place(Table::kRelativeBase); }
  uint64_t token_index_at() const { return Place(Table::kTokenIndex); }
  uint64_t token_table_at() const { return Place(Table::kTokenTable); }
  uint64_t addresses_at() const { return Place(Table::kAddresses); }
  uint64_t names_at() const { return Place(Table::kNames); }
  uint64_t markers_at() const { return Place(Table::kMarkers); }
  uint64_t end() const { return Place(Table::kEnd); }

  // Tokens: every printable character, and a few longer ones in the places of control characters.
  static const std::vector<std::string>& Tokens();

  static constexpr size_t kLongTokens = 4;  // tokens of several characters are below

  // Greedy: the longest token first.
  static std::string Compress(const std::string& text);

  void Write(const Writer& write) const;

  // What VMCOREINFO says of the tables.
  std::string Vmcoreinfo() const;

 private:
  enum class Table {
    kNumSyms,
    kRelativeBase,
    kTokenIndex,
    kTokenTable,
    kAddresses,
    kNames,
    kMarkers,
    kSequenceNumbers,
    kEnd
  };

  bool HasBase() const;
  uint64_t SequenceNumbersAt() const { return Place(Table::kSequenceNumbers); }

  static std::string TokenTableText();
  // A name with its length.
  std::string NameText(const Symbol& symbol) const;
  std::string NamesText() const;

  uint64_t Place(Table wanted) const;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_KALLSYMS_BUILDER_H_
