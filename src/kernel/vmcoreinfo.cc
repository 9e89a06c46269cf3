// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/vmcoreinfo.h"

#include <fmt/format.h>

#include "base/number.h"

namespace dmaudit {
namespace {

// A kernel writes at most one page; 16 pages leave room for other writers of the note.
constexpr size_t kMaxText = size_t{64} << 10;
// Long enough for every value a kernel prints, short enough for a message.
constexpr size_t kMaxQuoted = 64;

std::string_view Quoted(std::string_view text) { return text.substr(0, kMaxQuoted); }

std::string Wrapped(std::string_view kind, std::string_view name) {
  return fmt::format("{}({})", kind, name);
}

std::optional<uint64_t> Decimal(std::optional<std::string_view> text) {
  return text ? ParseDecimal(*text) : std::nullopt;
}

}  // namespace

Result<Vmcoreinfo> Vmcoreinfo::Parse(std::string_view text, DiagnosticSink& sink) {
  // The descriptor is padded with NUL, and some writers reserve the whole page for it.
  text = text.substr(0, text.find('\0'));
  if (text.size() > kMaxText) {
    return Fail(ErrorCode::kLimit, "VMCOREINFO: {} bytes of text, at most {} are expected",
                text.size(), kMaxText);
  }
  Vmcoreinfo info;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      sink.Note("kernel.vmcoreinfo", "VMCOREINFO: line '{}' is not KEY=value", Quoted(line));
      continue;
    }
    const std::string_view value = line.substr(equals + 1);
    const auto [known, fresh] =
        info.values_.try_emplace(std::string(line.substr(0, equals)), value);
    if (!fresh && known->second != value) {
      sink.Note("kernel.vmcoreinfo", "VMCOREINFO: {} is given twice, as '{}' and as '{}'",
                Quoted(known->first), Quoted(known->second), Quoted(value));
    }
  }
  if (info.values_.empty()) {
    return Fail(ErrorCode::kMalformed, "VMCOREINFO: not one line of the form KEY=value");
  }
  return info;
}

std::optional<std::string_view> Vmcoreinfo::Get(std::string_view key) const {
  const auto it = values_.find(key);
  if (it == values_.end()) return std::nullopt;
  return it->second;
}

std::optional<KernelVa> Vmcoreinfo::Symbol(std::string_view name) const {
  const std::optional<std::string_view> text = Get(Wrapped("SYMBOL", name));
  const std::optional<uint64_t> value = text ? ParseHex(*text) : std::nullopt;
  if (!value) return std::nullopt;
  return KernelVa(*value);
}

std::optional<int64_t> Vmcoreinfo::Number(std::string_view name) const {
  const std::optional<std::string_view> text = Get(Wrapped("NUMBER", name));
  if (!text) return std::nullopt;
  if (text->starts_with("0x")) {
    const std::optional<uint64_t> value = ParseHex(*text);
    if (!value) return std::nullopt;
    return static_cast<int64_t>(*value);
  }
  return ParseSignedDecimal(*text);
}

std::optional<uint64_t> Vmcoreinfo::Size(std::string_view name) const {
  return Decimal(Get(Wrapped("SIZE", name)));
}
std::optional<uint64_t> Vmcoreinfo::Offset(std::string_view name) const {
  return Decimal(Get(Wrapped("OFFSET", name)));
}
std::optional<uint64_t> Vmcoreinfo::Length(std::string_view name) const {
  return Decimal(Get(Wrapped("LENGTH", name)));
}

}  // namespace dmaudit
