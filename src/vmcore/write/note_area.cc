// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/note_area.h"

#include <algorithm>

#include "base/bytes.h"

namespace dmaudit {
namespace {

constexpr size_t kHeaderSize = 12;

size_t Padded(size_t size) { return (size + 3) / 4 * 4; }

size_t NameSize(const DumpNote& note) { return note.name.size() + 1; }

// Beyond kMaxNoteAreaSize: at least one more than that.
uint64_t PackedSize(std::span<const DumpNote> notes,
                    const std::function<bool(const DumpNote&)>& leaves_out) {
  uint64_t size = 0;
  for (const DumpNote& note : notes) {
    if (leaves_out && leaves_out(note)) continue;
    if (NameSize(note) > kMaxNoteAreaSize || note.descriptor.size() > kMaxNoteAreaSize) {
      return kMaxNoteAreaSize + 1;
    }
    size += kHeaderSize + Padded(NameSize(note)) + Padded(note.descriptor.size());
    if (size > kMaxNoteAreaSize) break;
  }
  return size;
}

}  // namespace

Result<NoteArea> PackNotes(std::span<const DumpNote> notes,
                           const std::function<bool(const DumpNote&)>& leaves_out) {
  const uint64_t size = PackedSize(notes, leaves_out);
  if (size > kMaxNoteAreaSize) {
    return Fail(ErrorCode::kLimit, "notes of more than {} bytes", kMaxNoteAreaSize);
  }
  NoteArea area;
  // At once: growing would take twice of it for a moment.
  area.bytes.reserve(static_cast<size_t>(size));
  for (const DumpNote& note : notes) {
    if (leaves_out && leaves_out(note)) continue;
    const size_t name_size = NameSize(note);
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
