// SPDX-License-Identifier: GPL-2.0-or-later
// Physical memory made of a few pages, for tests: every address not set up is absent.
#ifndef DMAUDIT_TESTS_SUPPORT_FAKE_MEMORY_H_
#define DMAUDIT_TESTS_SUPPORT_FAKE_MEMORY_H_

#include <algorithm>
#include <map>
#include <vector>

#include "base/bytes.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit::test {

class FakeMemory : public PhysicalMemory {
 public:
  static constexpr uint32_t kPageSize = 4096;

  // Writes make the page exist, zero elsewhere.
  void WriteU64(PhysAddr address, uint64_t value) {
    Page& page = MakePage(address);
    StoreUnchecked<uint64_t>(page.bytes, address.OffsetIn(kPageSize), value);
  }
  void WriteU32(PhysAddr address, uint32_t value) {
    Page& page = MakePage(address);
    StoreUnchecked<uint32_t>(page.bytes, address.OffsetIn(kPageSize), value);
  }
  void Write(PhysAddr address, std::span<const std::byte> bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      const PhysAddr at(address.value() + i);
      MakePage(at).bytes[at.OffsetIn(kPageSize)] = bytes[i];
    }
  }
  void AddZeroPage(PhysAddr address) { MakePage(address); }
  // The whole page that holds `address` gets this state.
  void SetPageState(PhysAddr address, ByteState state) {
    MakePage(address).SetState(0, kPageSize, state);
  }
  // `size` bytes inside one page.
  void SetState(PhysAddr address, uint32_t size, ByteState state) {
    MakePage(address).SetState(static_cast<uint32_t>(address.OffsetIn(kPageSize)), size, state);
  }
  // Declares RAM without content; existing pages are RAM anyway.
  void AddRam(PhysRange range) { ram_.push_back(range); }

  uint32_t page_size() const override { return kPageSize; }
  std::unique_ptr<DecodeContext> MakeContext() const override {
    return std::make_unique<DecodeContext>();
  }
  void ReadPage(PhysAddr base, DecodeContext&, Page& page) const override {
    const auto it = pages_.find(base.value());
    if (it == pages_.end()) {
      page.Reset(base, kPageSize, ByteState::kAbsent);
    } else {
      page = it->second;
    }
  }
  ByteState PageStateHint(PhysAddr base) const override {
    const auto it = pages_.find(base.value());
    return it == pages_.end() ? ByteState::kAbsent : it->second.FirstUnreadable(0, kPageSize).state;
  }
  void VisitRam(const std::function<bool(PhysRange)>& visit) const override {
    if (!ram_.empty()) {
      for (const PhysRange& range : ram_) {
        if (!visit(range)) return;
      }
      return;
    }
    for (const auto& [base, page] : pages_) {
      if (!visit({PhysAddr(base), PhysAddr(base + kPageSize - 1)})) return;
    }
  }
  // Only the pages that were made are looked at.
  void VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const override {
    for (const auto& [base, page] : pages_) {
      if (!IsReadable(PageStateHint(PhysAddr(base))) || !IsRam(PhysAddr(base))) continue;
      if (!visit(PhysAddr(base), kPageSize)) return;
    }
  }

 private:
  bool IsRam(PhysAddr base) const {
    const PhysRange page{base, PhysAddr(base.value() + kPageSize - 1)};
    return ram_.empty() || std::any_of(ram_.begin(), ram_.end(), [&](const PhysRange& range) {
             return range.Overlaps(page);
           });
  }
  Page& MakePage(PhysAddr address) {
    const PhysAddr base = address.AlignDown(kPageSize);
    const auto [it, fresh] = pages_.try_emplace(base.value());
    if (fresh) it->second.Reset(base, kPageSize, ByteState::kData);
    return it->second;
  }

  std::map<uint64_t, Page> pages_;
  std::vector<PhysRange> ram_;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_FAKE_MEMORY_H_
