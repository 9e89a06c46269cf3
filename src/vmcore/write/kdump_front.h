// SPDX-License-Identifier: GPL-2.0-or-later
// What is in front of the pages of a kdump-compressed file: where everything lies, the headers, the
// bitmaps.
#ifndef DMAUDIT_VMCORE_WRITE_KDUMP_FRONT_H_
#define DMAUDIT_VMCORE_WRITE_KDUMP_FRONT_H_

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "vmcore/write/atomic_file.h"
#include "vmcore/write/kdump_writer.h"
#include "vmcore/write/note_area.h"

namespace dmaudit {

inline constexpr size_t kKdumpDescriptorSize = 24;

// Where everything lies, known before the first page is compressed.
struct KdumpPlan {
  uint64_t max_mapnr = 0;  // page frames, one more than the last
  uint64_t pages = 0;
  uint64_t sub_header_blocks = 0;
  uint64_t one_bitmap_blocks = 0;
  uint64_t bitmap1_at = 0;
  uint64_t bitmap2_at = 0;
  uint64_t descriptors_at = 0;
  uint64_t data_at = 0;
};

// A place in the file and a size; none where the size is 0.
struct KdumpExtra {
  uint64_t at = 0;
  uint64_t size = 0;
};

// Asks `content` for all its ranges and pages. kUsage for a description that no reader takes,
// kLimit beyond kMaxKdumpAddress and kMaxKdumpBitmapBytes.
Result<KdumpPlan> PlanKdump(const KdumpDescription& header, const KdumpContent& content,
                            uint64_t notes_size);

// `erased` is the list of erased symbols, `status` the flags of the main header.
Status WriteKdumpHeaders(const KdumpDescription& header, const KdumpPlan& layout,
                         const NoteArea& notes, const KdumpExtra& erased, uint32_t status,
                         AtomicFile& file);

// Both of them. kMalformed when ranges or pages of `content` do not ascend.
Status WriteKdumpBitmaps(const KdumpContent& content, const KdumpPlan& layout, uint32_t block_size,
                         AtomicFile& file);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_KDUMP_FRONT_H_
