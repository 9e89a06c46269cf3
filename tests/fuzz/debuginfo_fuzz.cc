// SPDX-License-Identifier: GPL-2.0-or-later
// The table that the process sends back which parses a vmlinux: as hostile as the file.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "kernel/debuginfo_table.h"
#include "kernel/dwarf_types.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto table = dmaudit::DebuginfoTable::Decode(bytes);
  if (!table) return 0;
  // What was understood says the same again.
  const auto again = table->Encode();
  if (again.size() != bytes.size() || !std::equal(again.begin(), again.end(), bytes.begin()))
    abort();
  const dmaudit::DwarfTypes types(*table, "DWARF");
  for (const std::string_view type : {"intel_iommu", "resource", "list_head", ""}) {
    static_cast<void>(types.SizeOf(type));
    for (const std::string_view path : {"cap", "iommu.ops", "inner", "iommu.list.next", "..", ""}) {
      static_cast<void>(types.Member(type, path));
    }
  }
  return 0;
}
