// SPDX-License-Identifier: GPL-2.0-or-later
// The note by which a distilled dump says what was removed from it.
//
// Descriptor, little-endian: u32 version (1), u32 flags (bit 0: the payload is one zstd frame),
// u64 size of the stored payload, u64 size of the payload unpacked, u32 CRC-32 of the 24 bytes
// before it and of the stored payload, payload. The payload, in LEB128 numbers: the count of frame
// runs, then per run the gap to the end of the run before, the count of frames, the count of word
// runs, per word run (count << 3 | state code), and where a word is kept a u32 per frame, the
// CRC-32 of the frame as stored; the count of hints and per hint two strings (length, bytes), names
// strictly ascending; the count of provenance lines and those strings.
#ifndef DMAUDIT_VMCORE_MEMORY_REDACTION_NOTE_H_
#define DMAUDIT_VMCORE_MEMORY_REDACTION_NOTE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/memory/redaction.h"

namespace dmaudit {

inline constexpr std::string_view kDistillNoteName = "DMAUDIT";
inline constexpr uint32_t kDistillNoteType = 1;
// Stands in utsname.domainname of the header too. Where the notes are lost, a reader still knows
// that filler bytes are not data.
inline constexpr std::string_view kDistilledMark = "dmaudit-distilled";

struct DistillNote {
  RedactionMap map;
  // What a search found in the original, by name; to be verified again before use.
  std::map<std::string, std::string> hints;
  // Free text: tool version, format of the original. Neither paths nor host names.
  std::vector<std::string> provenance;
};

// The unpacked payload. 16 MiB hold more than a million scattered frames; parsing takes at most
// about fourteen times as much memory.
inline constexpr uint64_t kMaxDistillPayload = uint64_t{16} << 20;
// How much larger than its stored form a payload may be: the memory a note can claim stays in
// proportion to its size in the file.
inline constexpr uint64_t kMaxDistillPayloadRatio = 64;
inline constexpr uint64_t kMaxHints = 4096;
inline constexpr uint64_t kMaxProvenanceLines = 256;

// The descriptor of the note. kLimit when something exceeds the limits above.
Result<std::vector<std::byte>> EncodeDistillNote(const DistillNote& note);

// The inverse, for hostile input. kUnsupported for a newer version, kMalformed for damage. After an
// error nothing is known about which stored bytes are data.
Result<DistillNote> DecodeDistillNote(std::span<const std::byte> descriptor);

// The distill note among the notes of a dump: nothing when there is none, an error when it cannot
// be used or there are several.
Result<std::optional<DistillNote>> FindDistillNote(std::span<const DumpNote> notes);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_MEMORY_REDACTION_NOTE_H_
