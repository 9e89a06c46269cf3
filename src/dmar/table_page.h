// SPDX-License-Identifier: GPL-2.0-or-later
// One 4 KiB piece of a hardware table, read through a session without copying it.
#ifndef DMAUDIT_DMAR_TABLE_PAGE_H_
#define DMAUDIT_DMAR_TABLE_PAGE_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/diagnostics.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

class TablePage {
 public:
  static constexpr uint32_t kSize = 4096;

  TablePage() = default;
  // `table` is a multiple of 4 KiB; the pages of a dump may be larger.
  TablePage(MemorySession& session, PhysAddr table)
      : page_(session.ReadWholePage(table)),
        table_(table),
        start_(static_cast<uint32_t>(table.OffsetIn(session.memory().page_size()))) {
    whole_ = page_->readable() || IsReadable(page_->FirstUnreadable(start_, kSize).state);
  }

  PhysAddr address() const { return table_; }
  // Whether all bytes are known.
  bool whole() const { return whole_; }
  // Whether no byte is known.
  bool unknown() const;
  // Whether `size` bytes at `offset` are known; they lie inside the 4 KiB.
  bool Knows(uint32_t offset, uint32_t size) const {
    return whole_ || IsReadable(page_->FirstUnreadable(start_ + offset, size).state);
  }
  // The quadword at `offset`, of which Knows() holds.
  uint64_t Word(uint32_t offset) const {
    return LoadUnchecked<uint64_t>(page_->bytes, start_ + offset);
  }
  // N quadwords from `offset` on, of which Knows() holds.
  template <size_t N>
  std::array<uint64_t, N> Words(uint32_t offset) const {
    std::array<uint64_t, N> words{};
    for (uint32_t i = 0; i < N; ++i) words[i] = Word(offset + i * 8);
    return words;
  }

  // Says under `name` which bytes of offset .. offset + size - 1 are not known and why.
  void ReportUnknown(DiagnosticSink& sink, std::string_view name, uint32_t offset = 0,
                     uint32_t size = kSize) const;

 private:
  PageHandle page_;
  PhysAddr table_;
  uint32_t start_ = 0;  // of the table inside the page
  bool whole_ = false;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_TABLE_PAGE_H_
