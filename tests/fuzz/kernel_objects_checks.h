// SPDX-License-Identifier: GPL-2.0-or-later
// What must hold of facts that were read from kernel objects: of any, and of those of a machine
// from which something was taken away.
#ifndef DMAUDIT_TESTS_FUZZ_KERNEL_OBJECTS_CHECKS_H_
#define DMAUDIT_TESTS_FUZZ_KERNEL_OBJECTS_CHECKS_H_

#include <algorithm>
#include <set>

#include "fuzz/kernel_objects.h"

namespace dmaudit::test {

// Limits hold, indices lead somewhere, each object is there once, orders are as promised, and what
// is not complete is said to be.

inline void CheckInventory(const DeviceInventory& inventory) {
  std::set<uint64_t> addresses;
  for (const DeviceFacts& device : inventory.devices) {
    Require(addresses.insert(device.address.value()).second, "a device is listed once");
    Require(!device.name.empty(), "a device has a name");
    Require(!device.group || *device.group < inventory.groups.size(), "the group of a device");
    Require(!device.path || !device.path->empty(), "a path has the device itself");
    Require(!device.attached || !device.attached->levels ||
                (*device.attached->levels >= 1 && *device.attached->levels <= 8),
            "levels of a domain's tables");
  }
  addresses.clear();
  uint64_t last = 0;
  for (const IommuGroup& group : inventory.groups) {
    Require(addresses.insert(group.address.value()).second, "a group is listed once");
    const uint64_t id = group.id ? *group.id : UINT64_MAX;
    Require(id >= last, "groups ascend");
    last = id;
    for (const auto& [pasid, type] : group.pasid_domains) {
      Require(pasid < uint32_t{1} << 20 && type != DomainType::kOther, "domains of PASIDs");
    }
  }
  for (size_t i = 1; i < inventory.devices.size(); ++i) {
    const DeviceFacts& a = inventory.devices[i - 1];
    const DeviceFacts& b = inventory.devices[i];
    Require(a.bdf ? !b.bdf || *a.bdf <= *b.bdf : !b.bdf, "devices ascend");
  }
}

inline void CheckScopes(const FirmwareScopes& scopes) {
  Require(!scopes.complete || scopes.units_complete, "all lists are more than one");
  uint64_t devices = 0;
  for (size_t i = 0; i < scopes.scopes.size(); ++i) {
    const FirmwareScope& scope = scopes.scopes[i];
    Require(i == 0 || scopes.scopes[i - 1].kind <= scope.kind, "scopes are in order");
    Require(scope.range.has_value() == (scope.kind == ScopeKind::kReservedMemory),
            "an RMRR alone has a range");
    Require(!scope.range || scope.range->first <= scope.range->last, "a range does not wrap");
    Require(scope.whole || !scopes.complete, "what is complete is whole");
    devices += scope.devices.size() + scope.unplaced + scope.absent;
  }
  Require(devices <= kMaxScopeDevices, "devices of all scopes are limited");
}

inline void CheckTree(const ResourceTree& tree) {
  Require(tree.resources.size() <= kMaxResources, "resources are limited");
  std::set<uint64_t> addresses;
  for (size_t i = 0; i < tree.resources.size(); ++i) {
    const Resource& resource = tree.resources[i];
    Require(addresses.insert(resource.address.value()).second, "a resource is listed once");
    Require(!resource.parent || *resource.parent < i, "parents come first");
    Require(resource.range.first <= resource.range.last, "a resource does not wrap");
  }
}

inline void CheckFacts(const ObjectFacts& facts) {
  // No list, tree or array of a machine of this size has reason for more.
  Require(facts.reads < uint64_t{1} << 20, "reads are limited");
  const bool silent = facts.sink.diagnostics().empty();
  Require(facts.units.units.size() <= kMaxUnits, "units are limited");
  Require(facts.units.complete || facts.sink.incomplete(), "units that are missing are a gap");
  Require(facts.iommu.presence != IommuPresence::kUnknown || facts.sink.incomplete(),
          "an unknown IOMMU is a gap");
  CheckInventory(facts.inventory);
  Require(facts.inventory.complete || !silent, "devices that are missing are told");
  CheckScopes(facts.scopes);
  Require(facts.scopes.complete || !silent, "scopes that are missing are told");
  Require(facts.iomem || !silent, "a missing memory map is told");
  if (facts.iomem) {
    CheckTree(*facts.iomem);
    Require(facts.iomem->complete || !silent, "resources that are missing are told");
    Require(facts.failed_iomem == 0 || !facts.iomem->complete,
            "a tree of which a word was not read is not complete");
  }
  Require(facts.crashkernel.reservations || facts.sink.incomplete(),
          "an unknown reservation is a gap");
  if (facts.crashkernel.reservations) {
    for (const Reservation& reservation : *facts.crashkernel.reservations) {
      for (const auto& claim : reservation.range.claims()) {
        Require(claim.value.first <= claim.value.last, "a reservation does not wrap");
      }
    }
  }
  Require(facts.crashkernel.loaded.known() || !silent, "an unknown image is told");
  if (const auto& image = facts.crashkernel.image) {
    Require(image->complete || !silent, "pieces that are missing are told");
    Require(std::is_sorted(
                image->segments.begin(), image->segments.end(),
                [](const ImageSegment& a, const ImageSegment& b) { return a.range < b.range; }),
            "pieces ascend");
  }
}

// What is known of a part is what is known of the whole: nothing is made up for what was taken
// away, and no list that lost something is called complete.

template <typename T>
void RequireSame(const std::optional<T>& part, const std::optional<T>& whole, const char* what) {
  Require(!part || (whole && *part == *whole), what);
}
template <typename T>
void RequireSame(const Known<T>& part, const Known<T>& whole, const char* what) {
  Require(!part || (whole && part.value() == whole.value()), what);
}

template <typename List, typename Key>
auto FindByKey(const List& list, const Key& same) {
  const auto it = std::find_if(list.begin(), list.end(), same);
  return it == list.end() ? nullptr : &*it;
}

inline void CheckUnitsOfPart(const ObjectFacts& part, const ObjectFacts& whole) {
  const bool full = !part.sink.incomplete();
  if (full) {
    Require(part.units.units.size() == whole.units.units.size(), "a lost unit is a gap");
    Require(part.iommu.presence == whole.iommu.presence, "an IOMMU that is not told is a gap");
  }
  Require(
      part.iommu.presence == whole.iommu.presence || part.iommu.presence == IommuPresence::kUnknown,
      "no other IOMMU appears");
  for (const UnitState& unit : part.units.units) {
    if (!unit.register_base) continue;
    const UnitState* same = FindByKey(whole.units.units, [&](const UnitState& other) {
      return other.register_base.value() == unit.register_base.value();
    });
    Require(same != nullptr, "a unit of the machine as built");
    RequireSame(unit.cap, same->cap, "CAP");
    RequireSame(unit.ecap, same->ecap, "ECAP");
    RequireSame(unit.rtaddr, same->rtaddr, "RTADDR");
    RequireSame(unit.iqa, same->iqa, "IQA");
    RequireSame(unit.irta, same->irta, "IRTA");
    RequireSame(unit.pqa, same->pqa, "PQA");
    RequireSame(unit.scope_devices, same->scope_devices, "devices of a unit's scope");
    if (unit.gcmd && unit.gcmd.chosen().origin != Origin::kDerived) {
      RequireSame(unit.gcmd, same->gcmd, "GCMD");
    }
    Require(unit.inherited || !same->inherited, "tables inherited from the kernel before");
    if (!full) continue;
    Require(
        unit.segment == same->segment && unit.ignored == same->ignored && unit.name == same->name &&
            unit.cap.known() == same->cap.known() && unit.ecap.known() == same->ecap.known() &&
            unit.gcmd.known() == same->gcmd.known() && unit.rtaddr.known() == same->rtaddr.known(),
        "what is lost of a unit is a gap");
  }
}

inline void CheckDomainOfPart(const KernelDomain& part, const std::optional<KernelDomain>& whole) {
  Require(whole && part.address == whole->address && part.without_tables == whole->without_tables,
          "the domain of a device");
  RequireSame(part.root, whole->root, "the tables of a domain");
  RequireSame(part.levels, whole->levels, "the levels of a domain");
  RequireSame(part.did, whole->did, "the id of a domain");
  RequireSame(part.type, whole->type, "the type of a domain");
  RequireSame(part.first_stage, whole->first_stage, "the stage of a domain");
  RequireSame(part.unit, whole->unit, "the unit of a domain");
}

inline void CheckGroupOfPart(const IommuGroup& part, const DeviceInventory& whole) {
  const IommuGroup* same = FindByKey(
      whole.groups, [&](const IommuGroup& other) { return other.address == part.address; });
  Require(same != nullptr, "a group of the machine as built");
  RequireSame(part.id, same->id, "the id of a group");
  RequireSame(part.domain, same->domain, "the domain of a group");
  RequireSame(part.default_domain, same->default_domain, "the default domain of a group");
  RequireSame(part.owned, same->owned, "the owner of a group");
  for (const auto& [pasid, type] : part.pasid_domains) {
    const auto it = same->pasid_domains.find(pasid);
    Require(it != same->pasid_domains.end() && it->second == type, "the domain of a PASID");
  }
}

inline void CheckInventoryOfPart(const DeviceInventory& part, const DeviceInventory& whole) {
  for (const IommuGroup& group : part.groups) CheckGroupOfPart(group, whole);
  for (const DeviceFacts& device : part.devices) {
    const DeviceFacts* same = FindByKey(
        whole.devices, [&](const DeviceFacts& other) { return other.address == device.address; });
    Require(same != nullptr && device.pci == same->pci, "a device of the machine as built");
    RequireSame(device.bdf, same->bdf, "the requester id of a device");
    RequireSame(device.vendor, same->vendor, "the vendor of a device");
    RequireSame(device.device, same->device, "the device id");
    RequireSame(device.class_code, same->class_code, "the class of a device");
    RequireSame(device.path, same->path, "the bridges above a device");
    RequireSame(device.bridge, same->bridge, "whether a device is a bridge");
    RequireSame(device.driver, same->driver, "the driver of a device");
    RequireSame(device.bus_master, same->bus_master, "bus mastering");
    RequireSame(device.power, same->power, "the power state");
    RequireSame(device.ats, same->ats, "ATS");
    RequireSame(device.pri, same->pri, "PRI");
    RequireSame(device.pasid, same->pasid, "PASID");
    if (device.group) {
      Require(
          same->group && part.groups[*device.group].address == whole.groups[*same->group].address,
          "the group of a device");
    }
    if (device.attached) CheckDomainOfPart(*device.attached, same->attached);
  }
  Require(!part.complete || part.devices.size() == whole.devices.size(),
          "an inventory that lacks a device is not complete");
}

inline void CheckScopesOfPart(const FirmwareScopes& part, const FirmwareScopes& whole) {
  for (const FirmwareScope& scope : part.scopes) {
    const FirmwareScope* same = FindByKey(whole.scopes, [&](const FirmwareScope& other) {
      return scope.place.starts_with(other.place);
    });
    Require(same != nullptr, "a scope of the machine as built");
    RequireSame(scope.segment, same->segment, "the segment of a scope");
    RequireSame(scope.registers, same->registers, "the registers of a scope");
    RequireSame(scope.range, same->range, "the range of an RMRR");
    RequireSame(scope.flag, same->flag, "the flag of a scope");
    for (const Bdf& device : scope.devices) {
      Require(std::find(same->devices.begin(), same->devices.end(), device) != same->devices.end(),
              "a device of a scope");
    }
    Require(!scope.whole || scope.devices.size() + scope.unplaced == same->devices.size(),
            "a scope that lacks a device is not whole");
  }
  const auto units = [](const FirmwareScopes& scopes) {
    return std::count_if(scopes.scopes.begin(), scopes.scopes.end(),
                         [](const FirmwareScope& s) { return s.kind == ScopeKind::kUnit; });
  };
  Require(!part.complete || part.scopes.size() == whole.scopes.size(),
          "scopes that lack one are not complete");
  Require(!part.units_complete || units(part) == units(whole),
          "units' scopes that lack one are not complete");
}

inline void CheckTreeOfPart(const ResourceTree& part, const ResourceTree& whole) {
  for (const Resource& resource : part.resources) {
    const Resource* same = FindByKey(
        whole.resources, [&](const Resource& other) { return other.address == resource.address; });
    Require(same != nullptr && resource.range == same->range &&
                (resource.name.empty() || resource.name == same->name),
            "a resource of the machine as built");
  }
  Require(!part.complete || part.resources.size() == whole.resources.size(),
          "a tree that lacks a resource is not complete");
}

inline void CheckCrashkernelOfPart(const ObjectFacts& part_facts, const ObjectFacts& whole_facts) {
  const CrashkernelDiscovery& part = part_facts.crashkernel;
  const CrashkernelDiscovery& whole = whole_facts.crashkernel;
  RequireSame(part.loaded, whole.loaded, "whether a crash kernel is loaded");
  if (!part_facts.sink.incomplete()) {
    Require(part.reservations && part.reservations->size() == whole.reservations->size(),
            "a lost reservation is a gap");
  }
  if (part.reservations) {
    for (const Reservation& reservation : *part.reservations) {
      Require(FindByKey(*whole.reservations,
                        [&](const Reservation& other) {
                          return other.range.value() == reservation.range.value();
                        }) != nullptr,
              "a reservation of the machine as built");
    }
  }
  if (!part.image) return;
  Require(whole.image && part.image->address == whole.image->address, "the loaded image");
  RequireSame(part.image->file_mode, whole.image->file_mode, "how the image was loaded");
  for (const ImageSegment& segment : part.image->segments) {
    const ImageSegment* same = FindByKey(whole.image->segments, [&](const ImageSegment& other) {
      return other.range == segment.range;
    });
    Require(same != nullptr && segment.loaded_bytes == same->loaded_bytes,
            "a piece of the loaded image");
    Require(segment.role == SegmentRole::kUnknown || segment.role == same->role,
            "what a piece of the loaded image is");
  }
  Require(!part.image->complete || part.image->segments.size() == whole.image->segments.size(),
          "an image that lacks a piece is not complete");
}

inline void CheckPart(const ObjectFacts& part, const ObjectFacts& whole) {
  CheckUnitsOfPart(part, whole);
  CheckInventoryOfPart(part.inventory, whole.inventory);
  CheckScopesOfPart(part.scopes, whole.scopes);
  if (part.iomem) CheckTreeOfPart(*part.iomem, *whole.iomem);
  CheckCrashkernelOfPart(part, whole);
  RequireSame(part.capture.command_line, whole.capture.command_line, "the capture command line");
  Require(part.capture.copy_rule == whole.capture.copy_rule, "the rule of copied tables");
  RequireSame(part.capture.driver_off, whole.capture.driver_off, "whether the driver is off");
  RequireSame(part.capture.scalable, whole.capture.scalable, "scalable mode");
  RequireSame(part.capture.x2apic, whole.capture.x2apic, "x2APIC mode");
}

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_FUZZ_KERNEL_OBJECTS_CHECKS_H_
