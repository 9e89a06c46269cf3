// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/device_list.h"

#include <fmt/format.h>

namespace dmaudit {
namespace {

constexpr size_t kBriefSlots = 8;

std::string One(const DeviceRef& device) {
  std::string text = ToString(device.bdf);
  // PASID 0 stands for the device's requests without PASID: no need to say so.
  if (device.pasid && device.pasid->value != 0)
    text += fmt::format(" pasid {}", device.pasid->value);
  return text;
}

bool SameSlot(const DeviceRef& a, const DeviceRef& b) {
  const auto plain = [](const DeviceRef& d) { return !d.pasid || d.pasid->value == 0; };
  return plain(a) && plain(b) && a.bdf.segment == b.bdf.segment && a.bdf.bus == b.bdf.bus &&
         a.bdf.device() == b.bdf.device();
}

}  // namespace

std::string DeviceList(const std::vector<DeviceRef>& devices, bool brief) {
  std::string text;
  size_t slots = 0;
  for (size_t i = 0; i < devices.size();) {
    if (brief && slots == kBriefSlots) {
      text += fmt::format(" and {} more", devices.size() - i);
      break;
    }
    size_t end = i + 1;
    while (brief && end < devices.size() && SameSlot(devices[i], devices[end])) ++end;
    if (!text.empty()) text += ", ";
    if (end - i == 1) {
      text += One(devices[i]);
    } else {
      const Bdf& bdf = devices[i].bdf;
      text += fmt::format("{:04x}:{:02x}:{:02x}.{{", bdf.segment, bdf.bus, bdf.device());
      for (size_t k = i; k < end; ++k) {
        text += fmt::format("{}{}", k == i ? "" : ",", devices[k].bdf.function());
      }
      text += "}";
    }
    i = end;
    ++slots;
  }
  return text;
}

}  // namespace dmaudit
