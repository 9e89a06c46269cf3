// SPDX-License-Identifier: GPL-2.0-or-later
// ELF notes, as both containers hold them.
#ifndef DMAUDIT_VMCORE_CONTAINER_NOTES_H_
#define DMAUDIT_VMCORE_CONTAINER_NOTES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/diagnostics.h"
#include "vmcore/dump.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// The device dumps of LINUX/0x700 notes are megabytes; more than this is no note area.
inline constexpr uint64_t kMaxNoteBytes = uint64_t{64} << 20;
// Two per CPU of the largest machines (8192), and room: a note can be as short as 12 bytes.
inline constexpr size_t kMaxNotes = 32768;

// Appends the notes in `area`, whose names and descriptors are padded to 4 bytes and whose headers
// are in byte order `order`. An all-zero header ends the list. What does not fit into the area is
// dropped with one diagnostic "note.malformed", what exceeds kMaxNotes with "note.budget";
// `context` names file and area, `base` is the area's file position.
void ParseNotes(std::span<const std::byte> area, FileOffset base, std::string_view context,
                std::vector<DumpNote>& notes, DiagnosticSink& sink,
                ByteOrder order = ByteOrder::kLittle);

// Reads the area and parses it; an area that is too large or reaches beyond the source is a
// diagnostic, and what of it can be read is parsed.
void ReadNotes(const ByteSource& source, FileOffset offset, uint64_t size, std::string_view context,
               std::vector<DumpNote>& notes, DiagnosticSink& sink,
               ByteOrder order = ByteOrder::kLittle);

bool HasNote(const std::vector<DumpNote>& notes, std::string_view name);

// Says, as diagnostic `id`, that the dump comes with a list of what makedumpfile erased from it.
void ReportErased(std::string_view id, std::string_view path, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_NOTES_H_
