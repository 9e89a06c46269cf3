// SPDX-License-Identifier: GPL-2.0-or-later
// The note in which an ELF vmcore written by dmaudit says what ELF has no words for: memory that is
// excluded, lost, truncated or corrupt. It is in no segment, so other readers find no memory there
// instead of zeros.
#ifndef DMAUDIT_VMCORE_CONTAINER_STATE_NOTE_H_
#define DMAUDIT_VMCORE_CONTAINER_STATE_NOTE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/address.h"
#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/memory/byte_state.h"

namespace dmaudit {

struct MissingRange {
  PhysRange range;
  ByteState state = ByteState::kLost;  // kLost, kTruncated, kCorrupt or kExcluded
};

// Descriptor: u32 version 1, u32 zero, then entries {u64 first, u64 last, u32 state, u32 zero},
// little-endian.
inline constexpr size_t kMissingRangeSize = 24;
// 48 MiB of note, most of what readers take of notes. A filter leaves a run of excluded memory
// behind every run that it keeps, and half as many as ELF has segments are still few.
inline constexpr uint64_t kMaxMissingRanges = uint64_t{1} << 21;

bool IsStateNote(const DumpNote& note);
std::array<std::byte, kMissingRangeSize> EncodeMissingRange(const MissingRange& missing);
DumpNote EncodeStateNote(std::span<const MissingRange> ranges);
// Calls `visit` with every range in the order of the note. kMalformed, and nothing is visited, when
// it is not what EncodeStateNote() gives.
Status VisitStateNote(const DumpNote& note, const std::function<void(const MissingRange&)>& visit);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_STATE_NOTE_H_
