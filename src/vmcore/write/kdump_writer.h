// SPDX-License-Identifier: GPL-2.0-or-later
// Writes kdump-compressed dumps: header version 6, 64-bit, little-endian, one part, not flattened.
#ifndef DMAUDIT_VMCORE_WRITE_KDUMP_WRITER_H_
#define DMAUDIT_VMCORE_WRITE_KDUMP_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/write/atomic_file.h"

namespace dmaudit {

// Codec of the stored pages. A page that does not shrink is stored raw whatever the codec.
enum class StoreCodec : uint8_t { kRaw, kZlib, kLzo, kSnappy, kZstd };

struct KdumpOptions {
  StoreCodec codec = StoreCodec::kZstd;
  int level = 9;  // as the codec counts; out of range is kUsage; LZO and snappy have none
  unsigned threads = 1;
  // Called now and then with the pages done and all there are; false ends the writing (kIo).
  std::function<bool(uint64_t done, uint64_t total)> progress = nullptr;
  // zstd: `level` only for pages behind one that stayed large, less effort for all others. A third
  // faster, and a twentieth larger.
  bool fast = false;
};

// The main and the sub header. libkdumpfile learns the architecture from release, version and
// machine together; each text is cut at the 64 characters that the header has room for.
struct KdumpDescription {
  std::string sysname = "Linux", nodename, release, version, machine = "x86_64", domainname;
  uint64_t timestamp = 0;   // of the crash, seconds since the epoch
  uint32_t block_size = 0;  // = page size of the dumped kernel
  uint32_t nr_cpus = 1;     // readers refuse 0
  // Physical minus virtual address of the kernel image's start, modulo 2^64, as makedumpfile
  // stores it.
  uint64_t phys_base = 0;
  // What the filter of makedumpfile would have left out; 31: every kind of page may be missing,
  // and zero pages share one.
  uint32_t dump_level = 31;
  // Pages that belong in the dump are missing: readers say so. Set by itself when pages are lost or
  // truncated.
  bool incomplete = false;
  // ERASEINFO becomes the list of erased symbols behind the page data, as makedumpfile has it.
  std::vector<DumpNote> notes;
};

// What became of a page that belongs in the dump.
enum class StoredAs : uint8_t {
  kData,
  kLost,       // a descriptor without data
  kTruncated,  // a descriptor that points beyond the end of the file
  kCorrupt,    // a descriptor with data that no reader can decode
};

// Pages that follow each other. `as` is what they all are, and not kData; without it, a filler has
// to be asked.
struct PageRun {
  PhysAddr first;
  uint64_t count = 1;
  std::optional<StoredAs> as = std::nullopt;
};

// Reads pages for one thread.
class PageFiller {
 public:
  virtual ~PageFiller() = default;
  // Fills `out` (block_size bytes) with the page at `base`; only kData needs the bytes.
  virtual Result<StoredAs> Fill(PhysAddr base, std::span<std::byte> out) = 0;
  // Fills `out` with neighbouring pages from `base` on where that is faster, and all of them are
  // kData; false: they have to be asked for one by one.
  virtual bool FillTogether(PhysAddr base, std::span<std::byte> out) {
    (void)base, (void)out;
    return false;
  }
};

// What is dumped. Asked several times over, and answers the same each time.
class KdumpContent {
 public:
  virtual ~KdumpContent() = default;
  // Ascending, disjoint ranges; a page of which any byte is RAM counts as RAM.
  virtual void VisitRam(const std::function<bool(PhysRange)>& visit) const = 0;
  // The pages to store, ascending, all of them RAM. Stops when `visit` returns false.
  virtual void VisitPages(const std::function<bool(const PageRun&)>& visit) const = 0;
  // One for each thread; asked for pages in any order. Outlived by this.
  virtual std::unique_ptr<PageFiller> MakeFiller() const = 0;
  // Whether filling the pages showed that they are not all there is to say, which their states do
  // not tell. Asked when the last is filled.
  virtual bool HasGaps() const { return false; }
};

struct KdumpSummary {
  uint64_t pages = 0;  // with a descriptor: data and all of the following
  uint64_t lost = 0;
  uint64_t truncated = 0;
  uint64_t corrupt = 0;
};

// No processor addresses more than 2^52 bytes, and no reader survives bitmaps for them all.
inline constexpr uint64_t kMaxKdumpAddress = uint64_t{1} << 52;
// One bitmap, holes not counted: 64 TiB of RAM in 4 KiB pages. A header that claims more must not
// fill the disk.
inline constexpr uint64_t kMaxKdumpBitmapBytes = uint64_t{2} << 30;

// Writes the whole dump into `file` (Access::kPositioned, empty), which the caller commits. Takes
// a fixed amount of memory for each thread: pages are neither collected nor are the parts of a
// bitmap that hold no page written at all. The bytes written do not depend on the threads.
Result<KdumpSummary> WriteKdump(const KdumpDescription& header, KdumpContent& content,
                                const KdumpOptions& options, AtomicFile& file);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_KDUMP_WRITER_H_
