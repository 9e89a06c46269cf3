// SPDX-License-Identifier: GPL-2.0-or-later
// Members of a device's structures that a layout may lack, and that nothing depends on.
#ifndef DMAUDIT_KERNEL_DEVICE_MEMBERS_H_
#define DMAUDIT_KERNEL_DEVICE_MEMBERS_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "kernel/kernel_view.h"
#include "kernel/type_view.h"

namespace dmaudit {

class DeviceMembers {
 public:
  // `kernel` outlives this.
  explicit DeviceMembers(const KernelView& kernel) : kernel_(kernel) {}

  // A read that fails is told once per device.
  void NextDevice() { told_ = false; }
  void Tell(const Error& error) {
    if (!told_) ReportFailure(kernel_.sink, Effect::kNote, "device facts", error);
    told_ = true;
  }

  StructView View(KernelVa address, const char* type) const {
    return {kernel_.reader, kernel_.types, address, type};
  }
  std::optional<uint64_t> Integer(const StructView& view, std::string_view path) {
    if (!view.Has(path)) return std::nullopt;
    const Result<uint64_t> value = view.Integer(path);
    if (value) return *value;
    Tell(value.error());
    return std::nullopt;
  }
  std::optional<bool> Flag(const StructView& view, std::string_view path) {
    const std::optional<uint64_t> value = Integer(view, path);
    if (!value) return std::nullopt;
    return *value != 0;
  }

 private:
  const KernelView& kernel_;
  bool told_ = false;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_DEVICE_MEMBERS_H_
