// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/elf_header.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/number.h"

namespace dmaudit {
namespace {

// QEMU with paging writes one segment per mapped run, up to millions; this many take 224 MiB of
// file in headers alone.
constexpr uint64_t kMaxSegments = uint64_t{1} << 22;

constexpr uint64_t kEntrySize = sizeof(Elf64_Phdr);

std::string MachineName(uint16_t machine) {
  switch (machine) {
    case EM_386:
      return "i386";
    case EM_MIPS:
      return "MIPS";
    case EM_PPC64:
      return "ppc64";
    case EM_S390:
      return "s390x";
    case EM_ARM:
      return "ARM";
    case EM_IA_64:
      return "ia64";
    case EM_AARCH64:
      return "aarch64";
    case EM_RISCV:
      return "RISC-V";
    case 258:
      return "LoongArch";
    default:
      return fmt::format("machine {}", machine);
  }
}

Status CheckKind(std::span<const std::byte> raw, std::string_view path) {
  if (raw.size() < EI_NIDENT) {
    return Fail(ErrorCode::kMalformed, "{}: the file ends inside the ELF header", path);
  }
  const auto byte = [&](size_t i) { return std::to_integer<unsigned>(raw[i]); };
  if (byte(EI_CLASS) == ELFCLASS32) {
    return Fail(ErrorCode::kUnsupported, "{}: 32-bit ELF file; only x86_64 vmcores are read", path);
  }
  if (byte(EI_DATA) == ELFDATA2MSB) {
    return Fail(ErrorCode::kUnsupported, "{}: big-endian ELF file; only x86_64 vmcores are read",
                path);
  }
  if (byte(EI_CLASS) != ELFCLASS64 || byte(EI_DATA) != ELFDATA2LSB) {
    return Fail(ErrorCode::kMalformed, "{}: ELF header: class {} and byte order {} do not exist",
                path, byte(EI_CLASS), byte(EI_DATA));
  }
  if (raw.size() < sizeof(Elf64_Ehdr)) {
    return Fail(ErrorCode::kMalformed, "{}: the file ends inside the ELF header", path);
  }
  const uint16_t type = LoadUnchecked<uint16_t>(raw, offsetof(Elf64_Ehdr, e_type));
  if (type == ET_EXEC || type == ET_DYN || type == ET_REL) {
    return Fail(ErrorCode::kUnsupported,
                "{}: ELF {}, not a vmcore (a kernel image has no memory of the crashed machine)",
                path, type == ET_REL ? "object file" : "executable or library");
  }
  if (type != ET_CORE) {
    return Fail(ErrorCode::kUnsupported, "{}: ELF file of type {}, not a vmcore", path, type);
  }
  const uint16_t machine = LoadUnchecked<uint16_t>(raw, offsetof(Elf64_Ehdr, e_machine));
  if (machine != EM_X86_64) {
    return Fail(ErrorCode::kUnsupported, "{}: ELF vmcore of {}; only x86_64 vmcores are read", path,
                MachineName(machine));
  }
  return {};
}

// e_phnum, or where it says that the number does not fit, what section header 0 holds.
Result<uint64_t> ProgramHeaderCount(const ByteSource& source, std::span<const std::byte> raw,
                                    std::string_view path) {
  const uint16_t count = LoadUnchecked<uint16_t>(raw, offsetof(Elf64_Ehdr, e_phnum));
  if (count != PN_XNUM) return count;
  const uint64_t sections = LoadUnchecked<uint64_t>(raw, offsetof(Elf64_Ehdr, e_shoff));
  std::array<std::byte, sizeof(Elf64_Shdr)> section{};
  const Result<size_t> got =
      sections == 0 ? Result<size_t>(size_t{0}) : source.ReadAt(FileOffset(sections), section);
  if (!got) return tl::unexpected(got.error());
  const uint32_t extended = LoadUnchecked<uint32_t>(section, offsetof(Elf64_Shdr, sh_info));
  if (*got < section.size() || extended == 0) {
    return Fail(ErrorCode::kMalformed,
                "{}: ELF header: e_phnum is PN_XNUM, and section header 0 at {:#x} holds no number",
                path, sections);
  }
  return extended;
}

ElfSegment ParseSegment(std::span<const std::byte> raw, uint64_t index) {
  return {index,
          LoadUnchecked<uint64_t>(raw, offsetof(Elf64_Phdr, p_offset)),
          LoadUnchecked<uint64_t>(raw, offsetof(Elf64_Phdr, p_vaddr)),
          LoadUnchecked<uint64_t>(raw, offsetof(Elf64_Phdr, p_paddr)),
          LoadUnchecked<uint64_t>(raw, offsetof(Elf64_Phdr, p_filesz)),
          LoadUnchecked<uint64_t>(raw, offsetof(Elf64_Phdr, p_memsz))};
}

}  // namespace

Result<ElfHeader> ReadElfHeader(const ByteSource& source, std::string_view path) {
  std::array<std::byte, sizeof(Elf64_Ehdr)> raw{};
  const Result<size_t> got = source.ReadAt(FileOffset(0), raw);
  if (!got) return tl::unexpected(got.error());
  if (Status kind = CheckKind(std::span(raw).first(*got), path); !kind) {
    return tl::unexpected(kind.error());
  }
  ElfHeader header;
  header.flags = LoadUnchecked<uint32_t>(raw, offsetof(Elf64_Ehdr, e_flags));
  // e_ehsize is not looked at: QEMU's is wrong.
  const uint64_t table = LoadUnchecked<uint64_t>(raw, offsetof(Elf64_Ehdr, e_phoff));
  const uint16_t entry_size = LoadUnchecked<uint16_t>(raw, offsetof(Elf64_Ehdr, e_phentsize));
  const Result<uint64_t> count = ProgramHeaderCount(source, raw, path);
  if (!count) return tl::unexpected(count.error());
  header.program_headers = *count;
  if (*count == 0) return Fail(ErrorCode::kMalformed, "{}: ELF header: no program headers", path);
  if (entry_size != kEntrySize) {
    return Fail(ErrorCode::kMalformed, "{}: ELF header: e_phentsize is {}, expected {}", path,
                entry_size, kEntrySize);
  }
  if (*count > kMaxSegments) {
    return Fail(ErrorCode::kLimit, "{}: ELF header: {} program headers, at most {} are read", path,
                *count, kMaxSegments);
  }
  const std::optional<uint64_t> end = CheckedAdd(table, *count * kEntrySize);
  if (!end || *end > source.size()) {
    return Fail(ErrorCode::kMalformed,
                "{}: ELF header: {} program headers at {:#x} do not fit the file of {:#x} bytes",
                path, *count, table, source.size());
  }

  std::vector<std::byte> buffer(static_cast<size_t>(std::min<uint64_t>(*count, 1024) * kEntrySize));
  for (uint64_t index = 0; index < *count;) {
    const uint64_t entries = std::min<uint64_t>(*count - index, 1024);
    const auto part = std::span(buffer).first(static_cast<size_t>(entries * kEntrySize));
    const Result<size_t> read = source.ReadAt(FileOffset(table + index * kEntrySize), part);
    if (!read) return tl::unexpected(read.error());
    if (*read < part.size()) {
      return Fail(ErrorCode::kMalformed, "{}: the file ends inside the ELF program headers", path);
    }
    for (size_t at = 0; at < part.size(); at += kEntrySize, ++index) {
      const auto entry = part.subspan(at, kEntrySize);
      const uint32_t type = LoadUnchecked<uint32_t>(entry, offsetof(Elf64_Phdr, p_type));
      if (type == PT_LOAD) header.loads.push_back(ParseSegment(entry, index));
      if (type == PT_NOTE) header.notes.push_back(ParseSegment(entry, index));
    }
  }
  return header;
}

}  // namespace dmaudit
