// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/kdump_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/ordered_work.h"
#include "vmcore/container/kdump_header.h"
#include "vmcore/write/page_compressor.h"

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

constexpr size_t kDescriptorSize = 24;
constexpr uint32_t kMinBlockSize = 4096;
constexpr uint32_t kMaxBlockSize = 65536;
constexpr size_t kBufferSize = 64 * 1024;
// Readers hold the notes in memory, and sizes are 32 bits in some of them.
constexpr uint64_t kMaxNotesSize = uint64_t{64} << 20;

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }
uint64_t CeilDiv(uint64_t value, uint64_t unit) { return value / unit + (value % unit != 0); }

// Bytes that follow each other in the file, written in pieces of kBufferSize.
class Stream {
 public:
  Stream(AtomicFile& file, uint64_t offset) : file_(file), offset_(offset) {}

  uint64_t position() const { return offset_ + buffer_.size(); }

  Status Put(std::span<const std::byte> bytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return buffer_.size() < kBufferSize ? Status() : Flush();
  }
  Status Flush() {
    const Status written = file_.WriteAt(offset_, buffer_);
    offset_ += buffer_.size();
    buffer_.clear();
    return written;
  }

 private:
  AtomicFile& file_;
  uint64_t offset_;
  std::vector<std::byte> buffer_;
};

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
    written_ += block_.size();
    if (written_ > kMaxKdumpBitmapBytes) {
      return Fail(ErrorCode::kLimit, "a bitmap of more than {} bytes", kMaxKdumpBitmapBytes);
    }
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
  uint64_t written_ = 0;
};

struct Notes {
  std::vector<std::byte> bytes;
  uint64_t vmcoreinfo_at = 0;  // in `bytes`
  uint64_t vmcoreinfo_size = 0;
  std::vector<std::byte> erased;  // the text of ERASEINFO, which is no note here
};

Result<Notes> PackNotes(const std::vector<DumpNote>& notes) {
  Notes out;
  for (const DumpNote& note : notes) {
    const uint64_t name_size = note.name.size() + 1;
    if (name_size > kMaxNotesSize || note.descriptor.size() > kMaxNotesSize) {
      return Fail(ErrorCode::kLimit, "notes of more than {} bytes", kMaxNotesSize);
    }
    if (note.name == "ERASEINFO") {
      out.erased.insert(out.erased.end(), note.descriptor.begin(), note.descriptor.end());
      continue;
    }
    const size_t start = out.bytes.size();
    const size_t descriptor_at = start + static_cast<size_t>(12 + RoundUp(name_size, 4));
    const size_t end = descriptor_at + static_cast<size_t>(RoundUp(note.descriptor.size(), 4));
    if (end > kMaxNotesSize) {
      return Fail(ErrorCode::kLimit, "notes of more than {} bytes", kMaxNotesSize);
    }
    out.bytes.resize(end);
    StoreUnchecked<uint32_t>(out.bytes, start, static_cast<uint32_t>(name_size));
    StoreUnchecked<uint32_t>(out.bytes, start + 4, static_cast<uint32_t>(note.descriptor.size()));
    StoreUnchecked<uint32_t>(out.bytes, start + 8, note.type);
    std::ranges::copy(AsBytes(note.name),
                      out.bytes.begin() + static_cast<std::ptrdiff_t>(start + 12));
    std::ranges::copy(note.descriptor,
                      out.bytes.begin() + static_cast<std::ptrdiff_t>(descriptor_at));
    if (note.name == "VMCOREINFO" && out.vmcoreinfo_size == 0) {
      out.vmcoreinfo_at = descriptor_at;
      out.vmcoreinfo_size = note.descriptor.size();
    }
  }
  return out;
}

// Where everything lies, known before the first page is compressed.
struct Layout {
  uint64_t max_mapnr = 0;  // page frames, one more than the last
  uint64_t pages = 0;
  uint64_t sub_header_blocks = 0;
  uint64_t one_bitmap_blocks = 0;
  uint64_t bitmap1_at = 0;
  uint64_t bitmap2_at = 0;
  uint64_t descriptors_at = 0;
  uint64_t data_at = 0;
};

Result<Layout> Plan(const KdumpDescription& header, const KdumpContent& content,
                    uint64_t notes_size) {
  if (header.block_size < kMinBlockSize || header.block_size > kMaxBlockSize ||
      !std::has_single_bit(header.block_size)) {
    return Fail(ErrorCode::kUsage, "block size {}, expected a power of two from {} to {}",
                header.block_size, kMinBlockSize, kMaxBlockSize);
  }
  if (header.nr_cpus == 0 || header.nr_cpus > INT32_MAX) {
    return Fail(ErrorCode::kUsage, "{} CPUs", header.nr_cpus);
  }
  Layout layout;
  uint64_t last = 0;
  content.VisitRam([&last](PhysRange range) {
    last = std::max(last, range.last.value());
    return true;
  });
  content.VisitPages([&](PhysAddr base) {
    last = std::max(last, base.value());
    ++layout.pages;
    return true;
  });
  if (last >= kMaxKdumpAddress) {
    return Fail(ErrorCode::kLimit, "physical address {:#x}, limit {:#x}", last, kMaxKdumpAddress);
  }
  const uint64_t block = header.block_size;
  layout.max_mapnr = last / block + 1;
  layout.sub_header_blocks = CeilDiv(kSubHeaderSize + notes_size, block);
  layout.one_bitmap_blocks = CeilDiv(CeilDiv(layout.max_mapnr, 8), block);
  layout.bitmap1_at = (1 + layout.sub_header_blocks) * block;
  layout.bitmap2_at = layout.bitmap1_at + layout.one_bitmap_blocks * block;
  layout.descriptors_at = layout.bitmap2_at + layout.one_bitmap_blocks * block;
  layout.data_at = layout.descriptors_at + layout.pages * kDescriptorSize;
  return layout;
}

Status WriteHeaders(const KdumpDescription& header, const Layout& layout, const Notes& notes,
                    uint64_t erased_at, uint32_t status, AtomicFile& file) {
  const uint32_t block = header.block_size;
  std::vector<std::byte> bytes(static_cast<size_t>(layout.bitmap1_at));
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
    std::ranges::copy(notes.bytes, sub.begin() + kSubHeaderSize);
  }
  if (!notes.erased.empty()) {
    StoreUnchecked<uint64_t>(sub, kEraseinfoAt, erased_at);
    StoreUnchecked<uint64_t>(sub, kEraseinfoAt + 8, notes.erased.size());
  }
  StoreUnchecked<uint64_t>(sub, kMaxMapnr64At, layout.max_mapnr);
  return file.WriteAt(0, bytes);
}

Status WriteBitmaps(const KdumpContent& content, const Layout& layout, uint32_t block,
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
  content.VisitPages([&](PhysAddr base) {
    const uint64_t frame = base.value() / block;
    if (before && frame <= *before) {
      status = Fail(ErrorCode::kMalformed, "page frame {:#x}: pages are not ascending", frame);
    } else {
      status = stored.Set(frame, frame);
    }
    before = frame;
    return status.has_value();
  });
  if (status) status = stored.Flush();
  return status;
}

bool IsZero(std::span<const std::byte> bytes) {
  // Equal to itself one byte further on: all bytes are the first one.
  return bytes[0] == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

// Pages that travel together: read and packed by one thread, written by the caller's.
struct PageJob {
  struct Packed {
    StoredAs as = StoredAs::kData;
    bool zero = false;  // all of it; has no bytes of its own
    uint32_t size = 0;
    uint32_t flags = 0;
  };
  std::vector<PhysAddr> bases;
  std::vector<Packed> packed;
  std::vector<std::byte> bytes;  // of all pages, one behind the other
  Status status;
};

// 1 MiB of 4 KiB pages: work enough for a thread, little enough to hold.
constexpr size_t kPagesPerJob = 256;

class PagePacker {
 public:
  PagePacker(const KdumpContent& content, PageCompressor compressor, uint32_t block_size)
      : filler_(content.MakeFiller()), compressor_(std::move(compressor)), page_(block_size) {}

  void Pack(PageJob& job) {
    job.packed.clear();
    job.bytes.clear();
    for (const PhysAddr base : job.bases) {
      const Result<StoredAs> as = filler_->Fill(base, page_);
      if (!as) {
        job.status = tl::unexpected(as.error());
        return;
      }
      PageJob::Packed packed{*as, false, 0, 0};
      if (*as == StoredAs::kData) {
        packed.zero = IsZero(page_);
        if (!packed.zero) {
          const std::span<const std::byte> stored = compressor_.Compress(page_);
          packed.size = static_cast<uint32_t>(stored.size());
          packed.flags = stored.size() < page_.size() ? compressor_.flag() : 0;
          job.bytes.insert(job.bytes.end(), stored.begin(), stored.end());
        }
      }
      job.packed.push_back(packed);
    }
  }

 private:
  std::unique_ptr<PageFiller> filler_;
  PageCompressor compressor_;
  std::vector<std::byte> page_;
};

// What stands for a page that was undecodable in the original: no decoder takes it for a stream.
constexpr std::string_view kUndecodable = "dmaudit: corrupt in the original";

// Descriptors and data, in step.
class PageWriter {
 public:
  PageWriter(AtomicFile& file, const Layout& layout, uint32_t block_size)
      : descriptors_(file, layout.descriptors_at),
        data_(file, layout.data_at),
        block_size_(block_size),
        // Larger than any file that holds so many pages.
        beyond_end_(layout.data_at + (layout.pages + 2) * block_size + kMaxNotesSize) {}

  Status Put(const PageJob& job) {
    const uint64_t start = data_.position();
    uint64_t done = 0;  // bytes of this job in front of the page
    Status status = PutShared(job, start);
    // Shared pages were put in front of those of this job.
    const uint64_t own = data_.position();
    if (status && !job.bytes.empty()) status = data_.Put(job.bytes);
    for (const PageJob::Packed& page : job.packed) {
      if (!status) break;
      ++summary_.pages;
      switch (page.as) {
        case StoredAs::kData:
          if (page.zero) {
            status = Describe(*zero_page_at_, block_size_, 0);
          } else {
            status = Describe(own + done, page.size, page.flags);
            done += page.size;
          }
          break;
        case StoredAs::kLost:
          ++summary_.lost;
          status = Describe(0, 0, 0);
          break;
        case StoredAs::kTruncated:
          ++summary_.truncated;
          status = Describe(beyond_end_, block_size_, 0);
          break;
        case StoredAs::kCorrupt:
          ++summary_.corrupt;
          status = Describe(*undecodable_at_, kUndecodable.size(), kFlagZlib);
          break;
      }
    }
    return status;
  }

  // Where the data ends.
  uint64_t position() const { return data_.position(); }
  Status PutBehind(std::span<const std::byte> bytes) { return data_.Put(bytes); }

  Status Flush() {
    const Status flushed = descriptors_.Flush();
    return flushed ? data_.Flush() : flushed;
  }
  const KdumpSummary& summary() const { return summary_; }

 private:
  static constexpr uint32_t kFlagZlib = 1;

  // All zero pages share one, and so do all undecodable ones.
  Status PutShared(const PageJob& job, uint64_t at) {
    const auto any = [&job](auto test) { return std::ranges::any_of(job.packed, test); };
    if (!zero_page_at_ && any([](const auto& page) { return page.zero; })) {
      zero_page_at_ = at;
      at += block_size_;
      if (const Status put = data_.Put(std::vector<std::byte>(block_size_)); !put) return put;
    }
    if (!undecodable_at_ && any([](const auto& page) { return page.as == StoredAs::kCorrupt; })) {
      undecodable_at_ = at;
      return data_.Put(AsBytes(kUndecodable));
    }
    return {};
  }

  Status Describe(uint64_t at, uint64_t size, uint32_t flags) {
    std::array<std::byte, kDescriptorSize> descriptor{};
    StoreUnchecked<uint64_t>(descriptor, 0, at);
    StoreUnchecked<uint32_t>(descriptor, 8, static_cast<uint32_t>(size));
    StoreUnchecked<uint32_t>(descriptor, 12, flags);
    return descriptors_.Put(descriptor);
  }

  Stream descriptors_;
  Stream data_;
  uint32_t block_size_;
  uint64_t beyond_end_;
  std::optional<uint64_t> zero_page_at_;
  std::optional<uint64_t> undecodable_at_;
  KdumpSummary summary_;
};

Status WritePages(const KdumpDescription& header, const KdumpContent& content,
                  const KdumpOptions& options, const Layout& layout, PageWriter& writer) {
  std::vector<std::shared_ptr<PagePacker>> packers;
  for (unsigned i = 0; i < std::max(options.threads, 1U); ++i) {
    Result<PageCompressor> compressor = PageCompressor::Make(options, header.block_size);
    if (!compressor) return tl::unexpected(compressor.error());
    packers.push_back(
        std::make_shared<PagePacker>(content, std::move(*compressor), header.block_size));
  }
  Status status;
  auto next_packer = packers.begin();
  OrderedWork<PageJob> work(
      static_cast<unsigned>(packers.size()),
      [&]() -> OrderedWork<PageJob>::Worker {
        return [packer = *next_packer++](PageJob& job) { packer->Pack(job); };
      },
      [&](PageJob& job) {
        status = job.status ? writer.Put(job) : job.status;
        if (status && options.progress && !options.progress(writer.summary().pages, layout.pages)) {
          status = Fail(ErrorCode::kIo, "interrupted");
        }
        return status.has_value();
      });
  PageJob* job = &work.Next();
  job->bases.clear();
  uint64_t pages = 0;
  content.VisitPages([&](PhysAddr base) {
    if (++pages > layout.pages) {
      status = Fail(ErrorCode::kMalformed, "more pages than were announced");
      return false;
    }
    job->bases.push_back(base);
    if (job->bases.size() < kPagesPerJob) return true;
    if (!work.Submit()) return false;
    job = &work.Next();
    job->bases.clear();
    return true;
  });
  if (status && !job->bases.empty()) work.Submit();
  work.Finish();
  if (status && pages != layout.pages) {
    return Fail(ErrorCode::kMalformed, "{} pages, {} were announced", pages, layout.pages);
  }
  return status;
}

}  // namespace

Result<KdumpSummary> WriteKdump(const KdumpDescription& header, KdumpContent& content,
                                const KdumpOptions& options, AtomicFile& file) {
  const Result<Notes> notes = PackNotes(header.notes);
  if (!notes) return tl::unexpected(notes.error());
  const Result<Layout> layout = Plan(header, content, notes->bytes.size());
  if (!layout) return tl::unexpected(layout.error());
  const Result<PageCompressor> compressor = PageCompressor::Make(options, header.block_size);
  if (!compressor) return tl::unexpected(compressor.error());

  Status status = WriteBitmaps(content, *layout, header.block_size, file);
  // Without a page, the file would end at the last bit that is set.
  if (status) status = file.ExtendTo(layout->data_at);
  PageWriter writer(file, *layout, header.block_size);
  if (status) status = WritePages(header, content, options, *layout, writer);
  const uint64_t erased_at = writer.position();
  if (status && !notes->erased.empty()) status = writer.PutBehind(notes->erased);
  if (status) status = writer.Flush();
  // Last, as only now it is known whether pages are missing.
  const KdumpSummary& summary = writer.summary();
  const bool incomplete = header.incomplete || summary.lost != 0 || summary.truncated != 0;
  const uint32_t flags = compressor->flag() | (incomplete ? kKdumpIncomplete : 0);
  if (status) status = WriteHeaders(header, *layout, *notes, erased_at, flags, file);
  if (!status) return tl::unexpected(status.error());
  return summary;
}

}  // namespace dmaudit
