// SPDX-License-Identifier: GPL-2.0-or-later
// An ELF file in libelf's hands. Only for use in an isolated process: the file is mapped, and the
// library trusts much of what it reads.
#ifndef DMAUDIT_KERNEL_LIBDW_ELF_FILE_H_
#define DMAUDIT_KERNEL_LIBDW_ELF_FILE_H_

#include <libelf.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernel/debuginfo_table.h"

namespace dmaudit {

class ElfFile {
 public:
  // kUnrecognised when it is no ELF file for x86-64.
  static Result<ElfFile> Open(const std::string& path);

  ElfFile(ElfFile&& other) noexcept;
  ElfFile& operator=(ElfFile&&) = delete;
  ~ElfFile();

  const std::string& path() const { return path_; }
  Elf* elf() const { return elf_; }

  // Hexadecimal; empty without one.
  std::string BuildId() const;
  bool HasDwarf() const;
  // The section's contents as far as the file has them (not of a section without bits).
  std::optional<std::string_view> Section(std::string_view name) const;

  // Contents that were looked through need no memory until they are looked at again. What does not
  // lie in the file as it is (a compressed section) stays.
  void GiveBack(const void* first, const void* end) const;

  // Looks names up in the symbol table. The error says that there is none.
  Result<std::vector<DebuginfoTable::Symbol>> Symbols(
      std::span<const std::string_view> wanted) const;

 private:
  ElfFile() = default;
  Elf_Scn* Find(std::string_view name) const;

  std::string path_;
  void* bytes_ = nullptr;
  size_t size_ = 0;
  Elf* elf_ = nullptr;
};

// The folder that links in a file at `path` start from, and where the path is a symbolic link (as
// those below .build-id are) the one of the file that it leads to.
std::vector<std::string> FoldersOf(const std::string& path);
// Where the separate debug file of `file` may be.
std::vector<std::string> DebugFilesOf(const ElfFile& file);
// "/usr/lib/debug/.build-id/ab/cdef.debug"; empty without a build id.
std::string BuildIdPath(std::string_view build_id);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_LIBDW_ELF_FILE_H_
