// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/elf_writer.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/number.h"
#include "vmcore/write/note_area.h"

namespace dmaudit {
namespace {

constexpr uint64_t kPage = 4096;
// e_flags of a core that is not whole: as makedumpfile sets it.
constexpr uint32_t kIncomplete = 1;
constexpr uint16_t kLoongArch = 258;  // not in <elf.h> of Debian 12

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

std::optional<uint16_t> MachineNumber(std::string_view name) {
  constexpr std::pair<std::string_view, uint16_t> kMachines[] = {
      {"", EM_X86_64},
      {"x86_64", EM_X86_64},
      {"i386", EM_386},
      {"i586", EM_386},
      {"i686", EM_386},
      {"aarch64", EM_AARCH64},
      {"ppc64le", EM_PPC64},
      {"RISC-V", EM_RISCV},
      {"riscv64", EM_RISCV},
      {"LoongArch", kLoongArch},
      {"loongarch64", kLoongArch},
  };
  for (const auto& [known, number] : kMachines) {
    if (name == known) return number;
  }
  return std::nullopt;
}

// What of a run is in the file and in the kernel image.
std::optional<PhysRange> InImage(const ElfRuns::Run& run, const ElfDescription& description) {
  if (!description.image || run.state != ByteState::kData) return std::nullopt;
  return run.range.Intersect(description.image->range);
}

void Store(std::span<std::byte> raw, size_t at, auto value) { StoreUnchecked(raw, at, value); }

void StoreSegment(std::span<std::byte> raw, uint32_t type, uint64_t offset, uint64_t size) {
  Store(raw, offsetof(Elf64_Phdr, p_type), type);
  Store(raw, offsetof(Elf64_Phdr, p_offset), offset);
  Store(raw, offsetof(Elf64_Phdr, p_filesz), size);
  Store(raw, offsetof(Elf64_Phdr, p_memsz), size);
}

}  // namespace

std::optional<ElfRuns::Run> ElfRuns::Add(PhysRange range, ByteState state) {
  if (IsReadable(state)) state = ByteState::kData;
  if (state == ByteState::kRedacted) state = ByteState::kExcluded;
  std::optional<Run> ended;
  if (open_ && open_->state == state && open_->range.last.value() + 1 == range.first.value()) {
    open_->range.last = range.last;
  } else {
    ended = std::exchange(open_, Run{range, state, 0});
    // At the same place in a page of the file as in memory, for readers that map files. What ends
    // within its page is not worth one.
    if (state == ByteState::kData) {
      const uint64_t in_page = range.first.OffsetIn(kPage);
      if (in_page + (range.size() - 1) >= kPage - 1) data_size_ += (in_page - data_size_) % kPage;
      open_->at = data_size_;
    }
  }
  if (state == ByteState::kData) {
    data_size_ = CheckedAdd(data_size_, range.size()).value_or(UINT64_MAX - 2 * kPage);
  }
  return ended;
}

std::optional<ElfRuns::Run> ElfRuns::Finish() { return std::exchange(open_, std::nullopt); }

void ElfRoomCounter::Add(PhysRange range, ByteState state) {
  if (const auto ended = runs_.Add(range, state)) Count(*ended);
}

ElfRoom ElfRoomCounter::Finish() {
  if (const auto ended = runs_.Finish()) Count(*ended);
  room_.data_size = runs_.data_size();
  return room_;
}

void ElfRoomCounter::Count(const ElfRuns::Run& run) {
  if (run.state != ByteState::kData) {
    ++room_.missing;
  } else {
    room_.loads += InImage(run, description_) ? 2U : 1U;
  }
}

Result<ElfWriter> ElfWriter::Begin(ElfDescription description, std::span<const DumpNote> dump_notes,
                                   const ElfRoom& room, AtomicFile& file) {
  const std::optional<uint16_t> machine = MachineNumber(description.machine);
  if (!machine) {
    return Fail(ErrorCode::kUnsupported, "no ELF file is written for machine '{}'",
                description.machine);
  }
  if (room.loads > kMaxLoads || room.missing > kMaxMissingRanges) {
    return Fail(ErrorCode::kLimit,
                "{} segments and {} ranges that are in none, readers take {} and {}: kdump has no "
                "such limits",
                room.loads, room.missing, kMaxLoads, kMaxMissingRanges);
  }
  // Physical addresses end at 2^52, file offsets at 2^63.
  constexpr uint64_t kMaxStored = uint64_t{1} << 56;
  if (room.data_size > kMaxStored) {
    return Fail(ErrorCode::kLimit, "{:#x} bytes of memory", room.data_size);
  }
  Result<NoteArea> notes = PackNotes(dump_notes, IsStateNote);
  if (!notes) return tl::unexpected(notes.error());
  Result<NoteArea> missing = PackNotes(std::array{EncodeStateNote({})});
  if (!missing) return tl::unexpected(missing.error());
  if (notes->bytes.size() + missing->bytes.size() + room.missing * kMissingRangeSize >
      kMaxNoteAreaSize) {
    return Fail(ErrorCode::kLimit, "notes of more than {} bytes", kMaxNoteAreaSize);
  }
  return ElfWriter(std::move(description), room, *machine, std::move(notes->bytes),
                   std::move(missing->bytes), file);
}

ElfWriter::ElfWriter(ElfDescription description, const ElfRoom& room, uint16_t machine,
                     std::vector<std::byte> notes, std::vector<std::byte> missing_head,
                     AtomicFile& file)
    : description_(std::move(description)),
      room_(room),
      machine_(machine),
      file_(&file),
      loads_(file, sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr)),
      section_at_(loads_.position() + room.loads * sizeof(Elf64_Phdr)),
      notes_at_(section_at_ + sizeof(Elf64_Shdr)),
      notes_(std::move(notes)),
      missing_head_(std::move(missing_head)),
      missing_(file, notes_at_ + notes_.size() + missing_head_.size()),
      data_at_(RoundUp(missing_.position() + room.missing * kMissingRangeSize, kPage)) {}

Status ElfWriter::Put(PhysRange range, ByteState state, std::span<const std::byte> bytes) {
  if (const auto ended = runs_.Add(range, state)) {
    if (const Status put = End(*ended); !put) return put;
  }
  taken_.data_size = runs_.data_size();
  if (state == ByteState::kLost) summary_.lost += range.size();
  if (state == ByteState::kTruncated) summary_.truncated += range.size();
  if (state == ByteState::kCorrupt) summary_.corrupt += range.size();
  if (IsReadable(state)) summary_.stored += range.size();
  if (state != ByteState::kData || !fits()) return {};
  return file_->WriteAt(data_at_ + runs_.data_size() - range.size(), bytes);
}

Status ElfWriter::End(const ElfRuns::Run& run) {
  if (run.state != ByteState::kData) {
    ++taken_.missing;
    return fits() ? missing_.Put(EncodeMissingRange({run.range, run.state})) : Status();
  }
  if (const std::optional<PhysRange> part = InImage(run, description_)) {
    const uint64_t skip = part->first.value() - run.range.first.value();
    if (++taken_.loads <= room_.loads) in_image_.push_back({*part, run.state, run.at + skip});
  }
  ++taken_.loads;
  const uint64_t virtual_address =
      description_.direct_map ? *description_.direct_map + run.range.first.value() : 0;
  return PutLoad(run.at, virtual_address, run.range);
}

Status ElfWriter::PutLoad(uint64_t at, uint64_t virtual_address, PhysRange range) {
  if (!fits()) return {};
  std::array<std::byte, sizeof(Elf64_Phdr)> raw{};
  StoreSegment(raw, PT_LOAD, data_at_ + at, range.size());
  Store(raw, offsetof(Elf64_Phdr, p_flags), uint32_t{PF_R | PF_W | PF_X});
  Store(raw, offsetof(Elf64_Phdr, p_vaddr), virtual_address);
  Store(raw, offsetof(Elf64_Phdr, p_paddr), range.first.value());
  return loads_.Put(raw);
}

Result<ElfSummary> ElfWriter::Finish(bool incomplete) {
  Status status;
  if (const auto ended = runs_.Finish()) status = End(*ended);
  summary_.loads = taken_.loads;
  if (!status) return tl::unexpected(status.error());
  if (!fits()) return summary_;
  for (const ElfRuns::Run& run : in_image_) {
    const DumpInfo::VirtualSegment& image = *description_.image;
    const uint64_t skip = run.range.first.value() - image.range.first.value();
    if (status) {
      status = PutLoad(run.at, image.virtual_address + skip, run.range);
    }
  }
  if (status) status = loads_.Flush();
  if (status) status = WriteNotes();
  // The last bytes may be zeros that were left out.
  if (status) status = file_->ExtendTo(data_at_ + room_.data_size);
  const bool damaged = summary_.lost + summary_.truncated + summary_.corrupt != 0;
  if (status) status = WriteHeader(incomplete || damaged);
  if (!status) return tl::unexpected(status.error());
  return summary_;
}

Status ElfWriter::WriteNotes() {
  uint64_t size = notes_.size();
  if (taken_.missing != 0) {
    constexpr size_t kDescriptorSize = 4;  // where the header of a note has it
    const size_t ranges = static_cast<size_t>(taken_.missing) * kMissingRangeSize;
    Store(missing_head_, kDescriptorSize,
          static_cast<uint32_t>(LoadUnchecked<uint32_t>(missing_head_, kDescriptorSize) + ranges));
    size += missing_head_.size() + ranges;
  }
  std::array<std::byte, sizeof(Elf64_Phdr)> raw{};
  StoreSegment(raw, PT_NOTE, notes_at_, size);
  Status status = file_->WriteAt(sizeof(Elf64_Ehdr), raw);
  if (status) status = file_->WriteAt(notes_at_, notes_);
  if (status && taken_.missing != 0) {
    status = file_->WriteAt(notes_at_ + notes_.size(), missing_head_);
  }
  if (status) status = missing_.Flush();
  return status;
}

Status ElfWriter::WriteHeader(bool incomplete) {
  const uint64_t entries = taken_.loads + 1;
  const bool extended = entries >= PN_XNUM;
  std::array<std::byte, sizeof(Elf64_Ehdr)> raw{};
  constexpr std::array<uint8_t, 7> kIdentification = {ELFMAG0,    ELFMAG1,     ELFMAG2,   ELFMAG3,
                                                      ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
  std::ranges::copy(std::as_bytes(std::span(kIdentification)), raw.begin());
  Store(raw, offsetof(Elf64_Ehdr, e_type), uint16_t{ET_CORE});
  Store(raw, offsetof(Elf64_Ehdr, e_machine), machine_);
  Store(raw, offsetof(Elf64_Ehdr, e_version), uint32_t{EV_CURRENT});
  Store(raw, offsetof(Elf64_Ehdr, e_phoff), uint64_t{sizeof(Elf64_Ehdr)});
  Store(raw, offsetof(Elf64_Ehdr, e_flags), incomplete ? kIncomplete : 0);
  Store(raw, offsetof(Elf64_Ehdr, e_ehsize), uint16_t{sizeof(Elf64_Ehdr)});
  Store(raw, offsetof(Elf64_Ehdr, e_phentsize), uint16_t{sizeof(Elf64_Phdr)});
  Store(raw, offsetof(Elf64_Ehdr, e_phnum), static_cast<uint16_t>(extended ? PN_XNUM : entries));
  if (extended) {
    Store(raw, offsetof(Elf64_Ehdr, e_shoff), section_at_);
    Store(raw, offsetof(Elf64_Ehdr, e_shentsize), uint16_t{sizeof(Elf64_Shdr)});
    Store(raw, offsetof(Elf64_Ehdr, e_shnum), uint16_t{1});
    std::array<std::byte, sizeof(Elf64_Shdr)> section{};
    Store(section, offsetof(Elf64_Shdr, sh_info), static_cast<uint32_t>(entries));
    if (const Status put = file_->WriteAt(section_at_, section); !put) return put;
  }
  return file_->WriteAt(0, raw);
}

}  // namespace dmaudit
