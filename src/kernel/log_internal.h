// SPDX-License-Identifier: GPL-2.0-or-later
// What the readers of the two log layouts share. Nothing outside src/kernel/log*.cc uses it.
#ifndef DMAUDIT_KERNEL_LOG_INTERNAL_H_
#define DMAUDIT_KERNEL_LOG_INTERNAL_H_

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "kernel/log.h"

namespace dmaudit::log_internal {

// Records looked at in one log. The kernel makes one descriptor for 32 bytes of text, so this is a
// log of 32 MiB; the default is 128 KiB to 1 MiB, and a dump that claims more is read in bounded
// time.
inline constexpr uint64_t kMaxRecords = uint64_t{1} << 20;
// The kernel limits the text buffer to 2 GiB (log_buf_len=), and so also the number of descriptors.
inline constexpr uint64_t kMaxSizeBits = 31;
// The largest structure of a log is some 100 bytes; every one is far smaller than a page.
inline constexpr uint64_t kMaxStructureSize = 4096;

struct LogSource {
  const Vmcoreinfo& vmcoreinfo;
  KernelReader& reader;
  MemorySession& session;
  DiagnosticSink& sink;
  const std::function<LogVerdict(const LogRecord&)>& visit;
};

// The lockless printk_ringbuffer, 5.10 and later.
Status ReadRingbuffer(const LogSource& source);
// Records of variable length in log_buf, 3.5 to 5.9. `type` is the name VMCOREINFO gives the record
// header: "printk_log" or "log".
Status ReadRecords(const LogSource& source, std::string_view type);

// A structure as VMCOREINFO describes it.
class Structure {
 public:
  static Result<Structure> Describe(const Vmcoreinfo& vmcoreinfo, std::string_view type);

  size_t size() const { return size_; }
  // Where `member`, of `width` bytes, starts; the error also covers one that would stick out.
  Result<size_t> Member(std::string_view member, size_t width) const;

 private:
  Structure(const Vmcoreinfo& vmcoreinfo, std::string_view type, size_t size)
      : vmcoreinfo_(&vmcoreinfo), type_(type), size_(size) {}

  const Vmcoreinfo* vmcoreinfo_;
  std::string type_;
  size_t size_;
};

enum class Outcome : uint8_t { kRead, kRedacted, kUnreadable };

// Search reads at kernel addresses through the page last used: an array read in order costs one
// translation and one look-up a page. Each array gets a window of its own.
class PageWindow {
 public:
  PageWindow(KernelReader& reader, MemorySession& session) : reader_(reader), session_(session) {}

  // Fills `out`; unless kRead is returned its content is unspecified.
  Outcome Read(KernelVa address, std::span<std::byte> out);

 private:
  // Linux maps with 4 KiB as the smallest unit.
  static constexpr uint64_t kVirtualPage = 4096;

  void MoveTo(KernelVa page);

  KernelReader& reader_;
  MemorySession& session_;
  std::optional<KernelVa> at_;  // the virtual page held
  PageHandle page_;             // null when it could not be translated
  uint32_t offset_ = 0;         // of the virtual page inside `page_`
};

// Counts records that could not be had, and says so once for each kind.
class Trouble {
 public:
  template <typename... Args>
  void Damaged(fmt::format_string<Args...> format, Args&&... args) {
    if (damaged_++ == 0) first_damaged_ = fmt::format(format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void Unreadable(fmt::format_string<Args...> format, Args&&... args) {
    if (unreadable_++ == 0) first_unreadable_ = fmt::format(format, std::forward<Args>(args)...);
  }
  void Report(DiagnosticSink& sink) const;

 private:
  uint64_t damaged_ = 0;
  uint64_t unreadable_ = 0;
  std::string first_damaged_;
  std::string first_unreadable_;
};

// Reads again, as evidence, what a search found. That bytes found readable a moment ago still are
// needs no check.
void ReadAsEvidence(KernelReader& reader, KernelVa address, size_t size);

}  // namespace dmaudit::log_internal

#endif  // DMAUDIT_KERNEL_LOG_INTERNAL_H_
