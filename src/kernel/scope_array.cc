// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/scope_array.h"

namespace dmaudit {
namespace {

constexpr uint64_t kPointerSize = 8;

// `bus` is read from a structure of its own where the element only points to the device.
Result<ScopeDevice> DeviceOf(const StructView& numbers, const StructView& bus, const char* member) {
  const Result<uint64_t> number = bus.Integer(member);
  if (!number) return tl::unexpected<Error>(number.error());
  const Result<uint64_t> devfn = numbers.Integer("devfn");
  if (!devfn) return tl::unexpected<Error>(devfn.error());
  return ScopeDevice{static_cast<uint8_t>(*number), static_cast<uint8_t>(*devfn)};
}

Result<ScopeDevice> DeviceAt(const KernelView& kernel, KernelVa address) {
  const StructView device(kernel.reader, kernel.types, address, "pci_dev");
  const Result<KernelVa> bus = device.Pointer("bus");
  if (!bus) return tl::unexpected<Error>(bus.error());
  return DeviceOf(device, StructView(kernel.reader, kernel.types, *bus, "pci_bus"), "number");
}

}  // namespace

Status VisitScopeDevices(const KernelView& kernel, const StructView& unit, uint64_t count,
                         const std::function<void(const std::optional<ScopeDevice>&)>& visit) {
  const Result<KernelVa> array = unit.Pointer("devices");
  if (!array) return tl::unexpected<Error>(array.error());
  const Result<uint64_t> size = kernel.types.SizeOf("dmar_dev_scope");
  const bool pointers = !size && size.error().code == ErrorCode::kNotFound;
  if (!size && !pointers) return tl::unexpected<Error>(size.error());
  const uint64_t stride = pointers ? kPointerSize : *size;
  for (uint64_t i = 0; i < count; ++i) {
    const std::optional<KernelVa> at = array->Plus(i * stride);
    if (!at) return Fail(ErrorCode::kMalformed, "out of the address space");
    const StructView entry(kernel.reader, kernel.types, *at, "dmar_dev_scope");
    Result<KernelVa> pointer = KernelVa(0);
    if (pointers) {
      const Result<uint64_t> value = kernel.reader.ReadU64(*at);
      pointer = value ? Result<KernelVa>(KernelVa(*value)) : tl::unexpected<Error>(value.error());
    } else {
      pointer = entry.Pointer("dev");
    }
    if (!pointer) return tl::unexpected<Error>(pointer.error());
    if (pointer->value() == 0) {
      visit(std::nullopt);
      continue;
    }
    const Result<ScopeDevice> device =
        pointers ? DeviceAt(kernel, *pointer) : DeviceOf(entry, entry, "bus");
    if (!device) return tl::unexpected<Error>(device.error());
    visit(*device);
  }
  return {};
}

}  // namespace dmaudit
