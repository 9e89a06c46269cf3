// SPDX-License-Identifier: GPL-2.0-or-later
// MemorySession: one thread's window on physical memory, with its page cache, decode context and
// read recorder.
#ifndef DMAUDIT_VMCORE_MEMORY_SESSION_H_
#define DMAUDIT_VMCORE_MEMORY_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>

#include "base/address.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

// How a read ended: all bytes readable, or the first byte that is not and why.
struct ReadStatus {
  ByteState state = ByteState::kData;
  PhysAddr where;  // meaningful when not ok()

  bool ok() const { return IsReadable(state); }
};

// A page held alive independently of the cache.
using PageHandle = std::shared_ptr<const Page>;

// Told of every evidence read, so that `distill` can keep exactly what a verdict rests on. Called
// also for bytes that turned out unreadable: their state is evidence too.
class ReadRecorder {
 public:
  virtual ~ReadRecorder() = default;
  virtual void OnRead(PhysAddr address, uint64_t size) = 0;
};

class MemorySession {
 public:
  // 1024 pages of 4 KiB: 4 MiB hold every table of an ordinary machine; more would only cost
  // memory.
  static constexpr size_t kDefaultCachePages = 1024;

  // `memory` and `recorder` (may be null) outlive the session.
  explicit MemorySession(const PhysicalMemory& memory, ReadRecorder* recorder = nullptr,
                         size_t cache_pages = kDefaultCachePages);

  const PhysicalMemory& memory() const { return memory_; }

  // Reads `out.size()` bytes at `address`, over page borders. When the status is not ok, bytes
  // before `where` are valid and the rest of `out` is unspecified.
  ReadStatus Read(PhysAddr address, std::span<std::byte> out);

  // One little-endian word; unchanged when the status is not ok.
  ReadStatus ReadU64(PhysAddr address, uint64_t& value);
  ReadStatus ReadU32(PhysAddr address, uint32_t& value);

  // The page (of memory().page_size()) that holds `address`, recorded as read whole. Look at its
  // extents before its bytes.
  PageHandle ReadWholePage(PhysAddr address);

  // Whether reads are evidence now: false inside a SearchScope, and when nobody records.
  bool recording() const { return recorder_ != nullptr; }

  // Distinct pages decoded so far, evicted and decoded again included: the cost figure of `-v`.
  uint64_t pages_decoded() const { return pages_decoded_; }

 private:
  friend class SearchScope;

  PageHandle Fetch(PhysAddr base);

  const PhysicalMemory& memory_;
  ReadRecorder* recorder_;
  size_t cache_pages_;
  std::unique_ptr<DecodeContext> context_;
  std::list<PageHandle> recent_;  // most recently used first
  std::unordered_map<uint64_t, std::list<PageHandle>::iterator> cached_;
  Page bulk_page_;  // pages that are read whole pass through here
  uint64_t pages_decoded_ = 0;
};

// While it lives, reads of the session are search (looking for something), not evidence: they are
// not recorded.
class SearchScope {
 public:
  explicit SearchScope(MemorySession& session) : session_(session), recorder_(session.recorder_) {
    session.recorder_ = nullptr;
  }
  ~SearchScope() { session_.recorder_ = recorder_; }
  SearchScope(const SearchScope&) = delete;
  SearchScope& operator=(const SearchScope&) = delete;

 private:
  MemorySession& session_;
  ReadRecorder* recorder_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_MEMORY_SESSION_H_
