// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/device_facts.h"

namespace dmaudit {

std::string_view ToString(PowerState state) {
  switch (state) {
    case PowerState::kD0:
      return "D0";
    case PowerState::kD1:
      return "D1";
    case PowerState::kD2:
      return "D2";
    case PowerState::kD3Hot:
      return "D3hot";
    case PowerState::kD3Cold:
      return "D3cold";
  }
  return "D0";
}

std::string_view ToString(DomainType type) {
  switch (type) {
    case DomainType::kBlocked:
      return "blocked";
    case DomainType::kIdentity:
      return "identity";
    case DomainType::kUnmanaged:
      return "unmanaged";
    case DomainType::kDma:
      return "DMA";
    case DomainType::kDmaFlushQueue:
      return "DMA-FQ";
    case DomainType::kSva:
      return "SVA";
    case DomainType::kPlatform:
      return "platform";
    case DomainType::kNested:
      return "nested";
    case DomainType::kOther:
      return "other";
  }
  return "other";
}

DomainType DomainTypeOf(uint64_t raw) {
  switch (raw) {
    case 0:
      return DomainType::kBlocked;
    case 1:
      return DomainType::kUnmanaged;
    case 3:
      return DomainType::kDma;
    case 4:
      return DomainType::kIdentity;
    case 11:
      return DomainType::kDmaFlushQueue;
    case 16:
      return DomainType::kSva;
    case 32:
      return DomainType::kPlatform;
    case 64:
      return DomainType::kNested;
    default:
      return DomainType::kOther;
  }
}

std::string_view ToString(DmaAbility ability) {
  switch (ability) {
    case DmaAbility::kUnknown:
      return "unknown";
    case DmaAbility::kAble:
      return "able";
    case DmaAbility::kUnable:
      return "unable";
  }
  return "unknown";
}

namespace {

// vfio-pci, and those of single vendors: mlx5_vfio_pci, nvgrace_gpu_vfio_pci and more
// (drivers/vfio/pci/).
bool IsVfioDriver(const std::optional<std::string>& driver) {
  return driver && driver->find("vfio") != std::string::npos;
}

}  // namespace

bool IsUsers(DomainType type) {
  return type == DomainType::kUnmanaged || type == DomainType::kNested || type == DomainType::kSva;
}

bool HeldByUser(const DeviceFacts& device, const DeviceInventory& inventory) {
  const bool vfio_bound = IsVfioDriver(device.driver);
  if (!device.group) return vfio_bound;
  const IommuGroup& group = inventory.groups[*device.group];
  if (group.owned && *group.owned) return true;
  if (!group.domain) return vfio_bound;
  return IsUsers(*group.domain);
}

DmaAbility AbilityOf(const DeviceFacts& device, const DeviceInventory& inventory) {
  if (device.power && *device.power >= PowerState::kD3Hot) return DmaAbility::kUnable;
  if (!device.bus_master) return DmaAbility::kUnknown;
  if (*device.bus_master) return device.power ? DmaAbility::kAble : DmaAbility::kUnknown;
  // VFIO hands the command register to its user without telling the PCI core.
  const bool user_may =
      HeldByUser(device, inventory) || IsVfioDriver(device.driver) || !device.driver;
  return user_may ? DmaAbility::kUnknown : DmaAbility::kUnable;
}

}  // namespace dmaudit
