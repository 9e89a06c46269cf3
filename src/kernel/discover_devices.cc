// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/discover_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "kernel/attached_domain.h"
#include "kernel/device_members.h"
#include "kernel/pasid_domains.h"
#include "kernel/type_view.h"

namespace dmaudit {
namespace {

// Driver names are module names, device names bus addresses or ACPI names.
constexpr size_t kMaxDriverName = 64;
constexpr size_t kMaxDeviceName = 64;

// Bridges above a device: several times what real machines stack up. Each takes a bus number, of
// which a segment has 256.
constexpr size_t kMaxBridges = 32;

class DeviceReader {
 public:
  explicit DeviceReader(const KernelView& kernel)
      : kernel_(kernel), members_(kernel), pasid_domains_(kernel) {}

  DeviceInventory Read() {
    inventory_.complete = ReadTree();
    inventory_.complete = ReadGroups() && inventory_.complete;
    Sort();
    return std::move(inventory_);
  }

 private:
  StructView View(KernelVa address, const char* type) const { return members_.View(address, type); }
  void Note(std::string_view context, const Error& error) {
    ReportFailure(kernel_.sink, Effect::kNote, context, error);
  }

  std::optional<uint64_t> Integer(const StructView& view, std::string_view path) {
    return members_.Integer(view, path);
  }
  std::optional<bool> Flag(const StructView& view, std::string_view path) {
    return members_.Flag(view, path);
  }

  // The PCI tree. True when all of it was read.
  bool ReadTree() {
    const Result<KernelVa> roots = kernel_.symbols.Find("pci_root_buses");
    if (!roots) {
      Note("PCI devices (names, drivers and state of devices)", roots.error());
      return false;
    }
    bool complete = true;
    std::vector<KernelVa> buses;
    const auto add_buses = [&](KernelVa head) {
      const Status walked = WalkList(kernel_.reader, kernel_.types, head, "pci_bus", "node",
                                     kMaxPciBuses - buses_, [&](const StructView& bus) {
                                       ++buses_;
                                       if (!seen_.insert(bus.address().value()).second) return true;
                                       buses.push_back(bus.address());
                                       return true;
                                     });
      if (walked) return;
      Note("PCI buses (devices of some have no facts)", walked.error());
      complete = false;
    };
    add_buses(*roots);
    // `buses` grows while it is gone through.
    for (size_t i = 0; i < buses.size(); ++i) {
      const StructView bus = View(buses[i], "pci_bus");
      complete = ReadBus(bus) && complete;
      const Result<KernelVa> children = bus.AddressOf("children");
      if (children) {
        add_buses(*children);
      } else {
        Note("PCI buses", children.error());
        complete = false;
      }
    }
    return complete;
  }

  bool ReadBus(const StructView& bus) {
    const Result<KernelVa> devices = bus.AddressOf("devices");
    if (!devices) {
      Note("PCI devices", devices.error());
      return false;
    }
    bool complete = true;
    const Status walked = WalkList(kernel_.reader, kernel_.types, *devices, "pci_dev", "bus_list",
                                   kMaxPciDevices - listed_, [&](const StructView& device) {
                                     ++listed_;
                                     complete = AddFromBus(device, bus.address()) && complete;
                                     return true;
                                   });
    if (walked) return complete;
    Note("PCI devices (the rest of a bus has no facts)", walked.error());
    return false;
  }

  // A damaged list leads to what is no device: a device points back to its bus. False when it was
  // left out.
  bool AddFromBus(const StructView& device, KernelVa bus) {
    const Result<KernelVa> back = device.Pointer("bus");
    if (!back) {
      Note("PCI device (it has no facts)", back.error());
      return false;
    }
    if (*back == bus) {
      AddPci(device);
      return true;
    }
    kernel_.sink.Note("kernel.damaged",
                      "{} is {:#x}, but it is listed by the bus at {:#x}: no facts",
                      device.Place("bus"), back->value(), bus.value());
    return false;
  }

  // Segment and bus number of a bus, read once.
  using BusNumber = std::pair<std::optional<uint32_t>, std::optional<uint8_t>>;
  BusNumber NumberOf(KernelVa bus) {
    const auto known = bus_numbers_.find(bus.value());
    if (known != bus_numbers_.end()) return known->second;
    BusNumber number;
    const StructView view = View(bus, "pci_bus");
    if (const auto value = Integer(view, "number")) number.second = static_cast<uint8_t>(*value);
    // x86 keeps the segment in struct pci_sysdata, whose first member it has always been; kernels
    // built without PCI_DOMAINS have one segment.
    const Result<KernelVa> sysdata = view.Pointer("sysdata");
    if (sysdata && sysdata->value() != 0) {
      if (const auto domain = Integer(View(*sysdata, "pci_sysdata"), "domain")) {
        number.first = static_cast<uint32_t>(*domain);
      }
    }
    bus_numbers_.emplace(bus.value(), number);
    return number;
  }

  // Where a part of it cannot be read nothing is told here: it matters only where no unit covers
  // the rest of the segment.
  std::optional<std::vector<Bdf>> PathOf(const StructView& pci) {
    KernelVa own = pci.address();
    if (pci.Has("is_virtfn")) {
      const Result<uint64_t> is_virtual = pci.Integer("is_virtfn");
      if (!is_virtual) return std::nullopt;
      if (*is_virtual != 0) {
        const Result<KernelVa> physical = pci.Pointer("physfn");
        if (!physical) return std::nullopt;
        own = *physical;
      }
    }
    const StructView device = View(own, "pci_dev");
    const std::optional<Bdf> bdf = IdOf(device);
    const Result<KernelVa> bus = device.Pointer("bus");
    if (!bdf || !bus) return std::nullopt;
    auto known = bridges_.find(bus->value());
    if (known == bridges_.end()) {
      known = bridges_.emplace(bus->value(), BridgesAbove(*bus)).first;
    }
    if (!known->second) return std::nullopt;
    std::vector<Bdf> path{*bdf};
    path.insert(path.end(), known->second->begin(), known->second->end());
    return path;
  }

  std::optional<std::vector<Bdf>> BridgesAbove(KernelVa bus) {
    std::vector<Bdf> bridges;
    for (;;) {
      const Result<KernelVa> bridge = View(bus, "pci_bus").Pointer("self");
      if (!bridge) return std::nullopt;
      if (bridge->value() == 0) return bridges;
      if (bridges.size() == kMaxBridges) return std::nullopt;
      const StructView device = View(*bridge, "pci_dev");
      const std::optional<Bdf> bdf = IdOf(device);
      const Result<KernelVa> above = device.Pointer("bus");
      if (!bdf || !above) return std::nullopt;
      bridges.push_back(*bdf);
      bus = *above;
    }
  }

  std::optional<Bdf> IdOf(const StructView& device) {
    const Result<uint64_t> devfn = device.Integer("devfn");
    const Result<KernelVa> bus = device.Pointer("bus");
    if (!devfn || *devfn > 0xff || !bus) return std::nullopt;
    const auto [segment, number] = NumberOf(*bus);
    if (!segment || !number || *segment > 0xffff) return std::nullopt;
    return Bdf{static_cast<uint16_t>(*segment), *number, static_cast<uint8_t>(*devfn)};
  }

  void AddPci(const StructView& pci) {
    if (!seen_.insert(pci.address().value()).second) return;
    members_.NextDevice();
    DeviceFacts facts;
    facts.address = pci.address();
    const auto narrow = [&](std::string_view path, auto& out) {
      using Value = typename std::decay_t<decltype(out)>::value_type;
      if (const auto value = Integer(pci, path)) out = static_cast<Value>(*value);
    };
    narrow("vendor", facts.vendor);
    narrow("device", facts.device);
    narrow("class", facts.class_code);
    if (const auto type = Integer(pci, "hdr_type")) facts.bridge = (*type & 0x7f) != 0;
    facts.bus_master = Flag(pci, "is_busmaster");
    if (const auto state = Integer(pci, "current_state"); state && *state <= 4) {
      facts.power = static_cast<PowerState>(*state);
    }
    facts.ats = Flag(pci, "ats_enabled");
    facts.pri = Flag(pci, "pri_enabled");
    facts.pasid = Flag(pci, "pasid_enabled");
    const std::optional<uint64_t> devfn = Integer(pci, "devfn");
    const std::optional<uint64_t> bus = Integer(pci, "bus");
    if (devfn && bus) {
      const auto [segment, number] = NumberOf(KernelVa(*bus));
      // Segments above 16 bits are the kernel's own (VMD): no unit sees their requester ids.
      if (segment && number && *segment <= 0xffff && *devfn <= 0xff) {
        facts.bdf = Bdf{static_cast<uint16_t>(*segment), *number, static_cast<uint8_t>(*devfn)};
        facts.name = ToString(*facts.bdf);
      } else if (segment && number && *devfn <= 0xff) {
        facts.name =
            fmt::format("{:04x}:{:02x}:{:02x}.{:x}", *segment, *number, *devfn >> 3, *devfn & 7);
      }
    }
    facts.path = PathOf(pci);
    const Result<KernelVa> device = pci.AddressOf("dev");
    if (device) {
      AddDevice(View(*device, "device"), facts);
      AddServices(View(*device, "device"), facts);
    }
    inventory_.devices.push_back(std::move(facts));
  }

  // What every struct device has: name, driver, group.
  void AddDevice(const StructView& device, DeviceFacts& facts) {
    in_inventory_.insert(device.address().value());
    if (facts.name.empty()) facts.name = NameOf(device);
    if (const auto driver = Integer(device, "driver")) facts.driver = DriverName(KernelVa(*driver));
    if (const auto group = Integer(device, "iommu_group"); group && *group != 0) {
      facts.group = GroupAt(KernelVa(*group));
    }
    Attachment attachment = ReadAttachedDomain(
        kernel_, members_, device, facts.group ? &inventory_.groups[*facts.group] : nullptr);
    facts.attached = std::move(attachment.domain);
    facts.attachment_unread = attachment.unread;
  }

  // Up to 4.10 struct pci_dev tells of ATS alone: the driver's own record has all three.
  void AddServices(const StructView& device, DeviceFacts& facts) {
    if (facts.ats && facts.pri && facts.pasid) return;
    const AttachedServices driver = ReadAttachedServices(kernel_, members_, device);
    if (!facts.ats) facts.ats = driver.ats;
    if (!facts.pri) facts.pri = driver.pri;
    if (!facts.pasid) facts.pasid = driver.pasid;
  }

  std::string NameOf(const StructView& device) {
    for (const char* path : {"init_name", "kobj.name"}) {
      const Result<std::string> name = device.String(path, kMaxDeviceName);
      if (name && !name->empty()) return *name;
    }
    return fmt::format("device at {:#x}", device.address().value());
  }

  std::optional<std::string> DriverName(KernelVa driver) {
    if (driver.value() == 0) return std::string();
    const auto known = drivers_.find(driver.value());
    if (known != drivers_.end()) return known->second;
    const Result<std::string> name = View(driver, "device_driver").String("name", kMaxDriverName);
    std::optional<std::string> read;
    if (name && !name->empty()) {
      read = *name;
    } else if (!name) {
      Note("driver", name.error());
    }
    drivers_.emplace(driver.value(), read);
    return read;
  }

  std::optional<DomainType> TypeOf(const std::optional<uint64_t>& domain) {
    if (!domain || *domain == 0) return std::nullopt;
    const auto type = Integer(View(KernelVa(*domain), "iommu_domain"), "type");
    if (!type) return std::nullopt;
    return DomainTypeOf(*type);
  }

  size_t GroupAt(KernelVa address) {
    const auto [known, fresh] = groups_.try_emplace(address.value(), inventory_.groups.size());
    if (!fresh) return known->second;
    IommuGroup group;
    group.address = address;
    const StructView view = View(address, "iommu_group");
    if (const auto id = Integer(view, "id")) group.id = static_cast<uint32_t>(*id);
    const std::optional<uint64_t> current = Integer(view, "domain");
    group.domain = TypeOf(current);
    if (current) group.domain_address = KernelVa(*current);
    group.default_domain = TypeOf(Integer(view, "default_domain"));
    const std::optional<uint64_t> blocking = Integer(view, "blocking_domain");
    // Where the driver has no domain that blocks, an empty one of another type does.
    if (current && blocking && *current != 0 && *current == *blocking) {
      group.domain = DomainType::kBlocked;
    } else if (!blocking && view.Has("blocking_domain") && group.domain != DomainType::kBlocked) {
      group.domain = std::nullopt;  // whether it is that one cannot be told
    }
    group.owned = Flag(view, "owner");
    group.pasid_domains = pasid_domains_.Read(view);
    inventory_.groups.push_back(group);
    return known->second;
  }

  // Devices that only the groups know. True when every group was read, or the kernel has none.
  bool ReadGroups() {
    constexpr std::string_view kContext = "IOMMU groups (devices that are not PCI)";
    const auto failed = [&](const Error& error) {
      Note(kContext, error);
      return false;
    };
    const Result<KernelVa> variable = kernel_.symbols.Find("iommu_group_kset");
    if (!variable) {
      // Kernels before 3.6 have no groups, and no member for them.
      const Result<MemberLayout> member = kernel_.types.Member("device", "iommu_group");
      return member ? failed(variable.error()) : inventory_.complete;
    }
    const Result<uint64_t> kset = kernel_.reader.ReadU64(*variable);
    if (!kset) return failed(kset.error());
    if (*kset == 0) return true;
    const Result<KernelVa> list = View(KernelVa(*kset), "kset").AddressOf("list");
    if (!list) return failed(list.error());
    const Result<MemberLayout> offset = kernel_.types.Member("iommu_group", "kobj");
    if (!offset) return failed(offset.error());
    size_t members = 0;
    bool complete = true;
    const Status walked =
        WalkList(kernel_.reader, kernel_.types, *list, "kobject", "entry", kMaxIommuGroups,
                 [&](const StructView& object) {
                   const KernelVa group(object.address().value() - offset->bit_offset / 8);
                   complete = ReadMembers(View(group, "iommu_group"), members) && complete;
                   return true;
                 });
    return walked ? complete : failed(walked.error());
  }

  bool ReadMembers(const StructView& group, size_t& members) {
    const Result<KernelVa> list = group.AddressOf("devices");
    if (!list) {
      Note("IOMMU groups", list.error());
      return false;
    }
    bool complete = true;
    // The element was struct iommu_device before 4.11 and is struct group_device since.
    const char* type = View(*list, "group_device").Has("dev") ? "group_device" : "iommu_device";
    const Status walked = WalkList(kernel_.reader, kernel_.types, *list, type, "list",
                                   kMaxPciDevices - members, [&](const StructView& element) {
                                     ++members;
                                     complete = AddMember(element, group.address()) && complete;
                                     return true;
                                   });
    if (!walked) Note("IOMMU group (devices that are not PCI)", walked.error());
    return walked && complete;
  }

  // False when there is a device that could not be added.
  bool AddMember(const StructView& element, KernelVa group) {
    const auto failed = [&](const Error& error) {
      Note("IOMMU group", error);
      return false;
    };
    const Result<KernelVa> address = element.Pointer("dev");
    if (!address) return failed(address.error());
    if (address->value() == 0 || in_inventory_.contains(address->value())) return true;
    const StructView device = View(*address, "device");
    const std::optional<KernelVa> pci_bus_type = kernel_.symbols.Get("pci_bus_type");
    const Result<KernelVa> bus = device.Pointer("bus");
    const Result<MemberLayout> inside = kernel_.types.Member("pci_dev", "dev");
    if (bus && pci_bus_type && *bus == *pci_bus_type && inside) {
      AddPci(View(KernelVa(address->value() - inside->bit_offset / 8), "pci_dev"));
      return true;
    }
    if (!bus) return failed(bus.error());
    members_.NextDevice();
    DeviceFacts facts;
    facts.pci = false;
    facts.address = *address;
    AddDevice(device, facts);
    if (!facts.group) facts.group = GroupAt(group);
    facts.bdf = ReadAttachedRequester(kernel_, members_, device);
    inventory_.devices.push_back(std::move(facts));
    return true;
  }

  void Sort() {
    // Groups by id, and the devices' indices with them.
    std::vector<size_t> order(inventory_.groups.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto key = [&](size_t i) {
      const IommuGroup& group = inventory_.groups[i];
      return std::tuple(group.id.value_or(UINT32_MAX), group.address.value());
    };
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
    std::vector<IommuGroup> sorted;
    std::vector<size_t> place(order.size());
    for (const size_t i : order) {
      place[i] = sorted.size();
      sorted.push_back(inventory_.groups[i]);
    }
    inventory_.groups = std::move(sorted);
    for (DeviceFacts& device : inventory_.devices) {
      if (device.group) device.group = place[*device.group];
    }
    std::stable_sort(inventory_.devices.begin(), inventory_.devices.end(),
                     [](const DeviceFacts& a, const DeviceFacts& b) {
                       if (a.bdf && b.bdf) return *a.bdf < *b.bdf;
                       if (a.bdf || b.bdf) return a.bdf.has_value();
                       return a.name < b.name;
                     });
  }

  const KernelView& kernel_;
  DeviceMembers members_;
  PasidDomains pasid_domains_;
  DeviceInventory inventory_;
  size_t buses_ = 0;                           // list elements seen, over all lists of buses
  size_t listed_ = 0;                          // the same of devices
  std::unordered_set<uint64_t> seen_;          // pci_bus and pci_dev
  std::unordered_set<uint64_t> in_inventory_;  // struct device
  std::unordered_map<uint64_t, BusNumber> bus_numbers_;
  std::unordered_map<uint64_t, std::optional<std::vector<Bdf>>> bridges_;  // above a bus
  std::unordered_map<uint64_t, std::optional<std::string>> drivers_;
  std::unordered_map<uint64_t, size_t> groups_;
};

}  // namespace

DeviceInventory DiscoverDevices(const KernelView& kernel) { return DeviceReader(kernel).Read(); }

}  // namespace dmaudit
