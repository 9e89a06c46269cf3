// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/lime_header.h"

#include "base/bytes.h"

namespace dmaudit {

Result<PhysRange> ParseLimeHeader(std::span<const std::byte> raw, uint32_t magic,
                                  uint32_t version) {
  // u32 magic, u32 version, u64 first and last address, 8 bytes reserved.
  if (raw.size() < kLimeHeaderSize) {
    return Fail(ErrorCode::kMalformed, "{} bytes hold no range header", raw.size());
  }
  const uint32_t found_magic = LoadUnchecked<uint32_t>(raw, 0);
  const uint32_t found_version = LoadUnchecked<uint32_t>(raw, 4);
  if (found_magic != magic || found_version != version) {
    return Fail(ErrorCode::kMalformed,
                "range header has magic {:#x} and version {}, expected {:#x} and {}", found_magic,
                found_version, magic, version);
  }
  const PhysRange range{PhysAddr(LoadUnchecked<uint64_t>(raw, 8)),
                        PhysAddr(LoadUnchecked<uint64_t>(raw, 16))};
  if (range.last < range.first) {
    return Fail(ErrorCode::kMalformed, "range header goes from {:#x} back to {:#x}",
                range.first.value(), range.last.value());
  }
  return range;
}

}  // namespace dmaudit
