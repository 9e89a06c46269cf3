// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernel/vmcoreinfo.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dmaudit::DiagnosticSink sink;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto info = dmaudit::Vmcoreinfo::Parse(text, sink);
  if (!info) return 0;
  static_cast<void>(info->Get("OSRELEASE"));
  static_cast<void>(info->Symbol("_stext"));
  static_cast<void>(info->Number("phys_base"));
  static_cast<void>(info->Size("list_head"));
  static_cast<void>(info->Offset("list_head.next"));
  static_cast<void>(info->Length("zone.free_area"));
  return 0;
}
