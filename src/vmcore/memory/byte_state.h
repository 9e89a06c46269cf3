// SPDX-License-Identifier: GPL-2.0-or-later
// What is known about a stretch of dumped memory.
#ifndef DMAUDIT_VMCORE_MEMORY_BYTE_STATE_H_
#define DMAUDIT_VMCORE_MEMORY_BYTE_STATE_H_

#include <cstdint>
#include <string_view>

namespace dmaudit {

enum class ByteState : uint8_t {
  kData,       // the bytes are in the dump
  kZero,       // the format itself states that they are zero
  kExcluded,   // RAM that the dump filter left out: content unknown
  kAbsent,     // the container does not describe this address; that is not to say it is not RAM
  kLost,       // the writer meant to store it and did not (incomplete dump)
  kTruncated,  // stored beyond the end of the file
  kCorrupt,    // stored, and undecodable
  kRedacted,   // removed on purpose by dmaudit distill
};
inline constexpr unsigned kByteStateCount = 8;

// Whether bytes in this state have a known value.
constexpr bool IsReadable(ByteState state) {
  return state == ByteState::kData || state == ByteState::kZero;
}

// "data", "zero", "excluded", "absent", "lost", "truncated", "corrupt", "redacted".
std::string_view ToString(ByteState state);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_MEMORY_BYTE_STATE_H_
