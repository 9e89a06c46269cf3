// SPDX-License-Identifier: GPL-2.0-or-later
// VMCOREINFO: the text note in which a kernel publishes addresses and sizes for its dump's readers.
#ifndef DMAUDIT_KERNEL_VMCOREINFO_H_
#define DMAUDIT_KERNEL_VMCOREINFO_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/diagnostics.h"
#include "base/result.h"

namespace dmaudit {

class Vmcoreinfo {
 public:
  // `text` is the note's descriptor. Lines are KEY=value; a line without '=' or a repeated key with
  // another value is a diagnostic. An error when there is not one usable line, or the text is
  // larger than any kernel writes.
  static Result<Vmcoreinfo> Parse(std::string_view text, DiagnosticSink& sink);

  // The raw value of a key such as "OSRELEASE" or "SYMBOL(_stext)".
  std::optional<std::string_view> Get(std::string_view key) const;
  // SYMBOL(name)=hex
  std::optional<KernelVa> Symbol(std::string_view name) const;
  // NUMBER(name)=decimal (signed) or 0xhex
  std::optional<int64_t> Number(std::string_view name) const;
  // SIZE(name), OFFSET(type.member), LENGTH(name): decimal
  std::optional<uint64_t> Size(std::string_view name) const;
  std::optional<uint64_t> Offset(std::string_view name) const;
  std::optional<uint64_t> Length(std::string_view name) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_VMCOREINFO_H_
