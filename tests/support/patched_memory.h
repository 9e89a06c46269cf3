// SPDX-License-Identifier: GPL-2.0-or-later
// A FakeMemory with a few pages changed. The others are not copied: for fuzzers, which change a
// whole machine thousands of times a second.
#ifndef DMAUDIT_TESTS_SUPPORT_PATCHED_MEMORY_H_
#define DMAUDIT_TESTS_SUPPORT_PATCHED_MEMORY_H_

#include <map>

#include "support/fake_memory.h"

namespace dmaudit::test {

class PatchedMemory : public PhysicalMemory {
 public:
  // `original` outlives this.
  explicit PatchedMemory(const FakeMemory& original) : original_(original) {}

  // As those of FakeMemory.
  void WriteU64(PhysAddr address, uint64_t value) {
    StoreUnchecked<uint64_t>(ChangedPage(address).bytes, address.OffsetIn(FakeMemory::kPageSize),
                             value);
  }
  void SetPageState(PhysAddr address, ByteState state) {
    ChangedPage(address).SetState(0, FakeMemory::kPageSize, state);
  }
  void SetState(PhysAddr address, uint32_t size, ByteState state) {
    ChangedPage(address).SetState(static_cast<uint32_t>(address.OffsetIn(FakeMemory::kPageSize)),
                                  size, state);
  }

  uint32_t page_size() const override { return FakeMemory::kPageSize; }
  std::unique_ptr<DecodeContext> MakeContext() const override { return original_.MakeContext(); }
  void ReadPage(PhysAddr base, DecodeContext& context, Page& page) const override {
    const auto it = changed_.find(base.value());
    if (it == changed_.end()) {
      original_.ReadPage(base, context, page);
    } else {
      page = it->second;
    }
  }
  ByteState PageStateHint(PhysAddr base) const override {
    const auto it = changed_.find(base.value());
    if (it == changed_.end()) return original_.PageStateHint(base);
    return it->second.FirstUnreadable(0, FakeMemory::kPageSize).state;
  }
  void VisitRam(const std::function<bool(PhysRange)>& visit) const override {
    original_.VisitRam(visit);
  }
  // Pages that are new are left out.
  void VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const override {
    original_.VisitStored([&](PhysAddr base, uint32_t size) {
      return !IsReadable(PageStateHint(base)) || visit(base, size);
    });
  }

 private:
  Page& ChangedPage(PhysAddr address) {
    const PhysAddr base = address.AlignDown(FakeMemory::kPageSize);
    const auto [it, fresh] = changed_.try_emplace(base.value());
    Page& page = it->second;
    if (!fresh) return page;
    DecodeContext context;
    original_.ReadPage(base, context, page);
    if (page.FirstUnreadable(0, FakeMemory::kPageSize).state == ByteState::kAbsent) {
      page.Reset(base, FakeMemory::kPageSize, ByteState::kData);
    }
    return page;
  }

  const FakeMemory& original_;
  std::map<uint64_t, Page> changed_;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_PATCHED_MEMORY_H_
