// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/kallsyms_builder.h"

#include <fmt/format.h>

#include <array>

namespace dmaudit::test {

const std::vector<std::string>& KallsymsBuilder::Tokens() {
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

std::string KallsymsBuilder::Compress(const std::string& text) {
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

void KallsymsBuilder::Write(const Writer& write) const {
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

std::string KallsymsBuilder::Vmcoreinfo() const {
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

bool KallsymsBuilder::HasBase() const {
  return addresses == AddressForm::kAbsolutePerCpu || addresses == AddressForm::kBaseRelative;
}

std::string KallsymsBuilder::TokenTableText() {
  std::string table;
  for (const std::string& token : Tokens()) {
    table += token;
    table.push_back('\0');
  }
  return table;
}

std::string KallsymsBuilder::NameText(const Symbol& symbol) const {
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

std::string KallsymsBuilder::NamesText() const {
  std::string text;
  for (const Symbol& symbol : symbols) text += NameText(symbol);
  return text;
}

uint64_t KallsymsBuilder::Place(Table wanted) const {
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

}  // namespace dmaudit::test
