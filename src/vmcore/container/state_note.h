// SPDX-License-Identifier: GPL-2.0-or-later
// The note in which an ELF vmcore written by dmaudit says what ELF has no words for: memory that is
// lost, truncated or corrupt. It is in no segment, so other readers find no memory there.
#ifndef DMAUDIT_VMCORE_CONTAINER_STATE_NOTE_H_
#define DMAUDIT_VMCORE_CONTAINER_STATE_NOTE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/memory/byte_state.h"

namespace dmaudit {

struct DamagedRange {
  PhysRange range;
  ByteState state = ByteState::kLost;  // kLost, kTruncated or kCorrupt
};

// Descriptor: u32 version 1, u32 zero, then entries {u64 first, u64 last, u32 state, u32 zero},
// little-endian.
inline constexpr uint64_t kDamagedRangeSize = 24;
// 24 MiB of note: what many damages take is no longer one dump.
inline constexpr uint64_t kMaxDamagedRanges = uint64_t{1} << 20;

bool IsStateNote(const DumpNote& note);
DumpNote EncodeStateNote(std::span<const DamagedRange> ranges);
// kMalformed when it is not what EncodeStateNote() gives.
Result<std::vector<DamagedRange>> DecodeStateNote(const DumpNote& note);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_STATE_NOTE_H_
