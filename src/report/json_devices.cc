// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/json_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dmaudit {

void WriteDeviceFacts(JsonWriter& json, const AuditResult& result, size_t index) {
  const DeviceInventory& inventory = result.machine.inventory;
  const DeviceFacts& device = inventory.devices[index];
  const auto hex = [&json](auto value) { json.Hex(uint64_t{value}); };
  const auto flag = [&json](bool value) { json.Bool(value); };
  const auto type = [&json](DomainType value) { json.String(ToString(value)); };
  const IommuGroup* group = device.group ? &inventory.groups[*device.group] : nullptr;
  json.BeginObject();
  json.Key("name").String(device.name);
  json.Key("bus").String(device.pci ? "pci" : "other");
  WriteIfKnown(json, "vendor_id", device.vendor, hex);
  WriteIfKnown(json, "device_id", device.device, hex);
  WriteIfKnown(json, "class", device.class_code, hex);
  // An empty name: no driver is bound.
  WriteIfKnown(json, "driver", device.driver,
               [&json](const std::string& name) { json.String(name); });
  WriteIfKnown(json, "bus_master", device.bus_master, flag);
  WriteIfKnown(json, "power_state", device.power,
               [&json](PowerState state) { json.String(ToString(state)); });
  WriteIfKnown(json, "ats_enabled", device.ats, flag);
  WriteIfKnown(json, "pri_enabled", device.pri, flag);
  WriteIfKnown(json, "pasid_enabled", device.pasid, flag);
  WriteIfKnown(json, "iommu_group", group != nullptr ? group->id : std::nullopt,
               [&json](uint32_t id) { json.Number(id); });
  WriteIfKnown(json, "domain_type", group != nullptr ? group->domain : std::nullopt, type);
  WriteIfKnown(json, "default_domain_type", group != nullptr ? group->default_domain : std::nullopt,
               type);
  WriteIfKnown(json, "attached", device.attached, [&](const KernelDomain& domain) {
    json.BeginObject();
    WriteIfKnown(json, "root", domain.root, [&json](PhysAddr root) { json.Hex(root.value()); });
    WriteIfKnown(json, "levels", domain.levels, [&json](unsigned n) { json.Number(n); });
    WriteIfKnown(json, "did", domain.did, [&json](uint16_t did) { json.Number(did); });
    WriteIfKnown(json, "type", domain.type, type);
    WriteIfKnown(json, "stage", domain.first_stage,
                 [&json](bool first) { json.String(first ? "first" : "second"); });
    WriteIfKnown(json, "unit", domain.unit,
                 [&json](const std::string& name) { json.String(name); });
    json.Key("place").String(fmt::format("{} @ {:#x}",
                                         domain.without_tables ? "iommu_domain" : "dmar_domain",
                                         domain.address.value()));
    json.EndObject();
  });
  json.Key("behind_unit");
  if (result.coverage[index] == Coverage::kUnknown) {
    json.Null();
  } else {
    json.Bool(result.coverage[index] == Coverage::kUnit);
  }
  const auto untranslated = std::lower_bound(
      result.untranslated.begin(), result.untranslated.end(), index,
      [](const UntranslatedDevice& one, size_t facts) { return one.facts < facts; });
  json.Key("untranslated");
  if (untranslated == result.untranslated.end() || untranslated->facts != index) {
    json.Null();
  } else {
    json.String(ToString(untranslated->why));
  }
  json.Key("held_by_user").Bool(HeldByUser(device, inventory));
  json.Key("dma_ability").String(ToString(AbilityOf(device, inventory)));
  json.Key("place").String(
      fmt::format("{} @ {:#x}", device.pci ? "pci_dev" : "device", device.address.value()));
  json.EndObject();
}

void WriteOtherDevices(JsonWriter& json, const AuditResult& result) {
  const DeviceInventory& inventory = result.machine.inventory;
  std::vector<bool> attached(inventory.devices.size());
  for (const AuditedDevice& device : result.devices) {
    if (device.facts) attached[*device.facts] = true;
  }
  json.Key("device_inventory_complete").Bool(inventory.complete);
  json.Key("other_devices").BeginArray();
  for (size_t i = 0; i < inventory.devices.size(); ++i) {
    const DeviceFacts& device = inventory.devices[i];
    if (attached[i]) continue;
    // With a filter the report speaks of the chosen devices alone.
    if (result.filter && !(device.bdf && result.filter->Matches(*device.bdf))) continue;
    WriteDeviceFacts(json, result, i);
  }
  json.EndArray();
}

}  // namespace dmaudit
