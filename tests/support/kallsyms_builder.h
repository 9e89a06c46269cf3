// SPDX-License-Identifier: GPL-2.0-or-later
// Builds kallsyms tables in every encoding.
#ifndef DMAUDIT_TESTS_SUPPORT_KALLSYMS_BUILDER_H_
#define DMAUDIT_TESTS_SUPPORT_KALLSYMS_BUILDER_H_

#include <fmt/format.h>

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
  static const std::vector<std::string>& Tokens() {
    static const std::vector<std::string> kTokens = [] {
      std::vector<std::string> tokens(TokenTable::kTokens);
      for (char c = ' '; c < 0x7f; ++c) tokens[static_cast<size_t>(c)] = std::string(1, c);
      tokens[1] = "iommu";
      tokens[2] = "Tdmar_";
      tokens[3] = "_units";
      return tokens;
    }();
    return kTokens;
  }

  static constexpr size_t kLongTokens = 4;  // tokens of several characters are below

  // Greedy: the longest token first.
  static std::string Compress(const std::string& text) {
    const std::vector<std::string>& tokens = Tokens();
    std::string out;
    for (size_t i = 0; i < text.size();) {
      size_t best = static_cast<unsigned char>(text[i]);
      for (size_t t = 1; t < kLongTokens; ++t) {
        if (tokens[t].size() > tokens[best].size() &&
            text.compare(i, tokens[t].size(), tokens[t]) == 0) {
          best = t;
        }
      }
      out.push_back(static_cast<char>(best));
      i += tokens[best].size();
    }
    return out;
  }

  void Write(const Writer& write) const {
    const auto number = [&](uint64_t where, uint64_t value, size_t size) {
      std::array<std::byte, 8> bytes{};
      StoreUnchecked<uint64_t>(bytes, 0, value);
      write(where, std::span(bytes).first(size));
    };
    // Each place costs a pass over the names.
    const uint64_t addresses_from = addresses_at();
    const uint64_t index_from = token_index_at();
    if (order != Order::kScattered) {
      const std::vector<std::byte> padding(static_cast<size_t>(end() - at));
      write(at, padding);
    }
    number(num_syms_at(), symbols.size(), 4);
    if (HasBase() || order == Order::kScattered) number(relative_base_at(), relative_base, 8);
    uint64_t token_at = 0;
    size_t index = 0;
    for (const std::string& token : Tokens()) {
      number(index_from + 2 * index++, token_at, 2);
      token_at += token.size() + 1;
    }
    write(token_table_at(), AsBytes(TokenTableText()));
    if (order != Order::kScattered) {
      uint64_t marker = markers_at();
      uint64_t offset = 0;
      for (size_t n = 0; n < symbols.size(); ++n) {
        if (n % kBlock == 0) {
          number(marker, offset, marker_width);
          marker += marker_width;
        }
        offset += NameText(symbols[n]).size();
      }
      // Sequence numbers sort the names: any bytes do.
      const uint64_t sequence_from = SequenceNumbersAt();
      for (uint64_t n = 0; sequence_numbers && n < symbols.size(); ++n) {
        number(sequence_from + 3 * n, n * 7919 % symbols.size(), 3);
      }
    }
    write(names_at(), AsBytes(NamesText()));
    uint64_t i = 0;
    for (const Symbol& symbol : symbols) {
      switch (addresses) {
        case AddressForm::kAbsolute:
          number(addresses_from + 8 * i, symbol.address, 8);
          break;
        case AddressForm::kBaseRelative:
          number(addresses_from + 4 * i, symbol.address - relative_base, 4);
          break;
        case AddressForm::kAbsolutePerCpu:
          number(addresses_from + 4 * i,
                 symbol.address < 0x80000000 ? symbol.address : relative_base - 1 - symbol.address,
                 4);
          break;
        case AddressForm::kPlaceRelative:
          number(addresses_from + 4 * i, symbol.address - (addresses_from + 4 * i), 4);
          break;
      }
      ++i;
    }
  }

  // What VMCOREINFO says of the tables.
  std::string Vmcoreinfo() const {
    std::string text = fmt::format(
        "SYMBOL(kallsyms_names)={:x}\nSYMBOL(kallsyms_num_syms)={:x}\n"
        "SYMBOL(kallsyms_token_table)={:x}\nSYMBOL(kallsyms_token_index)={:x}\n",
        names_at(), num_syms_at(), token_table_at(), token_index_at());
    if (addresses == AddressForm::kAbsolute) {
      text += fmt::format("SYMBOL(kallsyms_addresses)={:x}\n", addresses_at());
    } else {
      text += fmt::format("SYMBOL(kallsyms_offsets)={:x}\n", addresses_at());
      if (addresses != AddressForm::kPlaceRelative) {
        text += fmt::format("SYMBOL(kallsyms_relative_base)={:x}\n", relative_base_at());
      }
    }
    return text;
  }

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

  bool HasBase() const {
    return addresses == AddressForm::kAbsolutePerCpu || addresses == AddressForm::kBaseRelative;
  }
  uint64_t SequenceNumbersAt() const { return Place(Table::kSequenceNumbers); }

  static std::string TokenTableText() {
    std::string table;
    for (const std::string& token : Tokens()) {
      table += token;
      table.push_back('\0');
    }
    return table;
  }
  // A name with its length.
  std::string NameText(const Symbol& symbol) const {
    const std::string name = Compress(symbol.type + symbol.name);
    std::string text;
    if (lengths == LengthForm::kUleb128 && name.size() >= 128) {
      text.push_back(static_cast<char>((name.size() & 0x7f) | 0x80));
      text.push_back(static_cast<char>(name.size() >> 7));
    } else {
      text.push_back(static_cast<char>(name.size()));
    }
    return text + name;
  }
  std::string NamesText() const {
    std::string text;
    for (const Symbol& symbol : symbols) text += NameText(symbol);
    return text;
  }

  uint64_t Place(Table wanted) const {
    if (order == Order::kScattered) {
      switch (wanted) {
        case Table::kNumSyms:
          return at;
        case Table::kRelativeBase:
          return at + 0x10;
        case Table::kTokenIndex:
          return at + 0x100;
        case Table::kTokenTable:
          return at + 0x400;
        case Table::kAddresses:
          return at + 0x1000;
        default:
          return at + 0x8000;
      }
    }
    uint64_t next = at;
    const auto take = [&](Table table, uint64_t size) {
      if (table == wanted) return true;
      next = (next + size + alignment - 1) / alignment * alignment;
      return false;
    };
    const uint64_t count = symbols.size();
    const auto take_addresses = [&] {
      return take(Table::kAddresses, count * (addresses == AddressForm::kAbsolute ? 8 : 4)) ||
             (HasBase() && take(Table::kRelativeBase, 8));
    };
    if (order == Order::kAddressesFirst && take_addresses()) return next;
    if (take(Table::kNumSyms, marker_width) || take(Table::kNames, NamesText().size()) ||
        take(Table::kMarkers, (count + kBlock - 1) / kBlock * marker_width) ||
        take(Table::kSequenceNumbers, sequence_numbers ? 3 * count : 0) ||
        take(Table::kTokenTable, TokenTableText().size()) ||
        take(Table::kTokenIndex, 2 * TokenTable::kTokens)) {
      return next;
    }
    if (order == Order::kAddressesLast) take_addresses();
    return next;
  }
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_KALLSYMS_BUILDER_H_
