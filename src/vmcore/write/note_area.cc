// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/note_area.h"

#include <algorithm>

#include "base/bytes.h"

namespace dmaudit {
namespace {

constexpr size_t kHeaderSize = 12;

size_t Padded(size_t size) { return (size + 3) / 4 * 4; }

}  // namespace

Result<NoteArea> PackNotes(std::span<const DumpNote> notes, std::string_view without) {
  NoteArea area;
  for (const DumpNote& note : notes) {
    if (!without.empty() && note.name == without) continue;
    const size_t name_size = note.name.size() + 1;
    const bool fits =
        name_size <= kMaxNoteAreaSize && note.descriptor.size() <= kMaxNoteAreaSize &&
        area.bytes.size() + kHeaderSize + Padded(name_size) + Padded(note.descriptor.size()) <=
            kMaxNoteAreaSize;
    if (!fits) return Fail(ErrorCode::kLimit, "notes of more than {} bytes", kMaxNoteAreaSize);
    const size_t start = area.bytes.size();
    const size_t descriptor_at = start + kHeaderSize + Padded(name_size);
    area.bytes.resize(descriptor_at + Padded(note.descriptor.size()));
    StoreUnchecked<uint32_t>(area.bytes, start, static_cast<uint32_t>(name_size));
    StoreUnchecked<uint32_t>(area.bytes, start + 4, static_cast<uint32_t>(note.descriptor.size()));
    StoreUnchecked<uint32_t>(area.bytes, start + 8, note.type);
    std::ranges::copy(AsBytes(note.name),
                      area.bytes.begin() + static_cast<std::ptrdiff_t>(start + kHeaderSize));
    std::ranges::copy(note.descriptor,
                      area.bytes.begin() + static_cast<std::ptrdiff_t>(descriptor_at));
    if (note.name == "VMCOREINFO" && area.vmcoreinfo_size == 0) {
      area.vmcoreinfo_at = descriptor_at;
      area.vmcoreinfo_size = note.descriptor.size();
    }
  }
  return area;
}

}  // namespace dmaudit
