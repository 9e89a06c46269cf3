// SPDX-License-Identifier: GPL-2.0-or-later
// The first byte chooses which tables VMCOREINFO announces, or that kallsyms and BTF are searched
// for; the rest is kernel memory, in which announced tables lie where KallsymsBuilder puts them.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "kernel/btf_search.h"
#include "kernel/kallsyms.h"
#include "kernel/kallsyms_search.h"
#include "support/fake_memory.h"
#include "support/kallsyms_builder.h"

namespace {

using namespace dmaudit;

class Window : public KernelReader {
 public:
  Window(uint64_t base, std::span<const std::byte> bytes) : base_(base), bytes_(bytes) {}

  Status Read(KernelVa address, std::span<std::byte> out) override {
    const auto found = SubSpan(bytes_, address.value() - base_, out.size());
    if (address.value() < base_ || !found) return Fail(ErrorCode::kUnknown, "outside");
    if (!out.empty()) std::memcpy(out.data(), found->data(), out.size());
    return {};
  }
  Result<PhysAddr> Translate(KernelVa address) override { return PhysAddr(address.value()); }
  MappedStretch StretchAt(KernelVa address) override {
    constexpr uint64_t kLarge = uint64_t{2} << 20;
    const KernelVa first = address.AlignDown(kLarge);
    return {first, kLarge, first.value() == base_, false, false};
  }
  bool ReadKnown(KernelVa address, std::span<std::byte> out, std::byte filler) override {
    std::fill(out.begin(), out.end(), filler);
    if (address.value() < base_ || address.value() - base_ >= bytes_.size()) return false;
    const auto rest = bytes_.subspan(static_cast<size_t>(address.value() - base_));
    std::memcpy(out.data(), rest.data(), std::min(out.size(), rest.size()));
    return true;
  }

 private:
  uint64_t base_;
  std::span<const std::byte> bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  test::KallsymsBuilder tables;
  tables.addresses = static_cast<AddressForm>(data[0] % 4);
  DiagnosticSink sink;
  const auto info =
      Vmcoreinfo::Parse(tables.Vmcoreinfo() + "SYMBOL(_stext)=ffffffff81000000\n", sink);
  Window window(tables.at, std::as_bytes(std::span(data + 1, size - 1)));
  constexpr std::array<std::string_view, 3> kWanted = {"dmar_drhd_units", "iommu", ""};
  if ((data[0] & 0x80) != 0) {
    const auto silent = Vmcoreinfo::Parse(
        "SYMBOL(_stext)=ffffffff81000000\nNUMBER(KERNEL_IMAGE_SIZE)=67108864\n", sink);
    const test::FakeMemory memory;
    MemorySession session(memory);
    KernelImage image(*silent, window, session);
    static_cast<void>(SearchKallsyms(image, kWanted));
    static_cast<void>(SearchBtf(image, kWanted));
    return 0;
  }
  static_cast<void>(LoadKallsyms(*info, window, kWanted));
  return 0;
}
