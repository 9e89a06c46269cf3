// SPDX-License-Identifier: GPL-2.0-or-later
// All stored pages, for searches: as many at a time as lie together.
#ifndef DMAUDIT_VMCORE_MEMORY_STORED_RUNS_H_
#define DMAUDIT_VMCORE_MEMORY_STORED_RUNS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/address.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

// A read of the file costs as much as the bytes of a few pages; a run stays in the processor's
// cache.
inline constexpr size_t kMaxRunBytes = size_t{1} << 16;

// Which pages.
struct StoredRunLimits {
  uint64_t pages = UINT64_MAX;  // at most so many
  uint32_t stored_size = 0;     // only those of which the container stores at least so many bytes
};

struct StoredRuns {
  uint64_t pages = 0;    // that `visit` got
  bool cut_off = false;  // there are more than the limit allows
};

// Calls `visit` with the bytes of stored pages, ascending: whole pages that follow each other in
// memory and in the file, at most kMaxRunBytes (one page where the container decodes page by page).
// Bytes that are not known are zero here: what is found is to be read again. Stops when `visit`
// returns false.
StoredRuns VisitStoredRuns(
    const PhysicalMemory& memory, const StoredRunLimits& limits,
    const std::function<bool(PhysAddr first, std::span<const std::byte> bytes)>& visit);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_MEMORY_STORED_RUNS_H_
