// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/libdw/zstd_sections.h"

#include <gelf.h>
#include <zstd.h>

#include <cstring>
#include <string_view>
#include <utility>

namespace dmaudit {
namespace {

// <elf.h> of Debian 12 has no name for it.
constexpr uint32_t kCompressedWithZstd = 2;

Status Inflate(Elf_Scn* section, std::string_view name, GElf_Shdr& header,
               InflatedSections& storage) {
  Elf_Data* data = elf_getdata(section, nullptr);
  Elf64_Chdr compression{};
  if (data == nullptr || data->d_buf == nullptr || data->d_size < sizeof(compression)) {
    return Fail(ErrorCode::kMalformed, "{}: too short for a compression header", name);
  }
  std::memcpy(&compression, data->d_buf, sizeof(compression));
  if (compression.ch_type == ELFCOMPRESS_ZLIB) return {};  // libelf's own
  if (compression.ch_type != kCompressedWithZstd) {
    return Fail(ErrorCode::kUnsupported, "{}: compressed with method {}, which is not known", name,
                compression.ch_type);
  }
  const char* frame = static_cast<const char*>(data->d_buf) + sizeof(compression);
  const size_t size = data->d_size - sizeof(compression);
  // The size that the header promises is allocated only where the frame promises the same.
  if (ZSTD_getFrameContentSize(frame, size) != compression.ch_size) {
    return Fail(ErrorCode::kMalformed, "{}: no zstd frame of {} bytes", name, compression.ch_size);
  }
  std::vector<std::byte> contents(compression.ch_size);
  const size_t got = ZSTD_decompress(contents.data(), contents.size(), frame, size);
  if (ZSTD_isError(got) != 0 || got != contents.size()) {
    return Fail(ErrorCode::kMalformed, "{}: zstd: {}", name,
                ZSTD_isError(got) != 0 ? ZSTD_getErrorName(got) : "another size");
  }
  header.sh_flags &= ~uint64_t{SHF_COMPRESSED};
  header.sh_addralign = compression.ch_addralign;
  header.sh_size = contents.size();
  data->d_buf = contents.data();
  data->d_size = contents.size();
  storage.push_back(std::move(contents));
  if (gelf_update_shdr(section, &header) == 0) {
    return Fail(ErrorCode::kMalformed, "{}: {}", name, elf_errmsg(-1));
  }
  return {};
}

}  // namespace

Status InflateZstdSections(const ElfFile& file, InflatedSections& storage) {
  size_t names = 0;
  if (elf_getshdrstrndx(file.elf(), &names) != 0) return {};
  Elf_Scn* section = nullptr;
  while ((section = elf_nextscn(file.elf(), section)) != nullptr) {
    GElf_Shdr header{};
    if (gelf_getshdr(section, &header) == nullptr || (header.sh_flags & SHF_COMPRESSED) == 0) {
      continue;
    }
    const char* name = elf_strptr(file.elf(), names, header.sh_name);
    if (name == nullptr || !std::string_view(name).starts_with(".debug_")) continue;
    const Status inflated = Inflate(section, name, header, storage);
    if (!inflated) return Within(file.path(), inflated.error());
  }
  return {};
}

}  // namespace dmaudit
