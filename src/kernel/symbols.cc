// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/symbols.h"

namespace dmaudit {

void SymbolTable::Add(std::string_view name, KernelVa address) {
  std::vector<KernelVa>& addresses = entries_[std::string(name)];
  if (addresses.size() < kMaxPerName) addresses.push_back(address);
}

void SymbolTable::AddUnread(std::string_view name, const Error& why) {
  unread_.try_emplace(std::string(name), why);
}

bool SymbolTable::Has(std::string_view name) const {
  return !All(name).empty() || unread_.find(name) != unread_.end();
}

Result<KernelVa> SymbolTable::Find(std::string_view name) const {
  const auto unread = unread_.find(name);
  if (unread != unread_.end()) return Within(name, unread->second);
  const std::vector<KernelVa>& addresses = All(name);
  if (addresses.empty()) {
    return Fail(ErrorCode::kNotFound, "symbol {} not found", name);
  }
  if (addresses.size() > 1) {
    return Fail(ErrorCode::kNotFound, "symbol {} is ambiguous: {:#x} and {:#x}", name,
                addresses[0].value(), addresses[1].value());
  }
  return addresses.front();
}

std::optional<KernelVa> SymbolTable::Get(std::string_view name) const {
  const Result<KernelVa> address = Find(name);
  if (!address) return std::nullopt;
  return *address;
}

const std::vector<KernelVa>& SymbolTable::All(std::string_view name) const {
  static const std::vector<KernelVa> kNone;
  const auto it = entries_.find(name);
  return it == entries_.end() ? kNone : it->second;
}

}  // namespace dmaudit
