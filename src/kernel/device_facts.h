// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel itself knew of its devices: identity, driver, state, IOMMU group and domain.
// Attributes: whatever is not known stays unknown and hides no DMA, since the tables are walked
// without them.
#ifndef DMAUDIT_KERNEL_DEVICE_FACTS_H_
#define DMAUDIT_KERNEL_DEVICE_FACTS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/ids.h"

namespace dmaudit {

// PCI power states as pci_dev.current_state numbers them.
enum class PowerState : uint8_t { kD0, kD1, kD2, kD3Hot, kD3Cold };
std::string_view ToString(PowerState state);  // "D0" .. "D3hot", "D3cold", as sysfs prints them

// iommu_domain.type; the kernel's numbers are bit masks that have kept their values since 4.0.
enum class DomainType : uint8_t {
  kBlocked,
  kIdentity,
  kUnmanaged,  // mapped by a user of the IOMMU API: VFIO, iommufd
  kDma,
  kDmaFlushQueue,
  kSva,
  kPlatform,
  kNested,
  kOther,  // a number that is not known
};
// "blocked", "identity", "unmanaged", "DMA", "DMA-FQ" as sysfs prints them; "SVA", "platform",
// "nested", "other".
std::string_view ToString(DomainType type);
DomainType DomainTypeOf(uint64_t raw);
// What is mapped in such a domain a user of it decides (VFIO, iommufd, a process), and for as long
// as it likes.
bool IsUsers(DomainType type);

struct IommuGroup {
  std::optional<uint32_t> id;                // the number in /sys/kernel/iommu_groups
  std::optional<DomainType> domain;          // in use now; nothing also when there is none
  std::optional<DomainType> default_domain;  // what the kernel itself uses for the group's DMA
  // User space holds the group's DMA (VFIO, iommufd): iommu_group.owner. Unknown before 5.19.
  std::optional<bool> owned;
  // Of requests with a PASID, by PASID; kernels before 6.3 do not tell.
  std::map<uint32_t, DomainType> pasid_domains;
  KernelVa address;
  KernelVa domain_address;  // of the struct iommu_domain in use now; zero when not known
};

// What the VT-d driver believes a device to be attached to: a struct dmar_domain, or one of the
// domains without tables that identity (6.12 and later) and blocking (6.3 and later) have.
struct KernelDomain {
  std::optional<PhysAddr> root;  // top page table
  std::optional<unsigned> levels;
  std::optional<uint16_t> did;  // on the device's unit
  KernelVa address;
  bool without_tables = false;      // `address` is of a struct iommu_domain
  std::optional<DomainType> type;   // its own, which that of the group is not on all kernels
  std::optional<bool> first_stage;  // its tables are of the first stage
  std::optional<std::string> unit;  // name of the device's unit
};

struct DeviceFacts {
  std::string name;        // as sysfs names it, "0000:00:1f.2"; may be any text
  std::optional<Bdf> bdf;  // its own requester id; nothing when it has none that a unit sees
  bool pci = true;         // false: a device that firmware describes (ACPI name space)
  std::optional<uint16_t> vendor;
  std::optional<uint16_t> device;
  std::optional<uint32_t> class_code;  // 24 bits: class, subclass, interface
  // The requester ids by which firmware's scopes can name it: its own, or its physical function's
  // where it is a virtual one, then those of the bridges above it. Nothing when not all are known.
  std::optional<std::vector<Bdf>> path;
  std::optional<bool> bridge;         // header type 1 or 2: forwards requests of others
  std::optional<std::string> driver;  // empty: none bound
  // The kernel has bus mastering switched on (pci_dev.is_busmaster). The bit of the device itself
  // can differ: firmware sets it, and so does the user of a VFIO device.
  std::optional<bool> bus_master;
  std::optional<PowerState> power;
  std::optional<bool> ats, pri, pasid;  // enabled
  std::optional<size_t> group;          // index into DeviceInventory::groups
  // Attached by the driver, and to what; nothing when it is not attached, or that is not known.
  std::optional<KernelDomain> attached;
  bool attachment_unread = false;  // the driver's record of it could not be read
  KernelVa address;                // of its struct pci_dev, struct device where it is no PCI
};

struct DeviceInventory {
  // Every PCI device of the kernel was listed and every list was read to its end.
  bool complete = false;
  std::vector<DeviceFacts> devices;  // in order of requester ids, those without one last
  std::vector<IommuGroup> groups;    // in order of their ids
};

// Whether a device could start DMA when the kernel died, as far as its own state goes.
enum class DmaAbility : uint8_t { kUnknown, kAble, kUnable };
// "unknown", "able", "unable".
std::string_view ToString(DmaAbility ability);

// kUnable: in D3, or never made bus master by the kernel while no user of VFIO could have done it.
// kAble: bus master and not in D3.
DmaAbility AbilityOf(const DeviceFacts& device, const DeviceInventory& inventory);
// User space holds the device's DMA for as long as it likes: its domain is unmanaged, nested or
// shared with a process, its group has an owner, or a VFIO driver is bound and neither is known.
bool HeldByUser(const DeviceFacts& device, const DeviceInventory& inventory);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_DEVICE_FACTS_H_
