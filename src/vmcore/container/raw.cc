// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/raw.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "vmcore/container/segment_map.h"
#include "vmcore/container/segment_memory.h"

namespace dmaudit {

Result<Dump> OpenRaw(std::shared_ptr<const ByteSource> source, const std::string& path,
                     PhysAddr base, DiagnosticSink& sink) {
  const std::optional<PhysRange> range = PhysRange::FromSize(base, source->size());
  if (!range) {
    return Fail(ErrorCode::kUsage,
                "{}: {:#x} bytes of raw memory from {:#x} on leave the physical address space",
                path, source->size(), base.value());
  }
  sink.Incomplete("raw.no-states",
                  "{}: a raw image does not tell zeros of memory from padding where there was no "
                  "memory or it was not read",
                  path);
  Dump dump;
  dump.info.format = "raw memory";
  dump.info.format_detail = fmt::format("from {:#x} on, as asked for by --raw", base.value());
  SegmentMap map({{*range, FileOffset(0), ByteState::kData}},
                 [](PhysRange, FileOffset, FileOffset) {});
  dump.memory = std::make_unique<SegmentMemory>(std::move(source), std::move(map));
  return dump;
}

}  // namespace dmaudit
