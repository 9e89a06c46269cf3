// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/elf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/number.h"
#include "vmcore/container/elf_header.h"
#include "vmcore/container/elf_memory.h"
#include "vmcore/container/notes.h"

namespace dmaudit {
namespace {

// e_flags of a core that makedumpfile could not finish.
constexpr uint32_t kElfIncomplete = 0x1;

// Where the kernel half of the x86-64 address space starts, with four and with five levels.
constexpr uint64_t kKernelHalf = 0xff00000000000000;

// Segments that cover the same memory are compared in this many places: enough to notice a wrong
// offset, cheap enough for every start.
constexpr unsigned kMaxComparisons = 64;

bool SameBytes(const ByteSource& source, FileOffset a, FileOffset b, uint64_t size) {
  std::array<std::byte, 4096> first{};
  std::array<std::byte, 4096> second{};
  const size_t want = static_cast<size_t>(std::min<uint64_t>(size, first.size()));
  const Result<size_t> got_a = source.ReadAt(a, std::span(first).first(want));
  const Result<size_t> got_b = source.ReadAt(b, std::span(second).first(want));
  if (!got_a || !got_b) return true;  // reading says so again where it matters
  const size_t common = std::min(*got_a, *got_b);
  return std::equal(first.begin(), first.begin() + static_cast<ptrdiff_t>(common), second.begin());
}

// Appends the stretches of one segment: what the file holds, what is cut off, what was left out.
// Gives the number of bytes that lie beyond the end of the file.
uint64_t AppendPieces(const ElfSegment& load, uint64_t source_size,
                      std::vector<SegmentPiece>& pieces) {
  const uint64_t room = load.offset < source_size ? source_size - load.offset : 0;
  const uint64_t present = std::min(load.file_size, room);
  const uint64_t memory_size = std::max(load.file_size, load.memory_size);
  const auto append = [&](uint64_t from, uint64_t to, ByteState state) {
    if (from >= to) return;
    pieces.push_back(
        {{PhysAddr(load.physical_address + from), PhysAddr(load.physical_address + (to - 1))},
         FileOffset(state == ByteState::kData ? load.offset + from : 0),
         state});
  };
  append(0, present, ByteState::kData);
  append(present, load.file_size, ByteState::kTruncated);
  // The tail of a segment is what a filter left out (makedumpfile drops zero pages there too), not
  // zeros as in the ELF of a program.
  append(load.file_size, memory_size, ByteState::kExcluded);
  return load.file_size - present;
}

// True when the segment says where in physical memory it is.
bool CheckRange(const ElfSegment& load, const std::string& path, DiagnosticSink& sink) {
  // /proc/kcore: mapped, and nowhere in particular.
  if (load.physical_address == UINT64_MAX) {
    sink.Note("elf.no-physical-address", "{}: segment {}: states no physical address, not used",
              path, load.index);
    return false;
  }
  const uint64_t size = std::max(load.file_size, load.memory_size);
  if (size == 0) return false;
  if (!PhysAddr(load.physical_address).Plus(size - 1)) {
    sink.Incomplete("elf.segment-wraps",
                    "{}: segment {}: {:#x} bytes at {:#x} leave the physical address space", path,
                    load.index, size, load.physical_address);
    return false;
  }
  return true;
}

Result<SegmentMap> MapSegments(const ByteSource& source, const std::string& path,
                               const std::vector<ElfSegment>& loads, DumpInfo& info,
                               DiagnosticSink& sink) {
  std::vector<SegmentPiece> pieces;
  uint64_t cut = 0;  // segments that are not whole
  uint64_t end = 0;
  for (const ElfSegment& load : loads) {
    if (!CheckRange(load, path, sink)) continue;
    if (load.file_size > load.memory_size) {
      sink.Note("elf.segment-sizes", "{}: segment {}: file size {:#x} exceeds memory size {:#x}",
                path, load.index, load.file_size, load.memory_size);
    }
    if (AppendPieces(load, source.size(), pieces) != 0) ++cut;
    if (load.file_size != 0) {
      end = std::max(end, CheckedAdd(load.offset, load.file_size).value_or(UINT64_MAX));
    }
    if (load.virtual_address >= kKernelHalf) {
      info.virtual_segments.push_back(
          {load.virtual_address,
           {PhysAddr(load.physical_address),
            PhysAddr(load.physical_address + (std::max(load.file_size, load.memory_size) - 1))}});
    }
  }
  if (pieces.empty()) {
    return Fail(ErrorCode::kMalformed, "{}: ELF core without any segment of physical memory", path);
  }
  if (cut != 0) {
    info.incomplete = true;
    sink.Incomplete(
        "elf.truncated",
        "{}: {} of {} segments are not whole: they reach to {:#x}, the file ends at {:#x}", path,
        cut, loads.size(), end, source.size());
  }
  unsigned comparisons = 0;
  bool conflict = false;
  return SegmentMap(std::move(pieces), [&](PhysRange range, FileOffset chosen, FileOffset rival) {
    if (conflict || comparisons >= kMaxComparisons) return;
    ++comparisons;
    conflict = !SameBytes(source, chosen, rival, range.size());
    if (!conflict) return;
    sink.Incomplete(
        "elf.segments-disagree",
        "{}: memory at {:#x} is in the file at {:#x} and at {:#x} with different bytes, "
        "the first is used",
        path, range.first.value(), chosen.value(), rival.value());
  });
}

}  // namespace

Result<Dump> OpenElf(std::shared_ptr<const ByteSource> source, const std::string& path,
                     DiagnosticSink& sink) {
  const Result<ElfHeader> header = ReadElfHeader(*source, path);
  if (!header) return tl::unexpected(header.error());
  if (header->loads.size() > 1 &&
      std::all_of(header->loads.begin(), header->loads.end(),
                  [](const ElfSegment& load) { return load.physical_address == 0; })) {
    return Fail(ErrorCode::kUnsupported,
                "{}: ELF core whose segments state no physical addresses (a process, or an old "
                "/proc/kcore), not a vmcore",
                path);
  }

  Dump dump;
  dump.info.format = "ELF";
  dump.info.machine = "x86_64";
  for (const ElfSegment& segment : header->notes) {
    ReadNotes(*source, FileOffset(segment.offset), segment.file_size, path, dump.notes, sink);
  }
  const bool qemu = std::any_of(dump.notes.begin(), dump.notes.end(),
                                [](const DumpNote& note) { return note.name == "QEMU"; });
  dump.info.format_detail =
      fmt::format("{} segments{}", header->loads.size(), qemu ? ", written by QEMU" : "");
  if ((header->flags & kElfIncomplete) != 0) {
    dump.info.incomplete = true;
    sink.Incomplete("elf.incomplete",
                    "{}: the dump says that its writer ran out of space, pages are missing", path);
  }
  Result<SegmentMap> segments = MapSegments(*source, path, header->loads, dump.info, sink);
  if (!segments) return tl::unexpected(segments.error());
  dump.memory = std::make_unique<ElfMemory>(std::move(source), std::move(*segments));
  return dump;
}

}  // namespace dmaudit
