// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/elf.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/number.h"
#include "base/text.h"
#include "vmcore/container/elf_header.h"
#include "vmcore/container/notes.h"
#include "vmcore/container/segment_copies.h"
#include "vmcore/container/segment_memory.h"
#include "vmcore/container/state_note.h"

namespace dmaudit {
namespace {

// e_flags of a core that makedumpfile could not finish.
constexpr uint32_t kElfIncomplete = 0x1;

// Where the kernel half of the x86-64 address space starts, with four and with five levels.
constexpr uint64_t kKernelHalf = 0xff00000000000000;

// Where the kernel image is linked to: __START_KERNEL_map.
constexpr uint64_t kKernelImage = 0xffffffff80000000;

// The kind of note that only /proc/kcore has: the task that reads it.
constexpr uint32_t kTaskStructNote = 4;  // NT_TASKSTRUCT

// Of a segment's bytes in the file, those that the file is long enough for.
uint64_t PresentSize(const ElfSegment& load, uint64_t source_size) {
  return load.offset < source_size ? std::min(load.file_size, source_size - load.offset) : 0;
}

// A header takes 56 bytes of a file and makes two stretches, a record of a stream 17 and two. Many
// segments over the same records would make as many as both together.
size_t MaxPieces(const ByteSource& source) {
  constexpr size_t kLeast = size_t{1} << 16;
  constexpr uint64_t kBytesEach = 8;
  return kLeast + static_cast<size_t>(source.stored_size() / kBytesEach);
}

// Several addresses can have the same bytes, and every page of them takes room in a copy of the
// dump: 200 KB of headers describe hundreds of megabytes. In dumps that somebody wrote each byte is
// one of memory.
Status CheckSharing(const SegmentMap& map, const ByteSource& source, const std::string& path) {
  constexpr uint64_t kLeast = uint64_t{64} << 20;
  constexpr uint64_t kMostShared = 16;
  const uint64_t most =
      std::max(kLeast, CheckedMul(source.size(), kMostShared).value_or(UINT64_MAX));
  uint64_t data = 0;
  for (size_t i = 0; i < map.size() && data <= most; ++i) {
    // The pieces are disjoint.
    if (map[i].state == ByteState::kData) data += map[i].range.size();
  }
  if (data <= most) return {};
  return Fail(ErrorCode::kLimit,
              "{}: ELF core whose segments give the {} of the file as more than {} of memory", path,
              HumanSize(source.size()), HumanSize(most));
}

// Adds the stretches of one segment: what the file holds, what a stream lost of that, what is cut
// off, what was left out. False when there are too many.
bool AddPieces(const ElfSegment& load, const ByteSource& source, SegmentMapBuilder& pieces) {
  const uint64_t present = PresentSize(load, source.size());
  const uint64_t memory_size = std::max(load.file_size, load.memory_size);
  const auto add = [&](uint64_t from, uint64_t to, ByteState state) {
    if (from >= to) return true;
    return pieces.Add(
        {{PhysAddr(load.physical_address + from), PhysAddr(load.physical_address + (to - 1))},
         FileOffset(state == ByteState::kData ? load.offset + from : 0),
         state});
  };
  // The tail of a segment is what a filter left out (makedumpfile drops zero pages there too), not
  // zeros as in the ELF of a program.
  for (uint64_t at = 0; at < present;) {
    const FileOffset from(load.offset + at);
    const FileOffset unwritten = source.FirstUnwritten(from, present - at);
    const FileOffset unreadable = source.FirstUnreadable(from, present - at);
    const bool cut = unreadable < unwritten;
    const uint64_t gap = std::min(unwritten, unreadable).value() - load.offset;
    if (!add(at, gap, ByteState::kData)) return false;
    at = present;
    if (gap < present) {
      const FileOffset next =
          cut ? source.FirstReadable(unreadable) : source.FirstWritten(unwritten);
      at = std::min(present, next.value() - load.offset);
    }
    if (!add(gap, at, cut ? ByteState::kTruncated : ByteState::kLost)) return false;
  }
  return add(present, load.file_size, ByteState::kTruncated) &&
         add(load.file_size, memory_size, ByteState::kExcluded);
}

// Leaves of a segment what has an address in physical memory. False when nothing has.
bool Place(ElfSegment& load, uint64_t source_size, const std::string& path, DiagnosticSink& sink) {
  // /proc/kcore: mapped, and nowhere in particular.
  if (load.physical_address == UINT64_MAX) {
    sink.Note("elf.no-physical-address", "{}: segment {}: states no physical address, not used",
              path, load.index);
    return false;
  }
  const uint64_t size = std::max(load.file_size, load.memory_size);
  if (size == 0) return false;
  const uint64_t behind_first = UINT64_MAX - load.physical_address;
  if (size - 1 > behind_first) {
    sink.Incomplete("elf.segment-wraps",
                    "{}: segment {}: {:#x} bytes at {:#x} leave the physical address space", path,
                    load.index, size, load.physical_address);
    // A size is wrong, or the address. What the file holds can still have its place, and no more is
    // taken for RAM.
    load.file_size = load.memory_size = PresentSize(load, source_size);
    return load.file_size != 0 && load.file_size - 1 <= behind_first;
  }
  return true;
}

// Takes the note of memory that is in no segment out of `notes`, for good: it can be large. The
// first that can be believed counts. Gives whether there was one with a range in it; `fits` turns
// false when there are too many.
bool TakeMissing(const std::string& path, std::vector<DumpNote>& notes, SegmentMapBuilder& pieces,
                 bool& fits, DiagnosticSink& sink) {
  bool any = false;
  const auto found = std::stable_partition(notes.begin(), notes.end(),
                                           [](const DumpNote& note) { return !IsStateNote(note); });
  for (auto note = found; note != notes.end(); ++note) {
    const bool first = !any;
    const Status read = VisitStateNote(*note, [&](const MissingRange& missing) {
      if (!first) return;
      any = true;
      fits = fits && pieces.Add({missing.range, FileOffset(0), missing.state});
    });
    if (!read) {
      sink.Incomplete("elf.state-note", "{}: {}: what is missing is not known", path,
                      read.error().message);
    }
  }
  notes.erase(found, notes.end());
  return any;
}

// What all PT_LOADs together say, before any is used.
struct LoadSurvey {
  uint64_t loads = 0;
  // One states a physical address other than 0 and -1, or two that state 0 have the same bytes: one
  // memory by two names, as a copy of a dump of page 0 alone has it.
  bool placed = false;
  bool kernel_half = false;            // one is mapped in the kernel's half
  std::optional<uint64_t> direct_map;  // virtual minus physical address, by what most say
};

Result<LoadSurvey> Survey(const ByteSource& source, const std::string& path,
                          const ElfHeader& header) {
  // As many differences as a kernel's map of itself can have, and more.
  constexpr size_t kMaxVotes = 4096;
  LoadSurvey survey;
  std::unordered_map<uint64_t, unsigned> votes;
  std::optional<uint64_t> bytes_of_zero;  // where in the file those of the first that states 0 are
  const Status read = VisitElfSegments(source, header, PT_LOAD, path, [&](const ElfSegment& load) {
    ++survey.loads;
    survey.kernel_half |= load.virtual_address >= kKernelHalf;
    if (load.physical_address == UINT64_MAX) return true;
    if (load.physical_address == 0) {
      if (load.file_size == 0) return true;
      survey.placed |= bytes_of_zero == load.offset;
      if (!bytes_of_zero) bytes_of_zero = load.offset;
      return true;
    }
    survey.placed = true;
    const uint64_t difference = load.virtual_address - load.physical_address;
    if (load.virtual_address >= kKernelImage) return true;
    if (const auto known = votes.find(difference); known != votes.end()) {
      ++known->second;
    } else if (votes.size() < kMaxVotes) {
      votes.emplace(difference, 1);
    }
    return true;
  });
  if (!read) return tl::unexpected(read.error());
  // Of several that most say, the lowest.
  const auto most = std::max_element(votes.begin(), votes.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second < b.second : a.first > b.first;
  });
  if (most != votes.end()) survey.direct_map = most->first;
  return survey;
}

// Kernel addresses of segments, as many as anything is made of: QEMU with paging writes millions.
void KeepVirtual(const ElfSegment& load, uint64_t size, DumpInfo& info) {
  constexpr size_t kMaxKept = 65536;
  if (load.virtual_address < kKernelHalf || size == 0) return;
  // The image can come behind all others.
  const bool image = load.virtual_address >= kKernelImage;
  if (info.virtual_segments.size() >= (image ? 2 * kMaxKept : kMaxKept)) return;
  info.virtual_segments.push_back(
      {load.virtual_address,
       {PhysAddr(load.physical_address), PhysAddr(load.physical_address + (size - 1))}});
}

Result<SegmentMap> MapSegments(const ByteSource& source, const std::string& path,
                               const ElfHeader& header, const LoadSurvey& survey, bool live,
                               SegmentCopies& copies, Dump& dump, DiagnosticSink& sink) {
  DumpInfo& info = dump.info;
  SegmentMapBuilder pieces(static_cast<size_t>(survey.loads), MaxPieces(source));
  bool fits = true;
  bool any = TakeMissing(path, dump.notes, pieces, fits, sink);
  uint64_t cut = 0;        // segments that are not whole
  uint64_t unwritten = 0;  // segments with a gap in what a stream says of them
  uint64_t gap = 0;        // where the first one is
  uint64_t end = 0;
  const auto add = [&](ElfSegment load) {
    // Segments of /proc/kcore that are not of the direct map (vmalloc, modules) state -1 as their
    // physical address, in older kernels 0.
    if (live && load.physical_address == 0 && load.virtual_address != survey.direct_map) {
      load.physical_address = UINT64_MAX;
    }
    if (!Place(load, source.size(), path, sink)) return true;
    any = true;
    if (load.file_size > load.memory_size) {
      sink.Note("elf.segment-sizes", "{}: segment {}: file size {:#x} exceeds memory size {:#x}",
                path, load.index, load.file_size, load.memory_size);
    }
    fits = fits && AddPieces(load, source, pieces);
    if (load.file_size != 0) {
      const uint64_t load_end = CheckedAdd(load.offset, load.file_size).value_or(UINT64_MAX);
      if (load_end > source.size()) ++cut;
      const uint64_t present = PresentSize(load, source.size());
      const FileOffset begin(load.offset);
      const uint64_t written = std::min(source.FirstUnwritten(begin, present).value(),
                                        source.FirstUnreadable(begin, present).value());
      if (written - load.offset < present && unwritten++ == 0) gap = written;
      end = std::max(end, load_end);
    }
    KeepVirtual(load, std::max(load.file_size, load.memory_size), info);
    return fits;
  };
  if (const Status read = VisitElfSegments(source, header, PT_LOAD, path, add); !read) {
    return tl::unexpected(read.error());
  }
  if (!any) {
    return Fail(ErrorCode::kMalformed, "{}: ELF core without any segment of physical memory", path);
  }
  if (cut != 0) {
    info.incomplete = true;
    sink.Incomplete(
        "elf.truncated",
        "{}: {} of {} segments are not whole: they reach to {:#x}, the file ends at {:#x}", path,
        cut, survey.loads, end, source.size());
  }
  if (unwritten != 0) {
    info.incomplete = true;
    sink.Incomplete("elf.unwritten",
                    "{}: {} of {} segments are not whole: no record of the stream has what is at "
                    "{:#x}",
                    path, unwritten, survey.loads, gap);
  }
  std::optional<SegmentMap> map;
  if (fits) {
    map = pieces.Build([&](PhysRange range, FileOffset chosen, FileOffset rival) {
      copies.Add(range, chosen, rival);
    });
  }
  if (!map) {
    return Fail(ErrorCode::kLimit,
                "{}: ELF core with more than {} stretches of memory, which is more than a file of "
                "this size justifies",
                path, pieces.limit());
  }
  if (const Status shared = CheckSharing(*map, source, path); !shared) {
    return tl::unexpected(shared.error());
  }
  return *std::move(map);
}

// Whether this is /proc/kcore: memory of the kernel that runs now, seen through its own addresses.
bool IsKcore(const Dump& dump, const LoadSurvey& survey) {
  return survey.kernel_half &&
         std::any_of(dump.notes.begin(), dump.notes.end(), [](const DumpNote& note) {
           return note.name == "CORE" && note.type == kTaskStructNote;
         });
}

// Notes of all note segments together, within one budget: many can point at the same bytes.
Status CollectNotes(const ByteSource& source, const std::string& path, const ElfHeader& header,
                    std::vector<DumpNote>& notes, DiagnosticSink& sink) {
  uint64_t budget = kMaxNoteBytes;
  return VisitElfSegments(source, header, PT_NOTE, path, [&](const ElfSegment& segment) {
    if (budget == 0) {
      sink.Incomplete("note.budget", "{}: more than {:#x} bytes of notes, the rest is not read",
                      path, kMaxNoteBytes);
      return false;
    }
    ReadNotes(source, FileOffset(segment.offset), segment.file_size, path, notes, sink,
              header.order);
    budget -= std::min(budget, segment.file_size);
    return true;
  });
}

std::string FormatDetail(const Dump& dump, const ElfHeader& header, uint64_t loads, bool live) {
  std::string detail = fmt::format("{} segments", loads);
  if (!header.wide) detail += ", 32-bit headers";
  if (header.order == ByteOrder::kBig) detail += ", big-endian";
  if (HasNote(dump.notes, "QEMU")) detail += ", written by QEMU";
  if (live) detail += ", live memory of the running kernel";
  return detail;
}

}  // namespace

Result<Dump> OpenElf(std::shared_ptr<const ByteSource> source, const std::string& path,
                     DiagnosticSink& sink) {
  Result<ElfHeader> header = ReadElfHeader(*source, path);
  if (!header) return tl::unexpected(header.error());
  const Result<LoadSurvey> survey = Survey(*source, path, *header);
  if (!survey) return tl::unexpected(survey.error());
  Dump dump;
  if (const Status read = CollectNotes(*source, path, *header, dump.notes, sink); !read) {
    return tl::unexpected(read.error());
  }
  const bool live = IsKcore(dump, *survey);
  if (HasNote(dump.notes, "Xen") || HasNote(dump.notes, "VMCOREINFO_XEN")) {
    return Fail(ErrorCode::kUnsupported,
                "{}: crash dump of a Xen host, which this version does not read (the hypervisor "
                "owns the IOMMU, and Linux addresses are not those of the machine)",
                path);
  }
  if (survey->loads > 1 && !survey->placed) {
    return Fail(ErrorCode::kUnsupported,
                "{}: ELF core whose segments state no physical addresses (a process, or "
                "/proc/kcore of a kernel before 4.11), not a vmcore",
                path);
  }
  dump.info.format = "ELF";
  dump.info.machine = header->machine;
  dump.info.format_detail = FormatDetail(dump, *header, survey->loads, live);
  if (live) {
    sink.Incomplete("elf.live",
                    "{}: the memory of the running kernel: tables can change while they are read",
                    path);
  }
  // Elsewhere the flags tell the ABI.
  const bool flags_are_makedumpfiles = header->machine == "x86_64" || header->machine == "i386" ||
                                       header->machine == "aarch64" || header->machine == "s390x";
  if (flags_are_makedumpfiles && (header->flags & kElfIncomplete) != 0) {
    dump.info.incomplete = true;
    sink.Incomplete("elf.incomplete",
                    "{}: the dump says that it is incomplete: its writer stopped early, or it is a "
                    "copy of a dump with gaps",
                    path);
  }
  if (HasNote(dump.notes, "ERASEINFO")) ReportErased("elf.erased", path, sink);
  auto copies = std::make_unique<SegmentCopies>(source, path);
  Result<SegmentMap> segments =
      MapSegments(*source, path, *header, *survey, live, *copies, dump, sink);
  if (!segments) return tl::unexpected(segments.error());
  copies->CompareSamples();
  copies->ReportFaults(sink);
  // Memory that changes while it is read is not equal to itself.
  if (live) copies.reset();
  dump.memory =
      std::make_unique<SegmentMemory>(std::move(source), std::move(*segments), std::move(copies));
  return dump;
}

}  // namespace dmaudit
