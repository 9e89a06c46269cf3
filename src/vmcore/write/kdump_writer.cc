// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/kdump_writer.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/ordered_work.h"
#include "vmcore/container/kdump_header.h"
#include "vmcore/write/kdump_front.h"
#include "vmcore/write/note_area.h"
#include "vmcore/write/page_compressor.h"
#include "vmcore/write/positioned_stream.h"

namespace dmaudit {
namespace {

constexpr std::string_view kEraseinfoName = "ERASEINFO";

// The text of every ERASEINFO, which is no note here.
std::vector<std::byte> ErasedText(const std::vector<DumpNote>& notes) {
  std::vector<std::byte> text;
  for (const DumpNote& note : notes) {
    if (note.name != kEraseinfoName) continue;
    text.insert(text.end(), note.descriptor.begin(), note.descriptor.end());
  }
  return text;
}

// Pages that travel together: read and packed by one thread, written by the caller's.
struct PageJob {
  struct Packed {
    StoredAs as = StoredAs::kData;
    bool zero = false;  // all of it; has no bytes of its own
    uint32_t size = 0;
    uint32_t flags = 0;
  };
  struct Damaged {
    StoredAs as;
    uint64_t count;
  };
  std::vector<PhysAddr> bases;
  std::vector<Packed> packed;
  std::vector<std::byte> bytes;   // of all pages, one behind the other
  std::optional<Damaged> behind;  // pages that follow, without bytes
  Status status;

  void Clear() {
    bases.clear();
    behind.reset();
  }
};

// 1 MiB of 4 KiB pages: work enough for a thread, little enough to hold.
constexpr size_t kPagesPerJob = 256;

// Of damaged pages, which cost next to nothing: often enough to be interrupted.
constexpr uint64_t kDamagedPerJob = uint64_t{1} << 20;

// 128 KiB of 4 KiB pages are read at once where they lie together: they still are in the
// processor's cache when they are compressed.
constexpr size_t kPagesTogether = 32;

class PagePacker {
 public:
  PagePacker(const KdumpContent& content, PageCompressor compressor, uint32_t block_size)
      : filler_(content.MakeFiller()),
        compressor_(std::move(compressor)),
        block_size_(block_size),
        pages_(kPagesTogether * block_size) {}

  void Pack(PageJob& job) {
    job.packed.clear();
    job.bytes.clear();
    compressor_.Restart();
    for (size_t i = 0; i < job.bases.size();) {
      const size_t count = Neighbours(job, i);
      const auto pages = std::span(pages_).first(count * block_size_);
      const bool together = count > 1 && filler_->FillTogether(job.bases[i], pages);
      for (size_t n = 0; n < count; ++n, ++i) {
        const auto page = pages.subspan(n * block_size_, block_size_);
        const Result<StoredAs> as = together ? StoredAs::kData : filler_->Fill(job.bases[i], page);
        if (!as) {
          job.status = tl::unexpected(as.error());
          return;
        }
        Add(job, *as, page);
      }
    }
  }

 private:
  // How many of the pages from the i-th on follow each other, kPagesTogether at most.
  size_t Neighbours(const PageJob& job, size_t i) const {
    const size_t most = std::min(kPagesTogether, job.bases.size() - i);
    const uint64_t first = job.bases[i].value();
    size_t count = 1;
    while (count < most && job.bases[i + count].value() == first + count * block_size_) ++count;
    return count;
  }

  void Add(PageJob& job, StoredAs as, std::span<const std::byte> page) {
    PageJob::Packed packed{as, false, 0, 0};
    if (as == StoredAs::kData) {
      packed.zero = IsAllZero(page);
      if (!packed.zero) {
        const std::span<const std::byte> stored = compressor_.Compress(page);
        packed.size = static_cast<uint32_t>(stored.size());
        packed.flags = stored.size() < page.size() ? compressor_.flag() : 0;
        job.bytes.insert(job.bytes.end(), stored.begin(), stored.end());
      }
    }
    job.packed.push_back(packed);
  }

  std::unique_ptr<PageFiller> filler_;
  PageCompressor compressor_;
  size_t block_size_;
  std::vector<std::byte> pages_;
};

// What stands for a page that was undecodable in the original: no decoder takes it for a stream.
constexpr std::string_view kUndecodable = "dmaudit: corrupt in the original";

// Descriptors and data, in step.
class PageWriter {
 public:
  PageWriter(AtomicFile& file, const KdumpPlan& layout, uint32_t block_size)
      : descriptors_(file, layout.descriptors_at),
        data_(file, layout.data_at),
        block_size_(block_size),
        // Larger than any file that holds so many pages.
        beyond_end_(layout.data_at + (layout.pages + 2) * block_size + kMaxNoteAreaSize) {}

  Status Put(const PageJob& job) {
    const uint64_t start = data_.position();
    uint64_t done = 0;  // bytes of this job in front of the page
    Status status = PutShared(job, start);
    // Shared pages were put in front of those of this job.
    const uint64_t own = data_.position();
    if (status && !job.bytes.empty()) status = data_.Put(job.bytes);
    for (const PageJob::Packed& page : job.packed) {
      if (!status) break;
      if (page.as != StoredAs::kData) {
        status = PutDamaged(page.as, 1);
        continue;
      }
      ++summary_.pages;
      if (page.zero) {
        status = Describe(*zero_page_at_, block_size_, 0);
      } else {
        status = Describe(own + done, page.size, page.flags);
        done += page.size;
      }
    }
    if (status && job.behind) status = PutDamaged(job.behind->as, job.behind->count);
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
  // Two codecs at once, which no writer stores: that the page is corrupt shows without decoding it.
  // Other readers look for zlib first, and fail at it.
  static constexpr uint32_t kFlagsUndecodable = kKdumpZlib | kKdumpZstd;

  // All zero pages share one, and so do all undecodable ones.
  Status PutShared(const PageJob& job, uint64_t at) {
    const auto any = [&job](auto test) { return std::ranges::any_of(job.packed, test); };
    const auto corrupt = [](const auto& page) { return page.as == StoredAs::kCorrupt; };
    if (!zero_page_at_ && any([](const auto& page) { return page.zero; })) {
      zero_page_at_ = at;
      at += block_size_;
      if (const Status put = data_.Put(std::vector<std::byte>(block_size_)); !put) return put;
    }
    if (!undecodable_at_ && (any(corrupt) || (job.behind && corrupt(*job.behind)))) {
      undecodable_at_ = at;
      return data_.Put(AsBytes(kUndecodable));
    }
    return {};
  }

  Status PutDamaged(StoredAs as, uint64_t count) {
    summary_.pages += count;
    switch (as) {
      case StoredAs::kData:
        break;
      case StoredAs::kLost:
        summary_.lost += count;
        // Nothing but zeros: of many, a hole of the file.
        if (count >= kPagesPerJob) return descriptors_.Skip(count * kKdumpDescriptorSize);
        return Describe(0, 0, 0, count);
      case StoredAs::kTruncated:
        summary_.truncated += count;
        return Describe(beyond_end_, block_size_, 0, count);
      case StoredAs::kCorrupt:
        summary_.corrupt += count;
        return Describe(*undecodable_at_, kUndecodable.size(), kFlagsUndecodable, count);
    }
    return Fail(ErrorCode::kMalformed, "damaged pages with data");
  }

  Status Describe(uint64_t at, uint64_t size, uint32_t flags, uint64_t times = 1) {
    std::array<std::byte, kKdumpDescriptorSize> descriptor{};
    StoreUnchecked<uint64_t>(descriptor, 0, at);
    StoreUnchecked<uint32_t>(descriptor, 8, static_cast<uint32_t>(size));
    StoreUnchecked<uint32_t>(descriptor, 12, flags);
    Status status;
    for (; status && times != 0; --times) status = descriptors_.Put(descriptor);
    return status;
  }

  PositionedStream descriptors_;
  PositionedStream data_;
  uint32_t block_size_;
  uint64_t beyond_end_;
  std::optional<uint64_t> zero_page_at_;
  std::optional<uint64_t> undecodable_at_;
  KdumpSummary summary_;
};

Status WritePages(const KdumpDescription& header, const KdumpContent& content,
                  const KdumpOptions& options, const KdumpPlan& layout, PageWriter& writer) {
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
  job->Clear();
  uint64_t pages = 0;
  content.VisitPages([&](const PageRun& run) {
    pages += run.count;
    if (pages > layout.pages) {
      status = Fail(ErrorCode::kMalformed, "more pages than were announced");
      return false;
    }
    const bool damaged = run.as && run.count >= kPagesPerJob;
    for (uint64_t done = 0; done < run.count;) {
      if (damaged) {
        job->behind = {*run.as, std::min(run.count - done, kDamagedPerJob)};
        done += job->behind->count;
      } else {
        job->bases.push_back(PhysAddr(run.first.value() + done * header.block_size));
        ++done;
        if (job->bases.size() < kPagesPerJob) continue;
      }
      if (!work.Submit()) return false;
      job = &work.Next();
      job->Clear();
    }
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
  const Result<NoteArea> notes =
      PackNotes(header.notes, [](const DumpNote& note) { return note.name == kEraseinfoName; });
  if (!notes) return tl::unexpected(notes.error());
  const Result<KdumpPlan> layout = PlanKdump(header, content, notes->bytes.size());
  if (!layout) return tl::unexpected(layout.error());
  const Result<PageCompressor> compressor = PageCompressor::Make(options, header.block_size);
  if (!compressor) return tl::unexpected(compressor.error());

  Status status = WriteKdumpBitmaps(content, *layout, header.block_size, file);
  // Without a page, the file would end at the last bit that is set.
  if (status) status = file.ExtendTo(layout->data_at);
  PageWriter writer(file, *layout, header.block_size);
  if (status) status = WritePages(header, content, options, *layout, writer);
  const std::vector<std::byte> erased_text = ErasedText(header.notes);
  const KdumpExtra erased{writer.position(), erased_text.size()};
  if (status) status = writer.PutBehind(erased_text);
  if (status) status = writer.Flush();
  // Last, as only now it is known whether pages are missing.
  const KdumpSummary& summary = writer.summary();
  const bool incomplete =
      header.incomplete || content.HasGaps() || summary.lost != 0 || summary.truncated != 0;
  const uint32_t flags = compressor->flag() | (incomplete ? kKdumpIncomplete : 0);
  if (status) status = WriteKdumpHeaders(header, *layout, *notes, erased, flags, file);
  if (!status) return tl::unexpected(status.error());
  return summary;
}

}  // namespace dmaudit
