// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/device_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "report/device_list.h"

namespace dmaudit {
namespace {

struct ClassName {
  uint16_t code;  // class and subclass
  std::string_view name;
};
// PCI class codes of devices that machines with an IOMMU have; public assignments of the PCI-SIG.
constexpr ClassName kClasses[] = {
    {0x0100, "SCSI"},
    {0x0101, "IDE"},
    {0x0104, "RAID"},
    {0x0106, "SATA"},
    {0x0107, "SAS"},
    {0x0108, "NVMe"},
    {0x0180, "storage"},
    {0x0200, "Ethernet"},
    {0x0207, "InfiniBand"},
    {0x0208, "fabric"},
    {0x0280, "network"},
    {0x0300, "VGA"},
    {0x0302, "3D"},
    {0x0380, "display"},
    {0x0400, "video"},
    {0x0401, "audio"},
    {0x0403, "HD audio"},
    {0x0480, "multimedia"},
    {0x0500, "RAM"},
    {0x0580, "memory"},
    {0x0600, "host bridge"},
    {0x0601, "ISA bridge"},
    {0x0604, "PCI bridge"},
    {0x0680, "bridge"},
    {0x0700, "serial"},
    {0x0780, "communication"},
    {0x0800, "PIC"},
    {0x0801, "DMA controller"},
    {0x0805, "SD host"},
    {0x0806, "IOMMU"},
    {0x0880, "system"},
    {0x0b40, "co-processor"},
    {0x0c00, "FireWire"},
    {0x0c03, "USB"},
    {0x0c04, "Fibre Channel"},
    {0x0c05, "SMBus"},
    {0x0d11, "Bluetooth"},
    {0x1000, "network crypt"},
    {0x1080, "encryption"},
    {0x1101, "counters"},
    {0x1180, "signals"},
    {0x1200, "accelerator"},
};

std::string Safe(std::string_view text) { return EscapeForTerminal(text); }

const DeviceFacts* FactsOf(const AuditResult& result, const std::optional<size_t>& facts) {
  return facts ? &result.machine.inventory.devices[*facts] : nullptr;
}

std::string DriverText(const DeviceFacts* device) {
  if (device == nullptr || !device->driver) return "-";
  return device->driver->empty() ? "none" : Safe(*device->driver);
}

const IommuGroup* GroupOf(const AuditResult& result, const DeviceFacts* device) {
  if (device == nullptr || !device->group) return nullptr;
  return &result.machine.inventory.groups[*device->group];
}

std::string GroupText(const IommuGroup* group) {
  return group != nullptr && group->id ? std::to_string(*group->id) : "-";
}

std::string TypeText(const AuditResult& result, const DeviceFacts* device) {
  const IommuGroup* group = GroupOf(result, device);
  if (group == nullptr || !group->domain) return "-";
  std::string text(ToString(*group->domain));
  if (HeldByUser(*device, result.machine.inventory)) text += ", user";
  return text;
}

// The same of one entry of the tables: a PASID has a domain of its own.
std::string TypeText(const AuditResult& result, const AuditedDevice& entry) {
  if (entry.without_pasid()) return TypeText(result, FactsOf(result, entry.facts));
  const std::optional<DomainType> type = TypeOf(entry, result.machine.inventory);
  if (!type) return "-";
  return std::string(ToString(*type)) + (IsUsers(*type) ? ", user" : "");
}

std::string IdText(const DeviceFacts& device) {
  if (!device.vendor || !device.device) return "-";
  return fmt::format("{:04x}:{:04x}", *device.vendor, *device.device);
}

// The same as StateText under a heading that says what it is about. "no" is the kernel's record:
// who holds the device in user space switches it on past that, and then it says nothing.
std::string MasterText(const AuditResult& result, const DeviceFacts* device) {
  if (device == nullptr) return "-";
  if (device->power && *device->power != PowerState::kD0) return StateText(*device);
  if (!device->bus_master) return "-";
  if (*device->bus_master) return "yes";
  return HeldByUser(*device, result.machine.inventory) ? "-" : "no";
}

std::string ServicesText(const DeviceFacts& device) {
  std::string text;
  const auto add = [&](const std::optional<bool>& on, std::string_view name) {
    if (on && *on) text += fmt::format("{}{}", text.empty() ? "" : " ", name);
  };
  add(device.ats, "ATS");
  add(device.pri, "PRI");
  add(device.pasid, "PASID");
  if (!text.empty()) return text;
  // What is not known of one may be on.
  return device.ats && device.pri && device.pasid ? "none" : "-";
}

std::string Reach(const AuditedDomain& domain, bool device_tlb) {
  std::string text = ReachText(domain);
  if (device_tlb) text += "; device TLB (ATS)";
  return text;
}

// Different texts of several devices in one cell.
class Distinct {
 public:
  void Add(const std::string& text) {
    if (std::find(texts_.begin(), texts_.end(), text) == texts_.end()) texts_.push_back(text);
  }
  std::string Join() const {
    std::string joined;
    for (const std::string& text : texts_) joined += (joined.empty() ? "" : ", ") + text;
    return joined;
  }

 private:
  std::vector<std::string> texts_;
};

// Takes the place of one more row, or counts it as left out.
bool Fits(DeviceRows& rows, size_t& limit) {
  if (limit == 0) {
    ++rows.left_out;
    return false;
  }
  --limit;
  return true;
}

// The name of the unit that the kernel has the device behind, as far as that is known.
std::optional<std::string> UnitOf(const DeviceFacts& device) {
  return device.attached ? device.attached->unit : std::nullopt;
}

// Whether an entry of the device would have been met: that unit was walked, or where it is not
// known all were.
bool EntryWouldShow(const AuditResult& result, const std::optional<std::string>& behind) {
  return !result.units.empty() &&
         std::all_of(result.units.begin(), result.units.end(), [&](const AuditedUnit& unit) {
           return unit.status == UnitStatus::kWalked || (behind && unit.state.name != *behind);
         });
}

// A device that no table names, with its cells from the driver on.
struct WithoutEntry {
  Bdf bdf;
  std::vector<std::string> cells;
};

// In the order of the inventory.
std::vector<WithoutEntry> DevicesWithoutEntry(const AuditResult& result) {
  std::vector<WithoutEntry> out;
  const auto add = [&](const DeviceFacts& device, std::string unit, std::string reach) {
    out.push_back(
        {*device.bdf,
         {DriverText(&device), GroupText(GroupOf(result, &device)), TypeText(result, &device),
          MasterText(result, &device), std::move(unit), "-", std::move(reach)}});
  };
  auto untranslated = result.untranslated.begin();
  for (size_t i = 0; i < result.coverage.size(); ++i) {
    const DeviceFacts& device = result.machine.inventory.devices[i];
    if (untranslated != result.untranslated.end() && untranslated->facts == i) {
      const std::optional<size_t> unit = untranslated->unit;
      add(device, unit ? Safe(result.units[*unit].state.name) : "none",
          fmt::format("all memory ({})", Describe(untranslated->why)));
      ++untranslated;
      continue;
    }
    if (!device.bdf || (result.filter && !result.filter->Matches(*device.bdf))) continue;
    const std::optional<std::string> behind = UnitOf(device);
    if (result.coverage[i] == Coverage::kUnit && EntriesOf(result, *device.bdf).empty() &&
        EntryWouldShow(result, behind)) {
      add(device, behind ? Safe(*behind) : "-",
          result.complete() ? "no live entry" : "no live entry seen");
    }
  }
  return out;
}

}  // namespace

std::string ReachText(const AuditedDomain& domain) {
  if (domain.space.stage == Stage::kPassThrough) return "all memory (pass-through)";
  if (domain.identity == IdentityKind::kWhole) return "all memory (identity domain)";
  if (domain.mapped_bytes == 0) return "nothing mapped";
  std::string text = fmt::format("{} in {} range{}", HumanSize(domain.mapped_bytes), domain.ranges,
                                 domain.ranges == 1 ? "" : "s");
  if (domain.identity == IdentityKind::kRanges) {
    text += fmt::format(", {} of it 1:1", HumanSize(domain.identity_bytes));
  }
  return text;
}

std::string StateText(const DeviceFacts& device) {
  if (device.power && *device.power != PowerState::kD0) {
    return std::string(ToString(*device.power));
  }
  if (!device.bus_master) return "-";
  return *device.bus_master ? "bus master" : "no bus master";
}

std::string ClassText(uint32_t class_code) {
  for (const ClassName& known : kClasses) {
    if (known.code == class_code >> 8) return std::string(known.name);
  }
  return fmt::format("{:06x}", class_code);
}

DeviceRows RequesterTable(const AuditResult& result, size_t limit) {
  DeviceRows rows{
      TextTable({"device", "pasid", "driver", "group", "type", "master", "unit", "did", "reach"})};
  for (const AuditedDevice& device : result.devices) {
    if (!Fits(rows, limit)) continue;
    const AuditedDomain& domain = result.domains[device.domain];
    const DeviceFacts* facts = FactsOf(result, device.facts);
    rows.table.AddRow({ToString(device.bdf),
                       device.pasid ? std::to_string(device.pasid->value) : "-", DriverText(facts),
                       GroupText(GroupOf(result, facts)), TypeText(result, device),
                       MasterText(result, facts), Safe(result.units[device.unit].state.name),
                       std::to_string(domain.space.did.value), Reach(domain, device.device_tlb)});
  }
  std::vector<WithoutEntry> without = DevicesWithoutEntry(result);
  for (WithoutEntry& row : without) {
    if (!Fits(rows, limit)) continue;
    row.cells.insert(row.cells.begin(), {ToString(row.bdf), "-"});
    rows.table.AddRow(std::move(row.cells));
  }
  return rows;
}

DeviceRows BriefDeviceTable(const AuditResult& result, size_t limit) {
  DeviceRows rows{
      TextTable({"devices", "driver", "group", "type", "master", "unit", "did", "reach"})};
  for (const AuditedDomain& domain : result.domains) {
    std::map<std::optional<size_t>, std::vector<size_t>> by_group;
    for (const size_t index : domain.devices) {
      const DeviceFacts* facts = FactsOf(result, result.devices[index].facts);
      by_group[facts != nullptr ? facts->group : std::nullopt].push_back(index);
    }
    for (const auto& [group, members] : by_group) {
      if (!Fits(rows, limit)) continue;
      std::vector<DeviceRef> devices;
      Distinct drivers, types, states;
      bool device_tlb = false;
      for (const size_t index : members) {
        const AuditedDevice& device = result.devices[index];
        const DeviceFacts* facts = FactsOf(result, device.facts);
        devices.push_back({device.bdf, device.pasid, device.facts, device.ability});
        drivers.Add(DriverText(facts));
        types.Add(TypeText(result, device));
        states.Add(MasterText(result, facts));
        device_tlb = device_tlb || device.device_tlb;
      }
      rows.table.AddRow({DeviceList(devices, true), drivers.Join(),
                         group ? GroupText(&result.machine.inventory.groups[*group]) : "-",
                         types.Join(), states.Join(), Safe(result.units[domain.unit].state.name),
                         std::to_string(domain.space.did.value), Reach(domain, device_tlb)});
    }
  }
  // Those of which all else is the same are one row.
  std::vector<std::pair<std::vector<std::string>, std::vector<DeviceRef>>> others;
  std::map<std::vector<std::string>, size_t> place;
  std::vector<WithoutEntry> without = DevicesWithoutEntry(result);
  for (WithoutEntry& row : without) {
    const auto [known, fresh] = place.try_emplace(row.cells, others.size());
    if (fresh) others.push_back({std::move(row.cells), {}});
    others[known->second].second.push_back({row.bdf, std::nullopt});
  }
  for (auto& [cells, devices] : others) {
    if (!Fits(rows, limit)) continue;
    cells.insert(cells.begin(), DeviceList(devices, true));
    rows.table.AddRow(std::move(cells));
  }
  return rows;
}

DeviceRows InventoryTable(const AuditResult& result, size_t limit) {
  DeviceRows rows{TextTable(
      {"device", "id", "class", "driver", "group", "type", "default", "master", "services"})};
  for (const DeviceFacts& device : result.machine.inventory.devices) {
    if (!Fits(rows, limit)) continue;
    const IommuGroup* group = GroupOf(result, &device);
    rows.table.AddRow(
        {Safe(device.name), IdText(device), device.class_code ? ClassText(*device.class_code) : "-",
         DriverText(&device), GroupText(group), TypeText(result, &device),
         group != nullptr && group->default_domain ? std::string(ToString(*group->default_domain))
                                                   : "-",
         MasterText(result, &device), ServicesText(device)});
  }
  return rows;
}

}  // namespace dmaudit
