// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/symbols.h"

namespace dmaudit {

void SymbolTable::Add(std::string_view name, KernelVa address) {
  std::vector<KernelVa>& addresses = entries_[std::string(name)];
  if (addresses.size() < kMaxPerName) addresses.push_back(address);
}

Result<KernelVa> SymbolTable::Find(std::string_view name) const {
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
  const std::vector<KernelVa>& addresses = All(name);
  if (addresses.size() != 1) return std::nullopt;
  return addresses.front();
}

const std::vector<KernelVa>& SymbolTable::All(std::string_view name) const {
  static const std::vector<KernelVa> kNone;
  const auto it = entries_.find(name);
  return it == entries_.end() ? kNone : it->second;
}

}  // namespace dmaudit
