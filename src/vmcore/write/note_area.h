// SPDX-License-Identifier: GPL-2.0-or-later
// Notes as files hold them: name and descriptor padded to 4 bytes, little-endian.
#ifndef DMAUDIT_VMCORE_WRITE_NOTE_AREA_H_
#define DMAUDIT_VMCORE_WRITE_NOTE_AREA_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "vmcore/dump.h"

namespace dmaudit {

// Readers hold the notes in memory, and sizes are 32 bits in some of them.
inline constexpr uint64_t kMaxNoteAreaSize = uint64_t{64} << 20;

struct NoteArea {
  std::vector<std::byte> bytes;
  uint64_t vmcoreinfo_at = 0;  // of the text of the first VMCOREINFO, in `bytes`
  uint64_t vmcoreinfo_size = 0;
};

// All notes but those that `leaves_out` is true of. kLimit beyond kMaxNoteAreaSize.
Result<NoteArea> PackNotes(std::span<const DumpNote> notes,
                           const std::function<bool(const DumpNote&)>& leaves_out = nullptr);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_NOTE_AREA_H_
