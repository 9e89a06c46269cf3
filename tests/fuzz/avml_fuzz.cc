// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fuzz/read_dump.h"
#include "vmcore/container/avml.h"
#include "vmcore/io/memory_source.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  auto source =
      std::make_shared<dmaudit::MemorySource>(std::vector<std::byte>(bytes.begin(), bytes.end()));
  dmaudit::DiagnosticSink sink;
  if (const auto dump = dmaudit::OpenAvml(std::move(source), "input", sink)) {
    dmaudit::fuzz::ReadDump(*dump);
  }
  return 0;
}
