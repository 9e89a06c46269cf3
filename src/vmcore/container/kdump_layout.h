// SPDX-License-Identifier: GPL-2.0-or-later
// Where the fields of the kdump headers are: they are C structures of the dumped machine, in its
// byte order and with its word size and alignment, and nothing in them says which.
#ifndef DMAUDIT_VMCORE_CONTAINER_KDUMP_LAYOUT_H_
#define DMAUDIT_VMCORE_CONTAINER_KDUMP_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// disk_dump_header: makedumpfile diskdump_mod.h, crash diskdump.h. The signature, the version and
// utsname are at the same place in all of them.
struct KdumpMainLayout {
  size_t status;         // u32
  size_t block_size;     // i32
  size_t sub_hdr_size;   // i32, blocks
  size_t bitmap_blocks;  // u32, all bitmaps together
  size_t max_mapnr;      // u32, saturated
  size_t size;
};

// kdump_sub_header. `long` fields have the machine's word size.
struct KdumpSubLayout {
  unsigned word;                                  // bytes of a long
  size_t dump_level;                              // i32
  size_t split;                                   // i32, from version 2
  size_t start_pfn, end_pfn;                      // long
  size_t offset_vmcoreinfo, size_vmcoreinfo;      // u64 and long, from version 3
  size_t offset_note, size_note;                  // from version 4
  size_t offset_eraseinfo, size_eraseinfo;        // from version 5
  size_t start_pfn_64, end_pfn_64, max_mapnr_64;  // u64, from version 6
  size_t size;
};

// All bits of makedumpfile's -d there are, and room.
inline constexpr uint32_t kMaxKdumpDumpLevel = 0xff;

inline constexpr size_t kKdumpVersion = 8;    // i32
inline constexpr size_t kKdumpNodename = 77;  // six fields of 65 bytes from 12 on
inline constexpr size_t kKdumpRelease = 142;
inline constexpr size_t kKdumpUtsVersion = 207;
inline constexpr size_t kKdumpMachine = 272;
inline constexpr size_t kKdumpDomainname = 337;
inline constexpr size_t kKdumpUtsField = 65;
// Of the largest layout.
inline constexpr size_t kKdumpMainSize = 464;
inline constexpr size_t kKdumpSubSize = 104;

struct KdumpLayout {
  const KdumpMainLayout* main;
  const KdumpSubLayout* sub;
  ByteOrder order;
  std::string_view name;  // "64-bit little-endian", ...

  uint32_t U32(std::span<const std::byte> header, size_t offset) const {
    return LoadUnchecked<uint32_t>(header, offset, order);
  }
  uint64_t U64(std::span<const std::byte> header, size_t offset) const {
    return LoadUnchecked<uint64_t>(header, offset, order);
  }
  uint64_t Long(std::span<const std::byte> header, size_t offset) const {
    return sub->word == 8 ? U64(header, offset) : U32(header, offset);
  }
};

// A page size of some Linux machine: a power of two from 4 KiB to 64 KiB.
bool IsKdumpBlockSize(uint32_t size);

// The text of a utsname field.
std::string KdumpUtsField(std::span<const std::byte> main, size_t offset);

// The layout in which the headers make most sense; `main` is the start of `source` (kKdumpMainSize
// bytes). Always gives one, the 64-bit little-endian one when none fits: the caller checks fields.
// An error is a failure of the source.
Result<KdumpLayout> ChooseKdumpLayout(const ByteSource& source, std::span<const std::byte> main);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_KDUMP_LAYOUT_H_
