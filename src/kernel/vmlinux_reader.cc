// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/vmlinux_reader.h"

#include <fmt/format.h>

#if DMAUDIT_LIBDW
#include <elfutils/version.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "kernel/libdw/dwarf_layouts.h"
#include "kernel/libdw/elf_file.h"
#endif

namespace dmaudit {

#if DMAUDIT_LIBDW

namespace {

// Functions of drivers/iommu/intel/{dmar,iommu}.c in every kernel from 3.10 on: the units they are
// in define nearly everything that is wanted.
constexpr std::array<std::string_view, 4> kNearby = {"dmar_table_init", "detect_intel_iommu",
                                                     "intel_iommu_init", "dmar_parse_dev_scope"};

// The file with the DWARF: the given one, or its separate debug file.
std::optional<ElfFile> FindDwarf(const ElfFile& main, std::string& failure) {
  const std::string build_id = main.BuildId();
  failure = fmt::format("{} has no DWARF, and no debug file of it is found", main.path());
  for (const std::string& path : DebugFilesOf(main)) {
    Result<ElfFile> other = ElfFile::Open(path);
    if (!other || !other->HasDwarf()) continue;
    if (other->BuildId() != build_id) {
      failure = fmt::format("{} has no DWARF, and its debug file {} has another build id",
                            main.path(), path);
      continue;
    }
    return std::optional<ElfFile>(*std::move(other));
  }
  return std::nullopt;
}

DebuginfoTable Read(const std::string& path, std::span<const std::string_view> wanted_symbols,
                    std::span<const std::string_view> structures, const std::string& supplement) {
  DebuginfoTable table;
  const Result<ElfFile> main = ElfFile::Open(path);
  if (!main) {
    table.no_symbols = table.no_types = main.error().message;
    return table;
  }
  table.build_id = main->BuildId();
  const std::optional<ElfFile> other =
      main->HasDwarf() ? std::nullopt : FindDwarf(*main, table.no_types);
  if (other) table.types_file = other->path();
  std::vector<std::string_view> names(wanted_symbols.begin(), wanted_symbols.end());
  names.insert(names.end(), kNearby.begin(), kNearby.end());
  auto symbols = main->Symbols(names);
  if (!symbols && other) symbols = other->Symbols(names);
  std::vector<uint64_t> near;
  if (symbols) {
    for (const DebuginfoTable::Symbol& symbol : *symbols) {
      if (std::find(kNearby.begin(), kNearby.end(), symbol.name) != kNearby.end()) {
        near.push_back(symbol.address);
      } else {
        table.symbols.push_back(symbol);
      }
    }
  } else {
    table.no_symbols = symbols.error().message;
  }
  if (main->HasDwarf() || other) {
    table.no_types.clear();
    const Status read = ReadLayouts(other ? *other : *main, structures, near, supplement, table);
    if (!read) table.no_types = read.error().message;
    if (read && table.definitions.empty()) {
      table.no_types = fmt::format("{}: none of the structures that are looked for is defined",
                                   other ? other->path() : path);
    }
  }
  return table;
}

}  // namespace

std::string DebuginfoSupport() { return fmt::format("libdw 0.{}", _ELFUTILS_VERSION); }

Result<DebuginfoTable> ReadVmlinux(const std::string& path,
                                   std::span<const std::string_view> symbols,
                                   std::span<const std::string_view> structures,
                                   const std::string& supplement, const IsolationLimits& limits) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return Fail(ErrorCode::kIo, "{}: no such file", path);
  }
  IsolationLimits own = limits;
  own.memory += static_cast<uint64_t>(status.st_size);
  const Result<std::vector<std::byte>> answer =
      RunIsolated([&] { return Read(path, symbols, structures, supplement).Encode(); }, own);
  if (!answer) {
    return Fail(answer.error().code, "{}: the process that parses it {}", path,
                answer.error().message);
  }
  Result<DebuginfoTable> table = DebuginfoTable::Decode(*answer);
  if (!table) return Within(path, table.error());
  if (!table->no_symbols.empty() && !table->no_types.empty()) {
    return Fail(ErrorCode::kUnrecognised, "{}{}{}", table->no_symbols,
                table->no_types == table->no_symbols ? "" : "; ",
                table->no_types == table->no_symbols ? "" : table->no_types);
  }
  return table;
}

#else

std::string DebuginfoSupport() { return "none"; }

Result<DebuginfoTable> ReadVmlinux(const std::string& path, std::span<const std::string_view>,
                                   std::span<const std::string_view>, const std::string&,
                                   const IsolationLimits&) {
  return Fail(ErrorCode::kUnsupported, "{}: this build reads no debuginfo (no libdw)", path);
}

#endif

}  // namespace dmaudit
