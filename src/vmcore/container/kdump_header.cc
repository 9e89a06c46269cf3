// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/kdump_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include "base/number.h"
#include "vmcore/container/kdump_layout.h"

namespace dmaudit {
namespace {

constexpr uint32_t kX86PageSize = 4096;
constexpr std::string_view kDiskdumpSignature = "DISKDUMP";

class HeaderParser {
 public:
  HeaderParser(const ByteSource& source, std::string_view path, DiagnosticSink& sink)
      : source_(source), path_(path), sink_(sink) {}

  Result<KdumpHeader> Parse() {
    for (const auto step : {&HeaderParser::ReadMain, &HeaderParser::CheckMachine,
                            &HeaderParser::ReadSub, &HeaderParser::PlaceBitmaps}) {
      if (Status done = (this->*step)(); !done) return tl::unexpected<Error>(done.error());
    }
    return std::move(header_);
  }

 private:
  // Reads exactly out.size() bytes.
  Status ReadWhole(FileOffset offset, std::span<std::byte> out, std::string_view what) {
    const Result<size_t> got = source_.ReadAt(offset, out);
    if (!got) return tl::unexpected<Error>(got.error());
    if (*got < out.size()) {
      return Fail(ErrorCode::kMalformed, "{}: kdump {} at {:#x}: the file ends at {:#x}", path_,
                  what, offset.value(), offset.value() + *got);
    }
    return {};
  }

  // What a stream lacks would be zeros: a part of a split dump would be a whole one, an incomplete
  // dump complete.
  Status CheckWritten(FileOffset offset, size_t size, std::string_view what) const {
    if (source_.IsWritten(offset, size)) return {};
    return Fail(ErrorCode::kMalformed,
                "{}: kdump {} at {:#x}: not all of it is in a record of the stream", path_, what,
                offset.value());
  }

  uint32_t Main(size_t offset) const { return layout_.U32(main_, offset); }

  Status ReadMain();
  Status CheckMachine();
  Status ReadSub();
  size_t SubSize() const;
  void ReadSubFields(std::span<const std::byte> sub);
  Status ReadSplit(std::span<const std::byte> sub);
  Status PlaceBitmaps();

  const ByteSource& source_;
  std::string_view path_;
  DiagnosticSink& sink_;
  std::array<std::byte, kKdumpMainSize> main_{};
  KdumpLayout layout_{};
  KdumpHeader header_;
  uint64_t sub_blocks_ = 0;
  uint64_t bitmap_blocks_ = 0;
};

Status HeaderParser::ReadMain() {
  if (Status read = ReadWhole(FileOffset(0), main_, "header"); !read) return read;
  const Result<KdumpLayout> layout = ChooseKdumpLayout(source_, main_);
  if (!layout) return tl::unexpected<Error>(layout.error());
  layout_ = *layout;
  if (Status written = CheckWritten(FileOffset(0), layout_.main->size, "header"); !written) {
    return written;
  }
  const KdumpMainLayout& at = *layout_.main;
  header_.diskdump = AsText(main_).starts_with(kDiskdumpSignature);
  header_.version = static_cast<int32_t>(Main(kKdumpVersion));
  header_.layout = layout_.name;
  header_.order = layout_.order;
  header_.nodename = KdumpUtsField(main_, kKdumpNodename);
  header_.domainname = KdumpUtsField(main_, kKdumpDomainname);
  header_.release = KdumpUtsField(main_, kKdumpRelease);
  header_.utsname_version = KdumpUtsField(main_, kKdumpUtsVersion);
  header_.machine = KdumpUtsField(main_, kKdumpMachine);
  header_.status = Main(at.status);
  header_.block_size = Main(at.block_size);
  header_.max_mapnr = Main(at.max_mapnr);
  sub_blocks_ = Main(at.sub_hdr_size);
  bitmap_blocks_ = Main(at.bitmap_blocks);
  header_.identity.assign(main_.begin(), main_.end());
  StoreUnchecked<uint32_t>(header_.identity, at.status, 0);
  if (!IsKdumpBlockSize(header_.block_size)) {
    return Fail(ErrorCode::kMalformed,
                "{}: kdump header at {:#x}: block size is {:#x}, expected a power of two from "
                "0x1000 to 0x10000",
                path_, at.block_size, header_.block_size);
  }
  if (header_.version < 0) {
    return Fail(ErrorCode::kMalformed, "{}: kdump header: version is {}", path_, header_.version);
  }
  if (sub_blocks_ > INT32_MAX) {
    return Fail(ErrorCode::kMalformed, "{}: kdump header: sub header of {:#x} blocks", path_,
                sub_blocks_);
  }
  return {};
}

Status HeaderParser::CheckMachine() {
  const bool like_x86_64 = layout_.order == ByteOrder::kLittle && layout_.sub->word == 8 &&
                           header_.block_size == kX86PageSize;
  // QEMU's code for dumps, built once for all targets (10.0), knows no name and writes "Unknown".
  if (header_.machine.empty() || header_.machine == "Unknown") {
    header_.machine = like_x86_64 ? "x86_64" : header_.layout;
    sink_.Note("kdump.machine", "{}: kdump header names no machine, taken for {}", path_,
               header_.machine);
  } else if (header_.machine == "x86_64" && header_.block_size != kX86PageSize) {
    // Blocks and pages of different size: nobody writes that, and what a block holds is not known.
    return Fail(ErrorCode::kUnsupported,
                "{}: kdump-compressed dump of an x86_64 machine with pages of {} bytes, it has "
                "pages of {}",
                path_, header_.block_size, kX86PageSize);
  } else if (header_.machine == "x86_64" && !like_x86_64) {
    // QEMU names the machine it emulates, whatever system it runs.
    header_.machine = header_.layout;
    sink_.Note("kdump.machine", "{}: kdump header names an x86_64 machine and is {}", path_,
               header_.layout);
  } else if (header_.machine.starts_with("arm") && layout_.sub->word == 4) {
    sink_.Note("kdump.arm-frames",
               "{}: writers disagree on whether page frames of a 32-bit ARM machine are counted "
               "from 0 or from the start of RAM: addresses may be too low",
               path_);
  }
  return {};
}

Status HeaderParser::ReadSub() {
  // From version 1 on the block behind the main header is the sub header. That of a diskdump holds
  // registers.
  if (header_.version < 1 || header_.diskdump) return {};
  if (sub_blocks_ == 0) {
    return Fail(ErrorCode::kMalformed, "{}: kdump header: version {} without a sub header", path_,
                header_.version);
  }
  std::array<std::byte, kKdumpSubSize> buffer{};
  const auto sub = std::span(buffer).first(layout_.sub->size);
  if (Status read = ReadWhole(FileOffset(header_.block_size), sub, "sub header"); !read) {
    return read;
  }
  if (Status written = CheckWritten(FileOffset(header_.block_size), SubSize(), "sub header");
      !written) {
    return written;
  }
  ReadSubFields(sub);
  return ReadSplit(sub);
}

// How much of the sub header its version has.
size_t HeaderParser::SubSize() const {
  const KdumpSubLayout& at = *layout_.sub;
  switch (header_.version) {
    case 1:
      return at.split;
    case 2:
      return at.end_pfn + at.word;
    case 3:
      return at.size_vmcoreinfo + at.word;
    case 4:
      return at.size_note + at.word;
    case 5:
      return at.size_eraseinfo + at.word;
    default:
      return at.max_mapnr_64 + sizeof(uint64_t);
  }
}

void HeaderParser::ReadSubFields(std::span<const std::byte> sub) {
  const KdumpSubLayout& at = *layout_.sub;
  const auto extent = [&](size_t offset, size_t size) {
    return FileExtent{FileOffset(layout_.U64(sub, offset)), layout_.Long(sub, size)};
  };
  const uint32_t level = layout_.U32(sub, at.dump_level);
  if (level <= kMaxKdumpDumpLevel) header_.dump_level = level;
  if (header_.version >= 3) {
    header_.vmcoreinfo = extent(at.offset_vmcoreinfo, at.size_vmcoreinfo);
  }
  if (header_.version >= 4) header_.notes = extent(at.offset_note, at.size_note);
  if (header_.version >= 5) header_.eraseinfo = extent(at.offset_eraseinfo, at.size_eraseinfo);
  if (header_.version >= 6) {
    const uint64_t wide = layout_.U64(sub, at.max_mapnr_64);
    if (std::min<uint64_t>(wide, UINT32_MAX) != header_.max_mapnr) {
      sink_.Incomplete("kdump.max-mapnr",
                       "{}: kdump header: max_mapnr is {:#x}, max_mapnr_64 of the sub header {:#x}",
                       path_, header_.max_mapnr, wide);
    }
    header_.max_mapnr = std::max(wide, header_.max_mapnr);
  }
}

Status HeaderParser::ReadSplit(std::span<const std::byte> sub) {
  const KdumpSubLayout& at = *layout_.sub;
  header_.split = header_.version >= 2 && layout_.U32(sub, at.split) != 0;
  if (!header_.split) return {};
  const bool wide = header_.version >= 6;
  header_.start_frame = wide ? layout_.U64(sub, at.start_pfn_64) : layout_.Long(sub, at.start_pfn);
  header_.end_frame = wide ? layout_.U64(sub, at.end_pfn_64) : layout_.Long(sub, at.end_pfn);
  if (header_.start_frame > header_.end_frame || header_.start_frame > header_.max_mapnr) {
    return Fail(ErrorCode::kMalformed,
                "{}: kdump sub header: part of a split dump with page frames {:#x} to {:#x}, "
                "max_mapnr is {:#x}",
                path_, header_.start_frame, header_.end_frame, header_.max_mapnr);
  }
  header_.end_frame = std::min(header_.end_frame, header_.max_mapnr);
  return {};
}

Status HeaderParser::PlaceBitmaps() {
  const uint64_t block = header_.block_size;
  if (header_.max_mapnr == 0) {
    return Fail(ErrorCode::kMalformed, "{}: kdump header: max_mapnr is 0", path_);
  }
  const unsigned page_shift = static_cast<unsigned>(std::countr_zero(header_.block_size));
  if (header_.max_mapnr > (UINT64_MAX >> page_shift) + 1) {
    return Fail(ErrorCode::kMalformed,
                "{}: kdump header: max_mapnr {:#x} leaves the 64-bit address space", path_,
                header_.max_mapnr);
  }
  if (!header_.split) header_.end_frame = header_.max_mapnr;

  // All of these are below 2^33 blocks of at most 2^16 bytes.
  header_.first_bitmap = FileOffset((1 + sub_blocks_) * block);
  const uint64_t bitmaps_end = header_.first_bitmap.value() + bitmap_blocks_ * block;
  header_.descriptors = FileOffset(bitmaps_end);
  const uint64_t bytes_needed = (header_.max_mapnr - 1) / 8 + 1;
  const uint64_t blocks_needed = (bytes_needed - 1) / block + 1;
  if (bitmap_blocks_ < blocks_needed) {
    return Fail(ErrorCode::kMalformed,
                "{}: kdump header: bitmaps of {:#x} blocks cannot hold max_mapnr {:#x}", path_,
                bitmap_blocks_, header_.max_mapnr);
  }
  if (bitmaps_end > source_.size()) {
    return Fail(ErrorCode::kMalformed,
                "{}: kdump page bitmaps at {:#x}: they end at {:#x}, the file at {:#x}", path_,
                header_.first_bitmap.value(), bitmaps_end, source_.size());
  }
  const bool two = bitmap_blocks_ / 2 >= blocks_needed;
  header_.second_bitmap =
      two ? FileOffset(header_.first_bitmap.value() + bitmap_blocks_ * block / 2)
          : header_.first_bitmap;
  return {};
}

}  // namespace

Result<KdumpHeader> ReadKdumpHeader(const ByteSource& source, std::string_view path,
                                    DiagnosticSink& sink) {
  return HeaderParser(source, path, sink).Parse();
}

}  // namespace dmaudit
