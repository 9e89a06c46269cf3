// SPDX-License-Identifier: GPL-2.0-or-later
// Writes ELF vmcores: 64-bit, little-endian, one PT_NOTE, then a PT_LOAD for each run of memory.
#ifndef DMAUDIT_VMCORE_WRITE_ELF_WRITER_H_
#define DMAUDIT_VMCORE_WRITE_ELF_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "vmcore/container/state_note.h"
#include "vmcore/dump.h"
#include "vmcore/memory/byte_state.h"
#include "vmcore/write/atomic_file.h"
#include "vmcore/write/positioned_stream.h"

namespace dmaudit {

// What an ELF vmcore says beside its memory. Virtual addresses of segments are how makedumpfile
// learns where the kernel sees physical memory; without them they are 0.
struct ElfDescription {
  std::string machine = "x86_64";  // as in ElfHeader or utsname
  // The virtual address of physical address 0 in the kernel's map of all memory.
  std::optional<uint64_t> direct_map;
  // The kernel image: a second segment with virtual addresses of its own over the same bytes.
  std::optional<DumpInfo::VirtualSegment> image;
};

// Bytes of memory by what became of them. Those that are not stored are in no segment, so that no
// reader takes them for zeros; a note says what they are (state_note.h).
struct ElfSummary {
  uint64_t loads = 0;
  uint64_t stored = 0;
  uint64_t lost = 0, truncated = 0, corrupt = 0;
};

// What has to be set aside before the first byte of memory is written.
struct ElfRoom {
  uint64_t loads = 0;
  uint64_t missing = 0;    // entries of the note
  uint64_t data_size = 0;  // of the stored memory, padding included
};

// Joins states of memory into runs.
class ElfRuns {
 public:
  struct Run {
    PhysRange range;
    ByteState state;  // kData for all that is stored
    uint64_t at = 0;  // of what is stored, in the data; padding is part of it
  };

  // Ranges come ascending and disjoint. Gives the run that ends here, if one does.
  std::optional<Run> Add(PhysRange range, ByteState state);
  std::optional<Run> Finish();
  // Of all that is stored so far.
  uint64_t data_size() const { return data_size_; }

 private:
  std::optional<Run> open_;
  uint64_t data_size_ = 0;
};

// Counts what ElfWriter will need, for states that are known beforehand.
class ElfRoomCounter {
 public:
  explicit ElfRoomCounter(const ElfDescription& description) : description_(description) {}

  void Add(PhysRange range, ByteState state);
  ElfRoom Finish();

 private:
  void Count(const ElfRuns::Run& run);

  const ElfDescription& description_;
  ElfRuns runs_;
  ElfRoom room_;
};

class ElfWriter {
 public:
  // Readers refuse more segments, and are slow long before.
  static constexpr uint64_t kMaxLoads = (uint64_t{1} << 22) - 2;

  // Writes the notes. `file` (Access::kPositioned, empty) outlives this, and the caller commits it.
  // kUnsupported for a machine that is not little-endian or not known, kLimit for more than
  // kMaxLoads.
  static Result<ElfWriter> Begin(ElfDescription description, std::span<const DumpNote> notes,
                                 const ElfRoom& room, AtomicFile& file);

  // Ranges come ascending and disjoint. For kData `bytes` are those of the range; kZero is left out
  // of the file, as a hole that reads back as zeros. Redacted becomes excluded.
  Status Put(PhysRange range, ByteState state, std::span<const std::byte> bytes);

  // Writes the headers; `incomplete` says what damage among the states says anyway. Where fits() is
  // false then, the file is of no use: it has to be written again with the room that was `taken`.
  Result<ElfSummary> Finish(bool incomplete);
  const ElfRoom& taken() const { return taken_; }
  bool fits() const {
    return taken_.loads <= room_.loads && taken_.missing <= room_.missing &&
           taken_.data_size <= room_.data_size;
  }

 private:
  ElfWriter(ElfDescription description, const ElfRoom& room, uint16_t machine,
            std::vector<std::byte> notes, std::vector<std::byte> missing_head, AtomicFile& file);

  Status End(const ElfRuns::Run& run);
  Status PutLoad(uint64_t at, uint64_t virtual_address, PhysRange range);
  Status WriteNotes();
  Status WriteHeader(bool incomplete);

  ElfDescription description_;
  ElfRoom room_;
  ElfRoom taken_;
  uint16_t machine_;
  AtomicFile* file_;
  PositionedStream loads_;
  uint64_t section_at_;
  uint64_t notes_at_;
  std::vector<std::byte> notes_;
  std::vector<std::byte> missing_head_;  // of the note of missing memory; its ranges follow
  PositionedStream missing_;
  uint64_t data_at_;
  ElfRuns runs_;
  std::vector<ElfRuns::Run> in_image_;
  ElfSummary summary_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_ELF_WRITER_H_
