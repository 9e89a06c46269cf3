// SPDX-License-Identifier: GPL-2.0-or-later
// ELF headers of a vmcore, decoded and checked against the file that holds them.
#ifndef DMAUDIT_VMCORE_CONTAINER_ELF_HEADER_H_
#define DMAUDIT_VMCORE_CONTAINER_ELF_HEADER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

struct ElfSegment {
  uint64_t index = 0;  // in the program header table
  uint64_t offset = 0;
  uint64_t virtual_address = 0;
  uint64_t physical_address = 0;
  uint64_t file_size = 0;
  uint64_t memory_size = 0;
};

struct ElfHeader {
  std::string machine;  // "x86_64", "aarch64", ...; "machine 12" for one without a name here
  bool wide = true;     // 64-bit headers
  ByteOrder order = ByteOrder::kLittle;
  uint32_t flags = 0;
  uint64_t program_headers = 0;   // entries, of any type
  std::vector<ElfSegment> loads;  // PT_LOAD in file order
  std::vector<ElfSegment> notes;  // PT_NOTE in file order
};

// Reads both widths and byte orders, of any machine. Fails on what is not an ELF core, and when the
// program headers are not all there. Sizes and offsets of the segments are as found; `path` names
// the file.
Result<ElfHeader> ReadElfHeader(const ByteSource& source, std::string_view path);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_ELF_HEADER_H_
