// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/elf_header.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/number.h"

namespace dmaudit {
namespace {

// QEMU with paging writes one segment per mapped run, up to millions; this many take 224 MiB of
// file in headers alone.
constexpr uint64_t kMaxSegments = uint64_t{1} << 22;

constexpr unsigned kLoongArch = 258;  // not in <elf.h> of Debian 12

std::string MachineName(uint16_t machine, bool wide, ByteOrder order) {
  const bool little = order == ByteOrder::kLittle;
  switch (machine) {
    case EM_X86_64:
      return "x86_64";
    case EM_386:
      return "i386";
    case EM_MIPS:
      return "MIPS";
    case EM_PPC:
      return "ppc";
    case EM_PPC64:
      return little ? "ppc64le" : "ppc64";
    case EM_S390:
      return wide ? "s390x" : "s390";
    case EM_ARM:
      return "ARM";
    case EM_IA_64:
      return "ia64";
    case EM_SPARCV9:
      return "sparc64";
    case EM_AARCH64:
      return "aarch64";
    case EM_RISCV:
      return "RISC-V";
    case kLoongArch:
      return "LoongArch";
    default:
      return fmt::format("machine {}", machine);
  }
}

// Fields of headers that exist in two widths and two byte orders. The caller has checked the room.
class Fields {
 public:
  Fields(std::span<const std::byte> raw, bool wide, ByteOrder order)
      : raw_(raw), wide_(wide), order_(order) {}

  uint16_t Half(size_t narrow, size_t wide) const {
    return LoadUnchecked<uint16_t>(raw_, wide_ ? wide : narrow, order_);
  }
  uint32_t Word(size_t narrow, size_t wide) const {
    return LoadUnchecked<uint32_t>(raw_, wide_ ? wide : narrow, order_);
  }
  // An address, offset or size: as wide as the header.
  uint64_t Long(size_t narrow, size_t wide) const {
    return wide_ ? LoadUnchecked<uint64_t>(raw_, wide, order_)
                 : LoadUnchecked<uint32_t>(raw_, narrow, order_);
  }

 private:
  std::span<const std::byte> raw_;
  bool wide_;
  ByteOrder order_;
};

#define DMAUDIT_FIELD(structure, member) \
  offsetof(Elf32_##structure, member), offsetof(Elf64_##structure, member)

// Width and byte order; the rest of the header can be read after it.
Status CheckIdentification(std::span<const std::byte> raw, std::string_view path,
                           ElfHeader& header) {
  if (raw.size() < EI_NIDENT) {
    return Fail(ErrorCode::kMalformed, "{}: the file ends inside the ELF header", path);
  }
  const unsigned width = std::to_integer<unsigned>(raw[EI_CLASS]);
  const unsigned order = std::to_integer<unsigned>(raw[EI_DATA]);
  if ((width != ELFCLASS32 && width != ELFCLASS64) ||
      (order != ELFDATA2LSB && order != ELFDATA2MSB)) {
    return Fail(ErrorCode::kMalformed, "{}: ELF header: class {} and byte order {} do not exist",
                path, width, order);
  }
  header.wide = width == ELFCLASS64;
  header.order = order == ELFDATA2LSB ? ByteOrder::kLittle : ByteOrder::kBig;
  if (raw.size() < (header.wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr))) {
    return Fail(ErrorCode::kMalformed, "{}: the file ends inside the ELF header", path);
  }
  return {};
}

Status CheckType(uint16_t type, std::string_view path) {
  if (type == ET_CORE) return {};
  if (type == ET_EXEC || type == ET_DYN) {
    return Fail(ErrorCode::kUnsupported,
                "{}: ELF executable or library, not a vmcore (a vmlinux holds the kernel's code, "
                "not the memory of a machine; none is needed)",
                path);
  }
  if (type == ET_REL) {
    return Fail(ErrorCode::kUnsupported, "{}: ELF object file, not a vmcore", path);
  }
  return Fail(ErrorCode::kUnsupported, "{}: ELF file of type {}, not a vmcore", path, type);
}

// e_phnum, or where it says that the number does not fit, what section header 0 holds.
Result<uint64_t> ProgramHeaderCount(const ByteSource& source, const Fields& fields,
                                    const ElfHeader& header, std::string_view path) {
  const uint16_t count = fields.Half(DMAUDIT_FIELD(Ehdr, e_phnum));
  if (count != PN_XNUM) return count;
  const uint64_t sections = fields.Long(DMAUDIT_FIELD(Ehdr, e_shoff));
  std::array<std::byte, sizeof(Elf64_Shdr)> buffer{};
  const auto section =
      std::span(buffer).first(header.wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr));
  const Result<size_t> got =
      sections == 0 ? Result<size_t>(size_t{0}) : source.ReadAt(FileOffset(sections), section);
  if (!got) return tl::unexpected(got.error());
  const uint32_t extended =
      Fields(section, header.wide, header.order).Word(DMAUDIT_FIELD(Shdr, sh_info));
  if (*got < section.size() || extended == 0 ||
      !source.IsWritten(FileOffset(sections), section.size())) {
    return Fail(ErrorCode::kMalformed,
                "{}: ELF header: e_phnum is PN_XNUM, and section header 0 at {:#x} holds no number",
                path, sections);
  }
  return extended;
}

// Whether this is what `xl dump-core` writes of a Xen guest: no segments, its pages are in
// sections, whose names say so.
bool IsXenDomainCore(const ByteSource& source, const Fields& fields, const ElfHeader& header) {
  constexpr size_t kMaxNames = 4096;  // a handful of short names
  const uint64_t sections = fields.Long(DMAUDIT_FIELD(Ehdr, e_shoff));
  const uint64_t entry = fields.Half(DMAUDIT_FIELD(Ehdr, e_shentsize));
  const uint64_t index = fields.Half(DMAUDIT_FIELD(Ehdr, e_shstrndx));
  const size_t size = header.wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
  const std::optional<uint64_t> at = CheckedAdd(sections, index * entry);
  std::array<std::byte, sizeof(Elf64_Shdr)> raw{};
  if (sections == 0 || entry != size || !at) return false;
  if (source.ReadAt(FileOffset(*at), std::span(raw).first(size)).value_or(0) < size) return false;
  const Fields section(raw, header.wide, header.order);
  std::vector<std::byte> names(static_cast<size_t>(
      std::min<uint64_t>(section.Long(DMAUDIT_FIELD(Shdr, sh_size)), kMaxNames)));
  names.resize(
      source.ReadAt(FileOffset(section.Long(DMAUDIT_FIELD(Shdr, sh_offset))), names).value_or(0));
  return AsText(names).find(".xen_pages") != std::string_view::npos;
}

ElfSegment ParseSegment(const Fields& fields, uint64_t index) {
  return {index,
          fields.Long(DMAUDIT_FIELD(Phdr, p_offset)),
          fields.Long(DMAUDIT_FIELD(Phdr, p_vaddr)),
          fields.Long(DMAUDIT_FIELD(Phdr, p_paddr)),
          fields.Long(DMAUDIT_FIELD(Phdr, p_filesz)),
          fields.Long(DMAUDIT_FIELD(Phdr, p_memsz))};
}

}  // namespace

Result<ElfHeader> ReadElfHeader(const ByteSource& source, std::string_view path) {
  std::array<std::byte, sizeof(Elf64_Ehdr)> raw{};
  const Result<size_t> got = source.ReadAt(FileOffset(0), raw);
  if (!got) return tl::unexpected(got.error());
  ElfHeader header;
  if (Status known = CheckIdentification(std::span(raw).first(*got), path, header); !known) {
    return tl::unexpected(known.error());
  }
  const size_t size = header.wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
  if (!source.IsWritten(FileOffset(0), size)) {
    return Fail(ErrorCode::kMalformed, "{}: ELF header: not all of it is in a record of the stream",
                path);
  }
  const Fields fields(raw, header.wide, header.order);
  if (Status core = CheckType(fields.Half(DMAUDIT_FIELD(Ehdr, e_type)), path); !core) {
    return tl::unexpected(core.error());
  }
  header.machine =
      MachineName(fields.Half(DMAUDIT_FIELD(Ehdr, e_machine)), header.wide, header.order);
  header.flags = fields.Word(DMAUDIT_FIELD(Ehdr, e_flags));
  // e_ehsize is not looked at: QEMU's is wrong.
  const uint64_t table = fields.Long(DMAUDIT_FIELD(Ehdr, e_phoff));
  const uint16_t entry_size = fields.Half(DMAUDIT_FIELD(Ehdr, e_phentsize));
  const size_t expected_size = header.wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
  const Result<uint64_t> count = ProgramHeaderCount(source, fields, header, path);
  if (!count) return tl::unexpected(count.error());
  header.program_headers = *count;
  if (*count == 0) {
    if (IsXenDomainCore(source, fields, header)) {
      return Fail(ErrorCode::kUnsupported,
                  "{}: core of a Xen guest (xl dump-core), which this version does not read; let "
                  "the guest's own kdump write a vmcore",
                  path);
    }
    return Fail(ErrorCode::kMalformed, "{}: ELF header: no program headers", path);
  }
  if (entry_size != expected_size) {
    return Fail(ErrorCode::kMalformed, "{}: ELF header: e_phentsize is {}, expected {}", path,
                entry_size, expected_size);
  }
  if (*count > kMaxSegments) {
    return Fail(ErrorCode::kLimit, "{}: ELF header: {} program headers, at most {} are read", path,
                *count, kMaxSegments);
  }
  const std::optional<uint64_t> end = CheckedAdd(table, *count * entry_size);
  if (!end || *end > source.size()) {
    return Fail(ErrorCode::kMalformed,
                "{}: ELF header: {} program headers at {:#x} do not fit the file of {:#x} bytes",
                path, *count, table, source.size());
  }
  header.table = FileOffset(table);
  // As zeros they would be headers of nothing, and memory would be missing without a word.
  if (!source.IsWritten(header.table, *count * entry_size)) {
    return Fail(ErrorCode::kMalformed,
                "{}: ELF header: not all of the {} program headers at {:#x} are in a record of the "
                "stream",
                path, *count, table);
  }
  return header;
}

Status VisitElfSegments(const ByteSource& source, const ElfHeader& header, uint32_t type,
                        std::string_view path,
                        const std::function<bool(const ElfSegment&)>& visit) {
  constexpr uint64_t kEntriesAtOnce = 1024;
  const uint64_t entry_size = header.wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
  const uint64_t count = header.program_headers;
  std::vector<std::byte> buffer(static_cast<size_t>(std::min(count, kEntriesAtOnce) * entry_size));
  for (uint64_t index = 0; index < count;) {
    const uint64_t entries = std::min(count - index, kEntriesAtOnce);
    const auto part = std::span(buffer).first(static_cast<size_t>(entries * entry_size));
    const Result<size_t> read =
        source.ReadAt(FileOffset(header.table.value() + index * entry_size), part);
    if (!read) return tl::unexpected(read.error());
    if (*read < part.size()) {
      return Fail(ErrorCode::kMalformed, "{}: the file ends inside the ELF program headers", path);
    }
    for (size_t at = 0; at < part.size(); at += static_cast<size_t>(entry_size), ++index) {
      const Fields entry(part.subspan(at, static_cast<size_t>(entry_size)), header.wide,
                         header.order);
      if (entry.Word(DMAUDIT_FIELD(Phdr, p_type)) != type) continue;
      if (!visit(ParseSegment(entry, index))) return {};
    }
  }
  return {};
}

}  // namespace dmaudit
