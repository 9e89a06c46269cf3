// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/kdump_front.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace dmaudit {
namespace {

// Main header, 64-bit layout.
constexpr std::string_view kSignature = "KDUMP   ";
constexpr uint32_t kHeaderVersion = 6;
constexpr size_t kVersionAt = 8;
constexpr size_t kUtsnameAt = 12;
constexpr size_t kUtsnameField = 65;
constexpr size_t kTimestampAt = 408;
constexpr size_t kStatusAt = 424;
constexpr size_t kBlockSizeAt = 428;
constexpr size_t kSubHeaderBlocksAt = 432;
constexpr size_t kBitmapBlocksAt = 436;
constexpr size_t kMaxMapnr32At = 440;
constexpr size_t kNrCpusAt = 460;
// Sub header, 64-bit layout.
constexpr size_t kPhysBaseAt = 0;
constexpr size_t kDumpLevelAt = 8;
constexpr size_t kVmcoreinfoAt = 32;  // offset, size
constexpr size_t kNotesAt = 48;       // offset, size
constexpr size_t kEraseinfoAt = 64;   // offset, size
constexpr size_t kMaxMapnr64At = 96;
constexpr size_t kSubHeaderSize = 104;

constexpr uint32_t kMinBlockSize = 4096;
constexpr uint32_t kMaxBlockSize = 65536;

uint64_t CeilDiv(uint64_t value, uint64_t unit) { return value / unit + (value % unit != 0); }

// One bitmap, set in ascending order. Blocks without a bit are left out of the file.
class BitmapStream {
 public:
  BitmapStream(AtomicFile& file, uint64_t offset, uint32_t block_size)
      : file_(file), offset_(offset), block_(block_size) {}

  Status Set(uint64_t first, uint64_t last) {
    const uint64_t bits = uint64_t{block_.size()} * 8;
    if (first / bits < index_) {
      return Fail(ErrorCode::kMalformed, "page frame {:#x}: ranges are not ascending", first);
    }
    while (first <= last) {
      if (first / bits != index_) {
        if (const Status flushed = Flush(); !flushed) return flushed;
        index_ = first / bits;
      }
      const uint64_t end = std::min(last, (index_ + 1) * bits - 1) + 1;
      SetInBlock(static_cast<size_t>(first % bits), static_cast<size_t>(end - first));
      first = end;
    }
    return {};
  }

  Status Flush() {
    if (!dirty_) return {};
    const Status status = file_.WriteAt(offset_ + index_ * block_.size(), block_);
    std::fill(block_.begin(), block_.end(), std::byte{0});
    dirty_ = false;
    return status;
  }

 private:
  void SetInBlock(size_t first, size_t count) {
    dirty_ = true;
    const size_t end = first + count;
    for (; first < end && first % 8 != 0; ++first) SetBit(first);
    for (; end - first >= 8; first += 8) block_[first / 8] = std::byte{0xff};
    for (; first < end; ++first) SetBit(first);
  }
  void SetBit(size_t bit) { block_[bit / 8] |= std::byte{1} << (bit % 8); }

  AtomicFile& file_;
  uint64_t offset_;
  std::vector<std::byte> block_;
  uint64_t index_ = 0;
  bool dirty_ = false;
};

// How many blocks of a bitmap that is set in ascending order have a bit.
class BlockCounter {
 public:
  explicit BlockCounter(uint64_t block) : bits_(block * 8) {}

  void Set(uint64_t first, uint64_t last) {
    const uint64_t begin = std::max(first / bits_, next_);
    next_ = std::max(last / bits_ + 1, begin);
    count_ += next_ - begin;
  }
  uint64_t bytes() const { return count_ * (bits_ / 8); }

 private:
  uint64_t bits_;
  uint64_t next_ = 0;  // the first block behind those that have one
  uint64_t count_ = 0;
};

}  // namespace

Result<KdumpPlan> PlanKdump(const KdumpDescription& header, const KdumpContent& content,
                            uint64_t notes_size) {
  if (header.block_size < kMinBlockSize || header.block_size > kMaxBlockSize ||
      !std::has_single_bit(header.block_size)) {
    return Fail(ErrorCode::kUsage, "block size {}, expected a power of two from {} to {}",
                header.block_size, kMinBlockSize, kMaxBlockSize);
  }
  if (header.nr_cpus == 0 || header.nr_cpus > INT32_MAX) {
    return Fail(ErrorCode::kUsage, "{} CPUs", header.nr_cpus);
  }
  const uint64_t block = header.block_size;
  KdumpPlan layout;
  uint64_t last = 0;
  BlockCounter ram(block);
  content.VisitRam([&](PhysRange range) {
    last = std::max(last, range.last.value());
    ram.Set(range.first.value() / block, range.last.value() / block);
    return true;
  });
  BlockCounter stored(block);
  content.VisitPages([&](const PageRun& run) {
    const uint64_t frame = run.first.value() / block;
    last = std::max(last, run.first.value() + (run.count - 1) * block);
    stored.Set(frame, frame + (run.count - 1));
    layout.pages += run.count;
    return true;
  });
  if (last >= kMaxKdumpAddress) {
    return Fail(ErrorCode::kLimit,
                "memory reaches physical address {:#x}, in a kdump-compressed file {:#x} at most: "
                "--format elf has no such limit",
                last, kMaxKdumpAddress - 1);
  }
  if (std::max(ram.bytes(), stored.bytes()) > kMaxKdumpBitmapBytes) {
    return Fail(
        ErrorCode::kLimit,
        "a page bitmap of {} bytes, in a kdump-compressed file {} at most: --format elf has "
        "no such limit",
        std::max(ram.bytes(), stored.bytes()), kMaxKdumpBitmapBytes);
  }
  layout.max_mapnr = last / block + 1;
  layout.sub_header_blocks = CeilDiv(kSubHeaderSize + notes_size, block);
  layout.one_bitmap_blocks = CeilDiv(CeilDiv(layout.max_mapnr, 8), block);
  layout.bitmap1_at = (1 + layout.sub_header_blocks) * block;
  layout.bitmap2_at = layout.bitmap1_at + layout.one_bitmap_blocks * block;
  layout.descriptors_at = layout.bitmap2_at + layout.one_bitmap_blocks * block;
  layout.data_at = layout.descriptors_at + layout.pages * kKdumpDescriptorSize;
  return layout;
}

Status WriteKdumpHeaders(const KdumpDescription& header, const KdumpPlan& layout,
                         const NoteArea& notes, const KdumpExtra& erased, uint32_t status,
                         AtomicFile& file) {
  const uint32_t block = header.block_size;
  std::vector<std::byte> bytes(block + kSubHeaderSize);
  std::ranges::copy(AsBytes(kSignature), bytes.begin());
  StoreUnchecked<uint32_t>(bytes, kVersionAt, kHeaderVersion);
  size_t at = kUtsnameAt;
  for (const std::string* text : {&header.sysname, &header.nodename, &header.release,
                                  &header.version, &header.machine, &header.domainname}) {
    const auto cut = AsBytes(*text).first(std::min(text->size(), kUtsnameField - 1));
    std::ranges::copy(cut, bytes.begin() + static_cast<std::ptrdiff_t>(at));
    at += kUtsnameField;
  }
  StoreUnchecked<uint64_t>(bytes, kTimestampAt, header.timestamp);
  StoreUnchecked<uint32_t>(bytes, kStatusAt, status);
  StoreUnchecked<uint32_t>(bytes, kBlockSizeAt, block);
  StoreUnchecked<uint32_t>(bytes, kSubHeaderBlocksAt,
                           static_cast<uint32_t>(layout.sub_header_blocks));
  StoreUnchecked<uint32_t>(bytes, kBitmapBlocksAt,
                           static_cast<uint32_t>(2 * layout.one_bitmap_blocks));
  StoreUnchecked<uint32_t>(bytes, kMaxMapnr32At,
                           static_cast<uint32_t>(std::min<uint64_t>(layout.max_mapnr, UINT32_MAX)));
  StoreUnchecked<uint32_t>(bytes, kNrCpusAt, header.nr_cpus);

  const std::span<std::byte> sub = std::span(bytes).subspan(block);
  StoreUnchecked<uint64_t>(sub, kPhysBaseAt, header.phys_base);
  StoreUnchecked<uint32_t>(sub, kDumpLevelAt, header.dump_level);
  const uint64_t notes_at = block + kSubHeaderSize;
  if (notes.vmcoreinfo_size != 0) {
    StoreUnchecked<uint64_t>(sub, kVmcoreinfoAt, notes_at + notes.vmcoreinfo_at);
    StoreUnchecked<uint64_t>(sub, kVmcoreinfoAt + 8, notes.vmcoreinfo_size);
  }
  if (!notes.bytes.empty()) {
    StoreUnchecked<uint64_t>(sub, kNotesAt, notes_at);
    StoreUnchecked<uint64_t>(sub, kNotesAt + 8, notes.bytes.size());
  }
  if (erased.size != 0) {
    StoreUnchecked<uint64_t>(sub, kEraseinfoAt, erased.at);
    StoreUnchecked<uint64_t>(sub, kEraseinfoAt + 8, erased.size);
  }
  StoreUnchecked<uint64_t>(sub, kMaxMapnr64At, layout.max_mapnr);
  const Status front = file.WriteAt(0, bytes);
  return front ? file.WriteAt(notes_at, notes.bytes) : front;
}

Status WriteKdumpBitmaps(const KdumpContent& content, const KdumpPlan& layout, uint32_t block,
                         AtomicFile& file) {
  Status status;
  BitmapStream ram(file, layout.bitmap1_at, block);
  content.VisitRam([&](PhysRange range) {
    status = ram.Set(range.first.value() / block, range.last.value() / block);
    return status.has_value();
  });
  if (status) status = ram.Flush();
  if (!status) return status;

  BitmapStream stored(file, layout.bitmap2_at, block);
  std::optional<uint64_t> before;
  content.VisitPages([&](const PageRun& run) {
    const uint64_t frame = run.first.value() / block;
    const uint64_t last = frame + (run.count - 1);
    if (before && frame <= *before) {
      status = Fail(ErrorCode::kMalformed, "page frame {:#x}: pages are not ascending", frame);
    } else {
      status = stored.Set(frame, last);
    }
    before = last;
    return status.has_value();
  });
  if (status) status = stored.Flush();
  return status;
}

}  // namespace dmaudit
