// SPDX-License-Identifier: GPL-2.0-or-later
// Machines for kernel_objects_fuzz: their symbols and types are read once, their objects as often
// as wanted.
#ifndef DMAUDIT_TESTS_FUZZ_KERNEL_OBJECTS_H_
#define DMAUDIT_TESTS_FUZZ_KERNEL_OBJECTS_H_

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernel/address_space.h"
#include "kernel/btf_load.h"
#include "kernel/capture_facts.h"
#include "kernel/discover_crashkernel.h"
#include "kernel/discover_devices.h"
#include "kernel/discover_iommu.h"
#include "kernel/discover_units.h"
#include "kernel/firmware_scopes.h"
#include "kernel/kallsyms.h"
#include "kernel/load_layouts.h"
#include "kernel/remembered_types.h"
#include "kernel/resource_tree.h"
#include "support/machine_scene.h"

namespace dmaudit::test {

inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// Counts reads, and those that did not succeed.
class CountingReader : public KernelReader {
 public:
  explicit CountingReader(KernelReader& reader) : reader_(reader) {}

  Status Read(KernelVa address, std::span<std::byte> out) override {
    ++reads;
    Status status = reader_.Read(address, out);
    failures += !status;
    return status;
  }
  Result<PhysAddr> Translate(KernelVa address) override { return reader_.Translate(address); }

  uint64_t reads = 0;
  uint64_t failures = 0;

 private:
  KernelReader& reader_;
};

// What the readers of kernel objects say of one machine.
struct ObjectFacts {
  std::optional<ResourceTree> iomem;
  UnitDiscovery units;
  IommuVerdict iommu;
  DeviceInventory inventory;
  FirmwareScopes scopes;
  CrashkernelDiscovery crashkernel;
  CaptureFacts capture;
  DiagnosticSink sink;
  uint64_t reads = 0;
  uint64_t failed_iomem = 0;   // reads of the resource tree that did not succeed
  uint64_t failed_scopes = 0;  // the same of firmware's scopes
};

class ObjectMachine {
 public:
  // A piece of the loaded crash kernel, and the command line in it; physical.
  static constexpr uint64_t kBootParameters = 0xb000000;
  static constexpr uint64_t kCommandLine = kBootParameters + 0x1000;

  // Builds `scene`; `last` then changes what knobs do not reach.
  template <typename Knobs, typename Last>
  ObjectMachine(const Knobs& knobs, const Last& last) {
    knobs(scene_);
    scene_.Build();
    last(*this);
    for (const auto& [name, address] : scene_.places()) {
      if (!name.ends_with("_BTF")) objects_.push_back(address);
    }
    objects_.push_back(MachineScene::kDirect + kBootParameters);
    objects_.push_back(MachineScene::kDirect + kCommandLine);
    Load();
    healthy_ = Discover(scene_.memory());
    Require(healthy_.sink.diagnostics().empty(), "nothing is missing in the machine as built");
    Require(healthy_.units.complete && healthy_.inventory.complete && healthy_.scopes.complete &&
                healthy_.iomem && healthy_.iomem->complete,
            "the machine as built is read as a whole");
  }

  MachineScene& scene() { return scene_; }
  const FakeMemory& memory() const { return scene_.memory(); }
  // Every variable and object, each in a page of its own.
  const std::vector<uint64_t>& objects() const { return objects_; }
  // What is read of the machine as built.
  const ObjectFacts& healthy() const { return healthy_; }

  // A domain, a handle and a node of an xarray for PASIDs.
  uint64_t AddDomain(uint64_t type) {
    const uint64_t at = scene_.Allocate("domain-of-pasid" + Number());
    Put(at + scene_.OffsetOf("iommu_domain.type"), type);
    return at;
  }
  uint64_t AddHandle(uint64_t domain) {
    const uint64_t at = scene_.Allocate("handle" + Number());
    Put(at, domain);
    return at;
  }
  uint64_t AddNode(uint8_t shift, const std::map<unsigned, uint64_t>& slots) {
    const std::string name = "pasid-node" + Number();
    const uint64_t at = scene_.Allocate(name);
    scene_.SetByte(name, "xa_node.shift", shift);
    for (const auto& [slot, entry] : slots) {
      Put(at + scene_.OffsetOf("xa_node.slots") + slot * 8, entry);
    }
    return at + 2;
  }
  void Put(uint64_t address, uint64_t value) {
    scene_.memory().WriteU64(PhysAddr(MachineScene::Physical(address)), value);
  }

  ObjectFacts Discover(const PhysicalMemory& memory) const {
    MemorySession session(memory);
    KernelAddressSpace space(session, Root());
    CountingReader reader(space);
    ObjectFacts facts;
    const Result<KernelVa> root = symbols_.Find("iomem_resource");
    Result<ResourceTree> tree = ReadResourceTree(reader, *types_, *root, facts.sink);
    if (tree) {
      facts.iomem = *std::move(tree);
    } else {
      ReportFailure(facts.sink, Effect::kNote, "memory map", tree.error());
    }
    facts.failed_iomem = reader.failures;
    const KernelView kernel{reader, symbols_, *types_, log_, facts.iomem, facts.sink};
    facts.units = DiscoverUnits(kernel);
    facts.iommu = DiscoverIommu(kernel, facts.units);
    facts.inventory = DiscoverDevices(kernel);
    const uint64_t before = reader.failures;
    facts.scopes = DiscoverScopes(kernel);
    facts.failed_scopes = reader.failures - before;
    facts.crashkernel = DiscoverCrashkernel(kernel, memory);
    facts.capture =
        ReadCaptureFacts(kernel, session, facts.crashkernel.image, facts.crashkernel.loaded);
    facts.reads = reader.reads;
    return facts;
  }

 private:
  std::string Number() { return std::to_string(added_++); }
  static PageTableRoot Root() {
    return {PhysAddr(MachineScene::Physical(MachineScene::kTopTable)), 4, 0};
  }

  void Load() {
    DiagnosticSink sink;
    const auto vmcoreinfo = Vmcoreinfo::Parse(AsText(scene_.dump.notes[0].descriptor), sink);
    Require(vmcoreinfo.has_value(), "VMCOREINFO of the machine as built");
    MemorySession session(scene_.memory());
    KernelAddressSpace space(session, Root());
    Result<SymbolTable> symbols = LoadKallsyms(*vmcoreinfo, space, WantedSymbols());
    Require(symbols.has_value(), "symbols of the machine as built");
    Result<Btf> types = LoadBtf(*symbols, space, WantedStructures());
    Require(types.has_value(), "types of the machine as built");
    Result<LogFacts> log = ReadLogFacts(*vmcoreinfo, space, session, sink);
    Require(log.has_value(), "log of the machine as built");
    symbols_ = *std::move(symbols);
    types_ = std::make_unique<RememberedTypes>(std::make_unique<const Btf>(*std::move(types)));
    log_ = *std::move(log);
  }

  MachineScene scene_;
  SymbolTable symbols_;
  std::unique_ptr<const TypeSource> types_;
  LogFacts log_;
  std::vector<uint64_t> objects_;
  ObjectFacts healthy_;
  unsigned added_ = 0;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_FUZZ_KERNEL_OBJECTS_H_
