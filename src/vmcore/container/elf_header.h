// SPDX-License-Identifier: GPL-2.0-or-later
// ELF headers of a vmcore, decoded and checked against the file that holds them.
#ifndef DMAUDIT_VMCORE_CONTAINER_ELF_HEADER_H_
#define DMAUDIT_VMCORE_CONTAINER_ELF_HEADER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/address.h"
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
  uint64_t program_headers = 0;  // entries, of any type
  FileOffset table;              // of these
};

// Reads both widths and byte orders, of any machine. Fails on what is not an ELF core, and when the
// program headers are not all there; `path` names the file.
Result<ElfHeader> ReadElfHeader(const ByteSource& source, std::string_view path);

// Segments of one type in the order of the file, until `visit` gives false: there can be millions,
// so they are read anew each time. Sizes and offsets are as found.
Status VisitElfSegments(const ByteSource& source, const ElfHeader& header, uint32_t type,
                        std::string_view path, const std::function<bool(const ElfSegment&)>& visit);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_ELF_HEADER_H_
