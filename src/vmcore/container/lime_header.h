// SPDX-License-Identifier: GPL-2.0-or-later
// The header that LiME and AVML put in front of every range of memory.
#ifndef DMAUDIT_VMCORE_CONTAINER_LIME_HEADER_H_
#define DMAUDIT_VMCORE_CONTAINER_LIME_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/result.h"

namespace dmaudit {

inline constexpr size_t kLimeHeaderSize = 32;
inline constexpr uint32_t kLimeMagic = 0x4c694d45;  // "EMiL" in the file, version 1
inline constexpr uint32_t kAvmlMagic = 0x4c4d5641;  // "AVML" in the file, version 2

// The range of memory that a header announces. Fails when `raw` is not a whole header of this magic
// and version, or its end lies before its start.
Result<PhysRange> ParseLimeHeader(std::span<const std::byte> raw, uint32_t magic, uint32_t version);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_LIME_HEADER_H_
