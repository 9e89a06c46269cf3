// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/scope_array.h"

namespace dmaudit {
namespace {

constexpr uint64_t kPointerSize = 8;

using Element = Result<std::optional<ScopeDevice>>;

Element DeviceOf(const Result<uint64_t>& bus, const Result<uint64_t>& devfn) {
  if (!bus) return tl::unexpected<Error>(bus.error());
  if (!devfn) return tl::unexpected<Error>(devfn.error());
  return ScopeDevice{static_cast<uint8_t>(*bus), static_cast<uint8_t>(*devfn)};
}

// A struct dmar_dev_scope.
Element ReadEntry(const KernelView& kernel, KernelVa at) {
  const StructView entry(kernel.reader, kernel.types, at, "dmar_dev_scope");
  const Result<KernelVa> device = entry.Pointer("dev");
  if (!device) return tl::unexpected<Error>(device.error());
  if (device->value() == 0) return std::nullopt;
  return DeviceOf(entry.Integer("bus"), entry.Integer("devfn"));
}

// A struct pci_dev *.
Element ReadPointer(const KernelView& kernel, KernelVa at) {
  const Result<uint64_t> pointer = kernel.reader.ReadU64(at);
  if (!pointer) return tl::unexpected<Error>(pointer.error());
  if (*pointer == 0) return std::nullopt;
  const StructView device(kernel.reader, kernel.types, KernelVa(*pointer), "pci_dev");
  const Result<KernelVa> bus = device.Pointer("bus");
  if (!bus) return tl::unexpected<Error>(bus.error());
  return DeviceOf(StructView(kernel.reader, kernel.types, *bus, "pci_bus").Integer("number"),
                  device.Integer("devfn"));
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
    const Element device = pointers ? ReadPointer(kernel, *at) : ReadEntry(kernel, *at);
    if (!device) return tl::unexpected<Error>(device.error());
    visit(*device);
  }
  return {};
}

}  // namespace dmaudit
