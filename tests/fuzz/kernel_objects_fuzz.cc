// SPDX-License-Identifier: GPL-2.0-or-later
// The readers of kernel objects over machines whose objects the input has changed: units, IOMMUs,
// devices, groups, domains, firmware's scopes, the resource tree, the crash kernel. Symbols and
// types are right and read once for all runs; they have fuzzers of their own. Whatever was changed,
// the readers end after a bounded number of reads, and what they could not read they do not call
// complete. Where memory was only taken away, nothing is known that the machine as built does not
// say, and no list that lost an element is complete.
//
// Input: a byte that chooses the machine, then records of 8 bytes: object, word in it, operation,
// a parameter, and a value (32 bits).
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "fuzz/kernel_objects.h"
#include "fuzz/kernel_objects_checks.h"
#include "support/patched_memory.h"

namespace dmaudit::test {
namespace {

constexpr size_t kRecord = 8;
constexpr size_t kMaxRecords = 64;  // more only hides what the first ones did

void AddBootParameters(ObjectMachine& machine) {
  FakeMemory& memory = machine.scene().memory();
  constexpr uint64_t at = ObjectMachine::kBootParameters;
  machine.scene().AddSegment(at, 0x2000, 0x1000);
  memory.WriteU32(PhysAddr(at + 0x202), 0x53726448);  // "HdrS"
  memory.WriteU32(PhysAddr(at + 0x228), static_cast<uint32_t>(ObjectMachine::kCommandLine));
  memory.Write(PhysAddr(ObjectMachine::kCommandLine), AsBytes(std::string_view("quiet\0", 6)));
}

// Scopes of firmware, an image loaded from files, a bridge with a function behind it.
void AddCommon(ObjectMachine& machine) {
  MachineScene& scene = machine.scene();
  AddBootParameters(machine);
  scene.SetByte("kimage", "kimage.file_mode", 1);
  scene.SetWord("kimage", "kimage.kernel_buf_len", 0x100200);
  scene.SetWord("kimage", "kimage.initrd_buf_len", 0x1000);
  scene.AddScope("rmrr", 0x7000000, 0x70fffff);
  scene.AddScope("rmrr", 0x7200000, 0x72fffff);
  scene.AddScope("atsr");
  if (scene.places().contains("dmar_satc_units")) scene.AddScope("satc");
  scene.SetByte("pci1", "pci_dev.hdr_type", 1);
  scene.Set("bus1.self", scene.At("pci1"));
}

// 6.11 and later: xarrays for ids of domains and for PASIDs.
std::unique_ptr<ObjectMachine> WithXarrays() {
  return std::make_unique<ObjectMachine>(
      [](MachineScene& scene) {
        scene.units = 2;
        scene.devices = {{0, 0x08, "nvme"}, {0, 0x10, "pcieport"}, {1, 0x00, "vfio-pci", 3}};
      },
      [](ObjectMachine& machine) {
        MachineScene& scene = machine.scene();
        AddCommon(machine);
        scene.Attach(MachineScene::kRoot, 3, 2);
        // The driver has no domain that blocks: an empty one of another type stands in.
        scene.Set("group2.blocking_domain", scene.At("domain2"));
        const uint64_t low = machine.AddNode(0, {{1, machine.AddHandle(machine.AddDomain(16)) | 1},
                                                 {2, machine.AddDomain(3)},
                                                 {3, machine.AddHandle(machine.AddDomain(1))}});
        const uint64_t head = machine.AddNode(6, {{0, low}, {5, machine.AddDomain(0)}});
        machine.Put(scene.At("group0.pasid_array") + scene.OffsetOf("xarray.xa_head"), head);
        scene.SetByte("pci2", "pci_dev.is_virtfn", 1);
        scene.Set("pci2.physfn", scene.At("pci0"));
      });
}

// Up to 3.14 in most of it: scopes and the driver's data lead to struct pci_dev, ids of domains are
// in arrays. A unit is ignored.
std::unique_ptr<ObjectMachine> WithArrays() {
  return std::make_unique<ObjectMachine>(
      [](MachineScene& scene) {
        scene.units = 3;
        scene.devices = {{0, 0x08, "e1000"}, {0, 0x10, ""}, {1, 0x00, "ahci"}};
        scene.bit_fields = false;
        scene.has_dev_iommu = false;
        scene.has_archdata = true;
        scene.has_group_device = false;
        scene.has_group_owner = false;
        scene.has_pasid_domains = false;
        scene.has_attach_handles = false;
        scene.info_of_pci_dev = true;
        scene.scopes_of_pci_dev = true;
        scene.domain_ids = MachineScene::DomainIds::kArray;
        scene.Without("dmar_satc_units");
      },
      [](ObjectMachine& machine) {
        MachineScene& scene = machine.scene();
        AddCommon(machine);
        scene.Attach(MachineScene::kRoot, 4);
        scene.Set("drhd0.iommu", 0);
        scene.SetByte("drhd0", "dmar_drhd_unit.ignored", 1);
        scene.Set("drhd0.devices", scene.At("rmrr0-devices"));
        scene.Set32("drhd0.devices_cnt", 3);
        scene.Set("iommu_device_list", scene.At("iommu1.iommu"));  // an ignored one is not there
        scene.Set("iommu2.segment", 0);
      });
}

// A device that is no PCI, two segments, domains of the static identity kind.
std::unique_ptr<ObjectMachine> WithPlatformDevice() {
  return std::make_unique<ObjectMachine>(
      [](MachineScene& scene) {
        scene.units = 2;
        scene.devices = {{0, 0x08, "nvme", 4}, {0, 0x10, "pcieport", 0}};
        scene.platform_device = true;
      },
      [](ObjectMachine& machine) {
        MachineScene& scene = machine.scene();
        AddCommon(machine);
        scene.SetByte("drhd0", "dmar_drhd_unit.segment", 1);
        scene.SetByte("iommu0", "intel_iommu.segment", 1);
        scene.SetByte("rmrr0-header", "acpi_dmar_reserved_memory.segment", 1);
      });
}

// 6.19: generic page tables.
std::unique_ptr<ObjectMachine> WithGenericTables() {
  return std::make_unique<ObjectMachine>(
      [](MachineScene& scene) {
        scene.devices = {{0, 0x08, "nvme"}, {0, 0x10, "pcieport"}};
        scene.generic_page_tables = true;
      },
      [](ObjectMachine& machine) {
        AddCommon(machine);
        machine.scene().Attach(MachineScene::kRoot, 4, 1);
      });
}

const ObjectMachine& Machine(size_t which) {
  static const std::array<std::unique_ptr<ObjectMachine>, 4> machines = {
      WithXarrays(), WithArrays(), WithPlatformDevice(), WithGenericTables()};
  return *machines[which % machines.size()];
}

// True when it took memory away and changed no fact.
bool Apply(std::span<const std::byte> record, const ObjectMachine& machine, PatchedMemory& memory) {
  const std::vector<uint64_t>& objects = machine.objects();
  const auto place = [&](size_t object, size_t word) {
    return objects[object % objects.size()] + word % 128 * 8;
  };
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(record[i]); };
  const PhysAddr at(MachineScene::Physical(place(byte(0), byte(1))));
  const auto value = LoadUnchecked<uint32_t>(record, 4);
  const auto state = static_cast<ByteState>(2 + byte(3) % (kByteStateCount - 2));
  switch (byte(2) % 6) {
    case 0:  // a pointer, with or without the marks of an xarray
      memory.WriteU64(at, place(value, byte(3)) + (value >> 8 & 3));
      return false;
    case 1:
      memory.WriteU64(at, value);
      return false;
    case 2:
      memory.WriteU64(at, std::rotl(uint64_t{value}, byte(3)));
      return false;
    case 3: {  // what another object has there
      MemorySession session(memory);
      uint64_t word = 0;
      if (session.ReadU64(PhysAddr(MachineScene::Physical(place(value, byte(3)))), word).ok()) {
        memory.WriteU64(at, word);
      }
      return false;
    }
    case 4:
      memory.SetState(at, 8, state);
      return true;
    default:
      memory.SetPageState(at, state);
      return true;
  }
}

}  // namespace
}  // namespace dmaudit::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dmaudit;
  using namespace dmaudit::test;
  if (size == 0) return 0;
  const ObjectMachine& machine = Machine(data[0]);
  PatchedMemory memory(machine.memory());
  const std::span<const std::byte> records = std::as_bytes(std::span(data + 1, size - 1));
  bool states_only = true;
  for (size_t i = 0; i < kMaxRecords && (i + 1) * kRecord <= records.size(); ++i) {
    states_only = Apply(records.subspan(i * kRecord, kRecord), machine, memory) && states_only;
  }
  const ObjectFacts facts = machine.Discover(memory);
  CheckFacts(facts);
  if (states_only) CheckPart(facts, machine.healthy());
  return 0;
}
