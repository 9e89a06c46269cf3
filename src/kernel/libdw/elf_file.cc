// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/libdw/elf_file.h"

#include <elf.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

namespace dmaudit {
namespace {

constexpr size_t kMaxBuildId = 64;

std::string Hex(const unsigned char* bytes, size_t size) {
  std::string text;
  for (size_t i = 0; i < size && i < kMaxBuildId; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

}  // namespace

Result<ElfFile> ElfFile::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return Fail(ErrorCode::kIo, "{}: {}", path, strerror(errno));
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) {
    (void)close(descriptor);
    return Fail(ErrorCode::kUnrecognised, "{}: no regular file with contents", path);
  }
  ElfFile file;
  file.path_ = path;
  file.size_ = static_cast<size_t>(status.st_size);
  void* bytes = mmap(nullptr, file.size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0);
  const int reason = errno;
  (void)close(descriptor);
  if (bytes == MAP_FAILED) return Fail(ErrorCode::kIo, "{}: {}", path, strerror(reason));
  file.bytes_ = bytes;
  // Of hundreds of megabytes a few are looked at: no reading ahead.
  (void)madvise(bytes, file.size_, MADV_RANDOM);
  (void)elf_version(EV_CURRENT);
  file.elf_ = elf_memory(static_cast<char*>(bytes), file.size_);
  GElf_Ehdr header{};
  if (file.elf_ == nullptr || elf_kind(file.elf_) != ELF_K_ELF ||
      gelf_getehdr(file.elf_, &header) == nullptr || header.e_machine != EM_X86_64 ||
      header.e_ident[EI_CLASS] != ELFCLASS64) {
    return Fail(ErrorCode::kUnrecognised, "{}: no ELF file for x86-64", path);
  }
  return file;
}

ElfFile::ElfFile(ElfFile&& other) noexcept
    : path_(std::move(other.path_)),
      bytes_(std::exchange(other.bytes_, nullptr)),
      size_(other.size_),
      elf_(std::exchange(other.elf_, nullptr)) {}

ElfFile::~ElfFile() {
  if (elf_ != nullptr) (void)elf_end(elf_);
  if (bytes_ != nullptr) (void)munmap(bytes_, size_);
}

std::string ElfFile::BuildId() const {
  const void* id = nullptr;
  const ssize_t size = dwelf_elf_gnu_build_id(elf_, &id);
  if (size <= 0) return {};
  return Hex(static_cast<const unsigned char*>(id), static_cast<size_t>(size));
}

void ElfFile::GiveBack(const void* first, const void* end) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto file = reinterpret_cast<uintptr_t>(bytes_);
  const uintptr_t from = (reinterpret_cast<uintptr_t>(first) + page - 1) / page * page;
  const uintptr_t to = reinterpret_cast<uintptr_t>(end) / page * page;
  if (from < file || from >= to || to > file + size_) return;
  (void)madvise(static_cast<char*>(bytes_) + (from - file), to - from, MADV_DONTNEED);
}

Elf_Scn* ElfFile::Find(std::string_view name) const {
  size_t names = 0;
  if (elf_getshdrstrndx(elf_, &names) != 0) return nullptr;
  Elf_Scn* section = nullptr;
  while ((section = elf_nextscn(elf_, section)) != nullptr) {
    GElf_Shdr header{};
    if (gelf_getshdr(section, &header) == nullptr || header.sh_type == SHT_NOBITS) continue;
    const char* text = elf_strptr(elf_, names, header.sh_name);
    if (text != nullptr && name == text) return section;
  }
  return nullptr;
}

bool ElfFile::HasDwarf() const {
  return Find(".debug_info") != nullptr || Find(".zdebug_info") != nullptr;
}

std::optional<std::string_view> ElfFile::Section(std::string_view name) const {
  Elf_Scn* section = Find(name);
  // Contents that are still compressed are no use to anybody.
  GElf_Shdr header{};
  if (section == nullptr || gelf_getshdr(section, &header) == nullptr ||
      (header.sh_flags & SHF_COMPRESSED) != 0) {
    return std::nullopt;
  }
  const Elf_Data* data = section == nullptr ? nullptr : elf_getdata(section, nullptr);
  if (data == nullptr || data->d_buf == nullptr) return std::nullopt;
  return std::string_view(static_cast<const char*>(data->d_buf), data->d_size);
}

Result<std::vector<DebuginfoTable::Symbol>> ElfFile::Symbols(
    std::span<const std::string_view> wanted) const {
  const std::set<std::string_view> names(wanted.begin(), wanted.end());
  std::vector<DebuginfoTable::Symbol> symbols;
  Elf_Scn* section = nullptr;
  bool any = false;
  while ((section = elf_nextscn(elf_, section)) != nullptr) {
    GElf_Shdr header{};
    if (gelf_getshdr(section, &header) == nullptr || header.sh_type != SHT_SYMTAB ||
        header.sh_entsize == 0) {
      continue;
    }
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr) continue;
    const uint64_t count = data->d_size / header.sh_entsize;
    for (uint64_t i = 0; i < count && i < INT32_MAX; ++i) {
      GElf_Sym symbol{};
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
      const unsigned type = GELF_ST_TYPE(symbol.st_info);
      if (symbol.st_shndx == SHN_UNDEF || type == STT_SECTION || type == STT_FILE) continue;
      any = true;
      const char* name = elf_strptr(elf_, header.sh_link, symbol.st_name);
      if (name == nullptr || !names.contains(name)) continue;
      if (symbols.size() == DebuginfoTable::kMaxSymbols) {
        return Fail(ErrorCode::kLimit, "{}: more than {} symbols of the wanted names", path_,
                    DebuginfoTable::kMaxSymbols);
      }
      symbols.push_back({name, symbol.st_value});
    }
  }
  if (!any) return Fail(ErrorCode::kNotFound, "{} has no symbol table", path_);
  return symbols;
}

std::string BuildIdPath(std::string_view build_id) {
  if (build_id.size() < 4) return {};
  return fmt::format("/usr/lib/debug/.build-id/{}/{}.debug", build_id.substr(0, 2),
                     build_id.substr(2));
}

std::vector<std::string> FoldersOf(const std::string& path) {
  const auto folder = [](const std::string& of) {
    const size_t slash = of.rfind('/');
    return slash == std::string::npos ? std::string(".") : of.substr(0, slash);
  };
  std::vector<std::string> folders = {folder(path)};
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (error) return folders;
  std::string second = folder(real.string());
  const bool same = std::filesystem::equivalent(folders[0] + "/", second + "/", error);
  if (!error && !same) folders.push_back(std::move(second));
  return folders;
}

std::vector<std::string> DebugFilesOf(const ElfFile& file) {
  std::vector<std::string> paths;
  GElf_Word checksum = 0;
  if (const char* link = dwelf_elf_gnu_debuglink(file.elf(), &checksum); link != nullptr) {
    // A name, not a path: what it leads to is a file beside this one.
    const std::string_view name(link);
    if (!name.empty() && name.find('/') == std::string_view::npos) {
      for (const std::string& folder : FoldersOf(file.path())) {
        paths.push_back(fmt::format("{}/{}", folder, name));
        paths.push_back(fmt::format("{}/.debug/{}", folder, name));
        if (folder.starts_with('/'))
          paths.push_back(fmt::format("/usr/lib/debug{}/{}", folder, name));
      }
    }
  }
  if (std::string path = BuildIdPath(file.BuildId()); !path.empty())
    paths.push_back(std::move(path));
  std::erase(paths, file.path());
  return paths;
}

}  // namespace dmaudit
