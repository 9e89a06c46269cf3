// SPDX-License-Identifier: GPL-2.0-or-later
// Headers of the kdump-compressed format, decoded and checked against the file that holds them.
#ifndef DMAUDIT_VMCORE_CONTAINER_KDUMP_HEADER_H_
#define DMAUDIT_VMCORE_CONTAINER_KDUMP_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/diagnostics.h"
#include "base/result.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// A part of the file; size 0 when there is none.
struct FileExtent {
  FileOffset offset;
  uint64_t size = 0;
};

// status bits of the main header.
inline constexpr uint32_t kKdumpZlib = 0x1;
inline constexpr uint32_t kKdumpLzo = 0x2;
inline constexpr uint32_t kKdumpSnappy = 0x4;
inline constexpr uint32_t kKdumpIncomplete = 0x8;
inline constexpr uint32_t kKdumpZstd = 0x20;

struct KdumpHeader {
  bool diskdump = false;  // the older format that this one grew out of
  int32_t version = 0;
  std::string layout;  // "64-bit little-endian", ...
  ByteOrder order = ByteOrder::kLittle;
  // `machine` is what utsname says, or "x86_64" where it says nothing and all else agrees, or the
  // layout: never empty.
  std::string release, utsname_version, nodename, domainname, machine;
  std::optional<uint32_t> dump_level;  // nothing where a writer cannot have meant it
  uint32_t status = 0;
  uint32_t block_size = 0;   // also the page size
  uint64_t max_mapnr = 0;    // page frames are below this
  FileOffset first_bitmap;   // set: RAM
  FileOffset second_bitmap;  // set: stored; equal to first_bitmap when there is only one
  FileOffset descriptors;
  FileExtent notes, vmcoreinfo, eraseinfo;
  // A part of a split dump holds the pages of frames start_frame .. end_frame - 1 only; a whole
  // dump those of 0 .. max_mapnr - 1.
  bool split = false;
  uint64_t start_frame = 0;
  uint64_t end_frame = 0;
  // The main header without what can differ between the parts of one dump (status).
  std::vector<std::byte> identity;

  bool two_bitmaps() const { return first_bitmap != second_bitmap; }
};

// Everything in the result is inside 64 bits, and the bitmaps are inside the file. Reads headers of
// any machine, word size and byte order. Fails where no page could be found; `path` names the file.
Result<KdumpHeader> ReadKdumpHeader(const ByteSource& source, std::string_view path,
                                    DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_KDUMP_HEADER_H_
