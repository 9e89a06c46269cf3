// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/stored_runs.h"

#include <memory>
#include <vector>

namespace dmaudit {
namespace {

class Runs {
 public:
  using Visitor = std::function<bool(PhysAddr, std::span<const std::byte>)>;

  Runs(const PhysicalMemory& memory, const Visitor& visit)
      : memory_(memory), visit_(visit), context_(memory.MakeContext()), bytes_(kMaxRunBytes) {}

  uint64_t pages() const { return pages_; }

  // False when `visit` wants no more.
  bool Add(PhysAddr page) {
    const size_t size = memory_.page_size();
    const bool follows = size_ != 0 && page.value() - first_.value() == size_;
    if (size_ != 0 && (!follows || size_ + size > kMaxRunBytes) && !Flush()) return false;
    if (size_ == 0) first_ = page;
    size_ += size;
    return true;
  }

  bool Flush() {
    const auto together = std::span(bytes_).first(size_);
    const size_t step = memory_.page_size();
    size_ = 0;
    if (together.size() > step && memory_.ReadTogether(first_, *context_, together)) {
      return Give(first_, together);
    }
    for (size_t at = 0; at < together.size(); at += step) {
      // The base of a page that is stored.
      memory_.ReadPage(PhysAddr(first_.value() + at), *context_, page_);
      if (!Give(page_.base, page_.bytes)) return false;
    }
    return true;
  }

 private:
  bool Give(PhysAddr first, std::span<const std::byte> bytes) {
    pages_ += bytes.size() / memory_.page_size();
    return visit_(first, bytes);
  }

  const PhysicalMemory& memory_;
  const Visitor& visit_;
  const std::unique_ptr<DecodeContext> context_;
  std::vector<std::byte> bytes_;
  Page page_;
  PhysAddr first_;
  size_t size_ = 0;  // of the run that is gathered
  uint64_t pages_ = 0;
};

}  // namespace

StoredRuns VisitStoredRuns(const PhysicalMemory& memory, const StoredRunLimits& limits,
                           const Runs::Visitor& visit) {
  StoredRuns result;
  Runs runs(memory, visit);
  uint64_t added = 0;
  bool go_on = true;
  memory.VisitStored([&](PhysAddr page, uint32_t stored_size) {
    if (stored_size < limits.stored_size) return true;
    if (added == limits.pages) {
      result.cut_off = true;
      return false;
    }
    ++added;
    go_on = runs.Add(page);
    return go_on;
  });
  if (go_on) runs.Flush();
  result.pages = runs.pages();
  return result;
}

}  // namespace dmaudit
