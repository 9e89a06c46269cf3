// SPDX-License-Identifier: GPL-2.0-or-later
// Writes kdump-compressed dumps: header version 6, 64-bit, little-endian, one part, not flattened.
#ifndef DMAUDIT_VMCORE_WRITE_KDUMP_WRITER_H_
#define DMAUDIT_VMCORE_WRITE_KDUMP_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "vmcore/dump.h"
#include "vmcore/write/atomic_file.h"

namespace dmaudit {

// Codec of the stored pages. A page that does not shrink is stored raw whatever the codec.
enum class StoreCodec : uint8_t { kRaw, kZlib, kZstd };

struct KdumpOptions {
  StoreCodec codec = StoreCodec::kZstd;
  int level = 9;  // as the codec counts; out of range is kUsage
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
  // Pages that belong in the dump are missing: readers say so.
  bool incomplete = false;
  std::vector<DumpNote> notes;
};

// What is dumped. Asked several times over, and answers the same each time.
class KdumpContent {
 public:
  virtual ~KdumpContent() = default;
  // Ascending, disjoint ranges; a page of which any byte is RAM counts as RAM.
  virtual void VisitRam(const std::function<bool(PhysRange)>& visit) const = 0;
  // Ascending bases of the pages to store, all of them RAM. Stops when `visit` returns false.
  virtual void VisitPages(const std::function<bool(PhysAddr)>& visit) const = 0;
  // Fills `out` (block_size bytes) with the page at `base`; called in the order of VisitPages.
  virtual Status FillPage(PhysAddr base, std::span<std::byte> out) = 0;
};

// No processor addresses more than 2^52 bytes, and no reader survives bitmaps for them all.
inline constexpr uint64_t kMaxKdumpAddress = uint64_t{1} << 52;
// One bitmap, holes not counted: 64 TiB of RAM in 4 KiB pages. A header that claims more must not
// fill the disk.
inline constexpr uint64_t kMaxKdumpBitmapBytes = uint64_t{2} << 30;

// Writes the whole dump into `file` (Access::kPositioned, empty), which the caller commits. Takes
// a fixed amount of memory: pages are neither collected nor are the parts of a bitmap that hold no
// page written at all.
Status WriteKdump(const KdumpDescription& header, KdumpContent& content,
                  const KdumpOptions& options, AtomicFile& file);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_KDUMP_WRITER_H_
