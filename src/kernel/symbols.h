// SPDX-License-Identifier: GPL-2.0-or-later
// Addresses of the kernel symbols that discovery asked for.
#ifndef DMAUDIT_KERNEL_SYMBOLS_H_
#define DMAUDIT_KERNEL_SYMBOLS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace dmaudit {

class SymbolTable {
 public:
  // More addresses of one name are not kept: two already make the name useless.
  static constexpr size_t kMaxPerName = 16;

  SymbolTable() = default;
  // `from` says where the addresses come from: "kallsyms (VMCOREINFO)", or "none: <reason>".
  explicit SymbolTable(std::string from) : from_(std::move(from)) {}

  void Add(std::string_view name, KernelVa address);
  // The name is in the table, but the word that holds its address cannot be read.
  void AddUnread(std::string_view name, const Error& why);

  // The address of a name that is there once, kUnknown when it cannot be read; names are not unique
  // in a kernel, and of several objects none is the right one by itself. The error names the
  // symbol.
  Result<KernelVa> Find(std::string_view name) const;
  // Whether the table has the name, with an address that can be read or not.
  bool Has(std::string_view name) const;
  // Find without the reason.
  std::optional<KernelVa> Get(std::string_view name) const;
  // Every address of a name, in table order; empty when there is none.
  const std::vector<KernelVa>& All(std::string_view name) const;

  const std::string& from() const { return from_; }
  const std::map<std::string, std::vector<KernelVa>, std::less<>>& entries() const {
    return entries_;
  }

 private:
  std::string from_;
  std::map<std::string, std::vector<KernelVa>, std::less<>> entries_;
  std::map<std::string, Error, std::less<>> unread_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_SYMBOLS_H_
