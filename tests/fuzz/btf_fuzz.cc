// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernel/btf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  constexpr std::array<std::string_view, 2> kWanted = {"unit", "intel_iommu"};
  const auto btf = dmaudit::Btf::Parse({bytes.begin(), bytes.end()}, kWanted, "BTF");
  if (!btf) return 0;
  for (const std::string_view type : {"unit", "intel_iommu", "list_head", ""}) {
    static_cast<void>(btf->SizeOf(type));
    for (const std::string_view path : {"base", "ignored", "cap", "name", "link.next", "iommu"}) {
      static_cast<void>(btf->Member(type, path));
    }
  }
  return 0;
}
