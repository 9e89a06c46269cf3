// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/kdump_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include "base/bytes.h"
#include "base/number.h"

namespace dmaudit {
namespace {

// disk_dump_header of a 64-bit machine: makedumpfile diskdump_mod.h, crash diskdump.h.
namespace main_header {
constexpr size_t kVersion = 8;    // i32
constexpr size_t kNodename = 77;  // six fields of 65 bytes from 12 on
constexpr size_t kRelease = 142;
constexpr size_t kUtsVersion = 207;
constexpr size_t kMachine = 272;
constexpr size_t kDomainname = 337;
constexpr size_t kUtsField = 65;
constexpr size_t kStatus = 424;         // u32
constexpr size_t kBlockSize = 428;      // i32
constexpr size_t kSubHeaderSize = 432;  // i32, blocks
constexpr size_t kBitmapBlocks = 436;   // u32, all bitmaps together
constexpr size_t kMaxMapnr = 440;       // u32, saturated
constexpr size_t kSize = 464;
}  // namespace main_header

// kdump_sub_header of a 64-bit machine.
namespace sub_header {
constexpr size_t kSplit = 12;             // i32, from version 2
constexpr size_t kOffsetVmcoreinfo = 32;  // u64, from version 3
constexpr size_t kSizeVmcoreinfo = 40;
constexpr size_t kOffsetNote = 48;  // from version 4
constexpr size_t kSizeNote = 56;
constexpr size_t kOffsetEraseinfo = 64;  // from version 5
constexpr size_t kSizeEraseinfo = 72;
constexpr size_t kMaxMapnr64 = 96;  // from version 6
constexpr size_t kSize = 104;
}  // namespace sub_header

constexpr uint32_t kMinBlock = 4096;
constexpr uint32_t kMaxBlock = 65536;
constexpr uint32_t kX86PageSize = 4096;

bool IsBlockSize(uint32_t size) {
  return std::has_single_bit(size) && size >= kMinBlock && size <= kMaxBlock;
}

std::string UtsField(std::span<const std::byte> header, size_t offset) {
  const std::string_view text = AsText(header.subspan(offset, main_header::kUtsField));
  return std::string(text.substr(0, text.find('\0')));
}

// Reads exactly out.size() bytes.
Status ReadWhole(const ByteSource& source, FileOffset offset, std::span<std::byte> out,
                 std::string_view path, std::string_view what) {
  const Result<size_t> got = source.ReadAt(offset, out);
  if (!got) return tl::unexpected(got.error());
  if (*got < out.size()) {
    return Fail(ErrorCode::kMalformed, "{}: kdump {} at {:#x}: the file ends at {:#x}", path, what,
                offset.value(), offset.value() + *got);
  }
  return {};
}

// Nothing in the header tells byte order and word size: only the one combination makes sense.
Status CheckMachine(std::span<const std::byte> raw, std::string_view path,
                    const KdumpHeader& header, DiagnosticSink& sink) {
  const uint32_t little = LoadUnchecked<uint32_t>(raw, main_header::kBlockSize);
  if (!IsBlockSize(little)) {
    const uint32_t big = LoadUnchecked<uint32_t>(raw, main_header::kBlockSize, ByteOrder::kBig);
    // block_size of the packed 32-bit header.
    constexpr size_t kBlockSize32 = 416;
    const bool narrow = IsBlockSize(LoadUnchecked<uint32_t>(raw, kBlockSize32)) ||
                        IsBlockSize(LoadUnchecked<uint32_t>(raw, kBlockSize32, ByteOrder::kBig));
    if (IsBlockSize(big) || narrow) {
      return Fail(ErrorCode::kUnsupported,
                  "{}: kdump-compressed dump of a {} machine; only x86_64 dumps are read", path,
                  IsBlockSize(big) ? "big-endian" : "32-bit");
    }
    return Fail(ErrorCode::kMalformed,
                "{}: kdump header at {:#x}: block size is {:#x}, expected a power of two from "
                "{:#x} to {:#x}",
                path, main_header::kBlockSize, little, kMinBlock, kMaxBlock);
  }
  if (little != kX86PageSize) {
    return Fail(
        ErrorCode::kUnsupported,
        "{}: kdump-compressed dump with pages of {} bytes; only x86_64 dumps are read, with "
        "pages of {}",
        path, little, kX86PageSize);
  }
  if (header.machine.empty()) {
    sink.Note("kdump.machine", "{}: kdump header names no machine, taken for x86_64", path);
  } else if (header.machine != "x86_64") {
    return Fail(ErrorCode::kUnsupported,
                "{}: kdump-compressed dump of a machine \"{}\"; only x86_64 dumps are read", path,
                header.machine);
  }
  return {};
}

}  // namespace

Result<KdumpHeader> ReadKdumpHeader(const ByteSource& source, std::string_view path,
                                    DiagnosticSink& sink) {
  std::array<std::byte, main_header::kSize> raw{};
  if (Status read = ReadWhole(source, FileOffset(0), raw, path, "header"); !read) {
    return tl::unexpected(read.error());
  }
  KdumpHeader header;
  header.version = static_cast<int32_t>(LoadUnchecked<uint32_t>(raw, main_header::kVersion));
  header.nodename = UtsField(raw, main_header::kNodename);
  header.domainname = UtsField(raw, main_header::kDomainname);
  header.release = UtsField(raw, main_header::kRelease);
  header.utsname_version = UtsField(raw, main_header::kUtsVersion);
  header.machine = UtsField(raw, main_header::kMachine);
  header.status = LoadUnchecked<uint32_t>(raw, main_header::kStatus);
  header.block_size = LoadUnchecked<uint32_t>(raw, main_header::kBlockSize);
  if (Status machine = CheckMachine(raw, path, header, sink); !machine) {
    return tl::unexpected(machine.error());
  }
  if (header.version < 0) {
    return Fail(ErrorCode::kMalformed, "{}: kdump header: version is {}", path, header.version);
  }
  const uint32_t sub_blocks = LoadUnchecked<uint32_t>(raw, main_header::kSubHeaderSize);
  const uint64_t bitmap_blocks = LoadUnchecked<uint32_t>(raw, main_header::kBitmapBlocks);
  if (sub_blocks > INT32_MAX) {
    return Fail(ErrorCode::kMalformed, "{}: kdump header: sub header of {:#x} blocks", path,
                sub_blocks);
  }

  // From version 1 on the block behind the main header is the sub header.
  const uint64_t block = header.block_size;
  const uint32_t max_mapnr = LoadUnchecked<uint32_t>(raw, main_header::kMaxMapnr);
  header.max_mapnr = max_mapnr;
  if (header.version >= 1) {
    if (sub_blocks == 0) {
      return Fail(ErrorCode::kMalformed, "{}: kdump header: version {} without a sub header", path,
                  header.version);
    }
    std::array<std::byte, sub_header::kSize> sub{};
    if (Status read = ReadWhole(source, FileOffset(block), sub, path, "sub header"); !read) {
      return tl::unexpected(read.error());
    }
    const auto extent = [&sub](size_t offset, size_t size) {
      return FileExtent{FileOffset(LoadUnchecked<uint64_t>(sub, offset)),
                        LoadUnchecked<uint64_t>(sub, size)};
    };
    if (header.version >= 2 && LoadUnchecked<uint32_t>(sub, sub_header::kSplit) != 0) {
      return Fail(ErrorCode::kUnsupported,
                  "{}: one part of a split dump, which this version does not read; join the parts "
                  "with \"makedumpfile --reassemble\"",
                  path);
    }
    if (header.version >= 3) {
      header.vmcoreinfo = extent(sub_header::kOffsetVmcoreinfo, sub_header::kSizeVmcoreinfo);
    }
    if (header.version >= 4) {
      header.notes = extent(sub_header::kOffsetNote, sub_header::kSizeNote);
    }
    if (header.version >= 5) {
      header.eraseinfo = extent(sub_header::kOffsetEraseinfo, sub_header::kSizeEraseinfo);
    }
    if (header.version >= 6) {
      const uint64_t wide = LoadUnchecked<uint64_t>(sub, sub_header::kMaxMapnr64);
      if (std::min<uint64_t>(wide, UINT32_MAX) != max_mapnr) {
        sink.Incomplete(
            "kdump.max-mapnr",
            "{}: kdump header: max_mapnr is {:#x}, max_mapnr_64 of the sub header {:#x}", path,
            max_mapnr, wide);
      }
      header.max_mapnr = std::max<uint64_t>(wide, max_mapnr);
    }
  }
  if (header.max_mapnr == 0) {
    return Fail(ErrorCode::kMalformed, "{}: kdump header: max_mapnr is 0", path);
  }
  const unsigned page_shift = static_cast<unsigned>(std::countr_zero(header.block_size));
  if (header.max_mapnr > (UINT64_MAX >> page_shift) + 1) {
    return Fail(ErrorCode::kMalformed,
                "{}: kdump header: max_mapnr {:#x} leaves the 64-bit address space", path,
                header.max_mapnr);
  }

  // All of these are below 2^33 blocks of at most 2^16 bytes.
  header.first_bitmap = FileOffset((1 + uint64_t{sub_blocks}) * block);
  const uint64_t bitmaps_end = header.first_bitmap.value() + bitmap_blocks * block;
  header.descriptors = FileOffset(bitmaps_end);
  const uint64_t bytes_needed = (header.max_mapnr - 1) / 8 + 1;
  const uint64_t blocks_needed = (bytes_needed - 1) / block + 1;
  if (bitmap_blocks < blocks_needed) {
    return Fail(ErrorCode::kMalformed,
                "{}: kdump header: bitmaps of {:#x} blocks cannot hold max_mapnr {:#x}", path,
                bitmap_blocks, header.max_mapnr);
  }
  if (bitmaps_end > source.size()) {
    return Fail(ErrorCode::kMalformed,
                "{}: kdump page bitmaps at {:#x}: they end at {:#x}, the file at {:#x}", path,
                header.first_bitmap.value(), bitmaps_end, source.size());
  }
  const bool two = bitmap_blocks / 2 >= blocks_needed;
  header.second_bitmap = two ? FileOffset(header.first_bitmap.value() + bitmap_blocks * block / 2)
                             : header.first_bitmap;
  return header;
}

}  // namespace dmaudit
