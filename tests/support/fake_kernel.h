// SPDX-License-Identifier: GPL-2.0-or-later
// Kernel virtual memory for tests: a KernelReader over a FakeMemory in which every kernel address
// is its own physical address, without page tables.
#ifndef DMAUDIT_TESTS_SUPPORT_FAKE_KERNEL_H_
#define DMAUDIT_TESTS_SUPPORT_FAKE_KERNEL_H_

#include <string_view>

#include "base/bytes.h"
#include "kernel/kernel_reader.h"
#include "support/fake_memory.h"
#include "vmcore/memory/session.h"

namespace dmaudit::test {

class FakeKernel : public KernelReader {
 public:
  FakeMemory& memory() { return memory_; }

  void WriteU64(KernelVa at, uint64_t value) { memory_.WriteU64(PhysAddr(at.value()), value); }
  void WriteU32(KernelVa at, uint32_t value) { memory_.WriteU32(PhysAddr(at.value()), value); }
  void Write(KernelVa at, std::span<const std::byte> bytes) {
    memory_.Write(PhysAddr(at.value()), bytes);
  }
  void WriteText(KernelVa at, std::string_view text) {
    Write(at, AsBytes(text));
    const std::byte nul{0};
    Write(KernelVa(at.value() + text.size()), {&nul, 1});
  }

  Status Read(KernelVa address, std::span<std::byte> out) override {
    MemorySession session(memory_);
    const ReadStatus status = session.Read(PhysAddr(address.value()), out);
    if (status.ok()) return {};
    return Fail(ErrorCode::kUnknown, "kernel address {:#x} is {}", status.where.value(),
                ToString(status.state));
  }
  Result<PhysAddr> Translate(KernelVa address) override { return PhysAddr(address.value()); }
  // Pages that are there are mapped, as constants.
  MappedStretch StretchAt(KernelVa address) override {
    const KernelVa page = address.AlignDown(FakeMemory::kPageSize);
    const bool there = memory_.PageStateHint(PhysAddr(page.value())) != ByteState::kAbsent;
    return {page, FakeMemory::kPageSize, there, false, false};
  }

 private:
  FakeMemory memory_;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_FAKE_KERNEL_H_
