// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/btf_load.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

namespace dmaudit {
Result<Btf> LoadBtf(const SymbolTable& symbols, KernelReader& reader,
                    std::span<const std::string_view> wanted) {
  // 5.7 and later, then the names of 5.2 to 5.6.
  for (size_t i = 0; i < kBtfBounds.size(); i += 2) {
    const std::optional<KernelVa> start = symbols.Get(kBtfBounds[i]);
    const std::optional<KernelVa> stop = symbols.Get(kBtfBounds[i + 1]);
    if (!start || !stop) continue;
    if (*stop <= *start || stop->value() - start->value() > kMaxBtf) {
      return Fail(ErrorCode::kMalformed, "BTF from {:#x} to {:#x}: expected 1 to {} bytes",
                  start->value(), stop->value(), kMaxBtf);
    }
    std::vector<std::byte> blob(static_cast<size_t>(stop->value() - start->value()));
    if (const Status status = reader.Read(*start, blob); !status) {
      return Within("BTF", status.error());
    }
    return Btf::Parse(std::move(blob), wanted, fmt::format("BTF ({})", kBtfBounds[i]));
  }
  return Fail(ErrorCode::kNotFound, "no symbols {} and {}", kBtfBounds[0], kBtfBounds[1]);
}

}  // namespace dmaudit
