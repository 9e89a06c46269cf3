// SPDX-License-Identifier: GPL-2.0-or-later
// What was wanted out of a vmlinux: addresses of symbols and layouts of structures. The process
// that parses the file writes it, the audit reads it; the bytes between them are as hostile as the
// file.
#ifndef DMAUDIT_KERNEL_DEBUGINFO_TABLE_H_
#define DMAUDIT_KERNEL_DEBUGINFO_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/types.h"

namespace dmaudit {

struct DebuginfoMember {
  std::string name;  // empty: its members count as those of the enclosing structure
  MemberLayout layout;
  uint32_t composite = kNone;  // kStruct: index of its layout where that was read

  static constexpr uint32_t kNone = UINT32_MAX;
};

// A structure or union.
struct DebuginfoComposite {
  std::string name;
  uint64_t size = 0;
  std::vector<DebuginfoMember> members;
};

struct DebuginfoTable {
  // More than the largest list of names leads to.
  static constexpr size_t kMaxSymbols = 65536;
  static constexpr size_t kMaxComposites = 8192;
  static constexpr size_t kMaxMembers = 131072;  // of all together
  static constexpr size_t kMaxText = 4096;       // of one string
  // The bytes of all of it.
  static constexpr size_t kMaxBytes = size_t{8} << 20;

  struct Symbol {
    std::string name;
    uint64_t address = 0;  // as linked
  };

  std::string build_id;  // hexadecimal; empty when the file has none
  std::vector<Symbol> symbols;
  std::string no_symbols;  // why there are none
  std::vector<DebuginfoComposite> composites;
  std::vector<uint32_t> definitions;  // indices of those that were asked for by name
  std::string no_types;               // why there are none
  std::string types_file;             // the file they are in, where it is another one
  // Build id (hexadecimal) of a supplementary file of dwz that is needed for them and not found.
  std::string supplement;

  std::vector<std::byte> Encode() const;
  // kMalformed, kLimit when the bytes are not such a table.
  static Result<DebuginfoTable> Decode(std::span<const std::byte> bytes);
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_DEBUGINFO_TABLE_H_
