// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/machine_scene.h"

#include <fmt/format.h>

namespace dmaudit::test {

MachineScene::MachineScene() {
  auto owned = std::make_unique<FakeMemory>();
  memory_ = owned.get();
  dump.memory = std::move(owned);
  dump.info.machine = "x86_64";
  dump.info.release = "6.1.0";
}

void MachineScene::Build() {
  PageTableBuilder tables(*memory_, PhysAddr(Physical(kTopTable)), 4);
  for (uint64_t at = 0; at < 0x4000000; at += 0x200000) {
    tables.Map(kImage + at, kPhysBase + at, 2);
  }
  tables.Map(kDirect, 0, 3);
  for (const PhysRange& range : ram) memory_->AddRam(range);
  BuildTypes();
  BuildVariables();
  BuildUnits();
  BuildDevices();
  BuildResources();
  BuildLog();
  BuildVmcoreinfo();
}

Result<MachineState> MachineScene::Discover(ReadRecorder* recorder,
                                            const DiscoveryOptions& options) {
  MemorySession session(*memory_, recorder);
  return DiscoverMachine(dump, session, sink, options);
}

uint64_t MachineScene::At(const std::string& place) const {
  const size_t dot = place.find('.');
  const uint64_t base = places_.at(place.substr(0, dot));
  if (dot == std::string::npos) return base;
  std::string type = place.substr(0, dot);
  while (type.back() >= '0' && type.back() <= '9') type.pop_back();
  static const std::map<std::string, std::string> kTypes = {
      {"iommu", "intel_iommu"},   {"drhd", "dmar_drhd_unit"},     {"pci", "pci_dev"},
      {"bus", "pci_bus"},         {"group", "iommu_group"},       {"domain", "iommu_domain"},
      {"crashk_res", "resource"}, {"crashk_low_res", "resource"}, {"iomem_resource", "resource"}};
  const auto it = kTypes.find(type);
  return base + offsets_.at((it == kTypes.end() ? "resource" : it->second) + place.substr(dot));
}

void MachineScene::Set32(const std::string& place, uint32_t value) {
  memory_->WriteU32(PhysAddr(Physical(At(place))), value);
}

void MachineScene::Attach(uint64_t root, unsigned levels, unsigned depth) {
  for (const char* name : {"info", "holder", "own", "own-info"}) {
    if (!places_.contains(name)) Allocate(name);
  }
  const uint64_t device = At("pci0.dev");
  if (has_dev_iommu) {
    SetWord("holder", "dev_iommu.priv", has_archdata ? 0 : At("info"));
    Put(device + offsets_.at("device.iommu"), At("holder"));
  }
  if (!has_dev_iommu || has_archdata) {
    Put(device + offsets_.at("device.archdata"), At("info"));
  }
  SetWord("info", "device_domain_info.dev", info_of_pci_dev ? At("pci0") : device);
  SetWord("info", "device_domain_info.iommu", At("iommu0"));
  SetWord("info", "device_domain_info.domain", At("own"));
  if (generic_page_tables) {
    Put(At("own") + offsets_.at("dmar_domain.") + 16, (kDirect + root) | (levels - 1));
  } else if (pgd_in_union) {
    Put(At("own") + offsets_.at("dmar_domain."), kDirect + root);
    Put(At("own") + offsets_.at("dmar_domain.") + 8, levels - 2);
  } else {
    SetWord("own", "dmar_domain.pgd", kDirect + root);
    SetWord("own", "dmar_domain.agaw", levels - 2);
  }
  SetDomain(11, 0);
  SetWord("own-info", "iommu_domain_info.did", 9);
  if (domain_ids == DomainIds::kOne) SetWord("own", "dmar_domain.id", 9);
  if (domain_ids == DomainIds::kArray) SetWord("own", "dmar_domain.iommu_did", 9);
  if (domain_ids != DomainIds::kXarray) return;
  uint64_t entry = At("own-info");
  for (unsigned i = 0; i < depth; ++i) {
    const std::string node = "node" + std::to_string(i);
    Allocate(node);
    SetWord(node, "xa_node.shift", 6 * i);
    SetWord(node, "xa_node.slots", entry);
    entry = At(node) + 2;
  }
  Put(At("own") + offsets_.at("dmar_domain.iommu_array") + offsets_.at("xarray.xa_head"), entry);
}

void MachineScene::SetDomain(uint64_t type, uint64_t operations) {
  const uint64_t at =
      At("own") + offsets_.at(generic_page_tables ? "dmar_domain." : "dmar_domain.domain");
  Put(at + offsets_.at("iommu_domain.type"), type);
  Put(at + offsets_.at("iommu_domain.ops"), operations);
}

void MachineScene::AddScope(const std::string& list, uint64_t first, uint64_t last) {
  const std::string type = "dmar_" + list + "_unit";
  const std::string name = list + std::to_string(scopes_++);
  Allocate(name);
  Allocate(name + "-header");
  Allocate(name + "-devices");
  LinkInto(At("dmar_" + list + "_units"), At(name), scope_tails_);
  SetWord(name, type + ".hdr", At(name + "-header"));
  SetWord(name, type + ".base_address", first);
  SetWord(name, type + ".end_address", last);
  SetWord(name, type + ".devices", At(name + "-devices"));
  SetWord(name, type + ".devices_cnt", 3);
  uint64_t at = At(name + "-devices");
  for (const uint64_t id : {uint64_t{0x0800}, uint64_t{0x0002}, uint64_t{0}}) {
    if (scopes_of_pci_dev) {
      Put(at, id == 0 ? 0 : ScopeDevice(id & 0xff, id >> 8));
      at += 8;
      continue;
    }
    Put(at + offsets_.at("dmar_dev_scope.dev"), id == 0 ? 0 : At(name));
    memory_->WriteU32(PhysAddr(Physical(at + offsets_.at("dmar_dev_scope.bus"))),
                      static_cast<uint32_t>(id));
    at += (offsets_.at("dmar_dev_scope.devfn") + 8) / 8 * 8;
  }
}

void MachineScene::AddSegment(uint64_t at, uint64_t size, uint64_t loaded) {
  const uint64_t segment = At("kimage") + offsets_.at("kimage.segment") + 32 * segments_;
  Put(segment + offsets_.at("kexec_segment.bufsz"), loaded);
  Put(segment + offsets_.at("kexec_segment.mem"), at);
  Put(segment + offsets_.at("kexec_segment.memsz"), size);
  SetWord("kimage", "kimage.nr_segments", ++segments_);
}

void MachineScene::SetWord(const std::string& object, const std::string& member, uint64_t value) {
  Put(At(object) + offsets_.at(member), value);
}

void MachineScene::SetByte(const std::string& object, const std::string& member, uint8_t value) {
  const uint64_t at = At(object) + offsets_.at(member);
  memory_->Write(PhysAddr(Physical(at)), std::as_bytes(std::span(&value, 1)));
}

void MachineScene::SetState(const std::string& place, ByteState state) {
  memory_->SetPageState(PhysAddr(Physical(At(place))), state);
}

void MachineScene::Without(std::string_view variable) {
  std::erase_if(variables, [variable](const Variable& v) { return v.name == variable; });
}

size_t MachineScene::Count(std::string_view id, Effect effect) const {
  size_t count = 0;
  for (const Diagnostic& d : sink.diagnostics()) count += d.id == id && d.effect == effect;
  return count;
}

uint64_t MachineScene::Physical(uint64_t address) {
  return address >= kImage ? address - kImage + kPhysBase : address - kDirect;
}

uint64_t MachineScene::Allocate(const std::string& name) {
  const uint64_t address = kSlab + 0x1000 * places_.size();
  memory_->AddZeroPage(PhysAddr(Physical(address)));
  places_[name] = address;
  return address;
}

void MachineScene::Put(uint64_t address, uint64_t value) {
  memory_->WriteU64(PhysAddr(Physical(address)), value);
}

void MachineScene::PutText(uint64_t address, std::string_view text) {
  memory_->Write(PhysAddr(Physical(address)), AsBytes(std::string(text) + '\0'));
}

uint64_t MachineScene::ScopeDevice(uint64_t bus, uint64_t devfn) {
  const std::string name = fmt::format("scope-device{}", places_.size());
  const uint64_t device = Allocate(name);
  const uint64_t its_bus = Allocate(name + "-bus");
  SetWord(name + "-bus", "pci_bus.number", bus);
  SetWord(name, "pci_dev.bus", its_bus);
  SetWord(name, "pci_dev.devfn", devfn);
  return device;
}

void MachineScene::BuildVariables() {
  uint64_t next = kData;
  kallsyms.at = kTables;
  kallsyms.symbols = {{'T', "_stext", kStext}, {'D', "init_top_pgt", kTopTable}};
  if (bounds_of_types) {
    for (const char* name : {"__start_BTF", "__stop_BTF"}) {
      kallsyms.symbols.push_back({'D', name, places_[name] + bounds_off});
    }
  }
  if (!kallsyms_announced) {
    kallsyms.order = KallsymsBuilder::Order::kAddressesFirst;
    kallsyms.relative_base = kImage;  // the lowest address
    kallsyms.addresses = AddressForm::kAbsolutePerCpu;
    // As many as make the tables those of a kernel.
    for (uint64_t i = 0; i < 4096; ++i) {
      kallsyms.symbols.push_back({'t', fmt::format("function_{}", i), kStext + 16 * i});
    }
  }
  for (const Variable& variable : variables) {
    places_[variable.name] = next;
    memory_->AddZeroPage(PhysAddr(Physical(next)));
    kallsyms.symbols.push_back({'D', variable.name, next});
    next += 0x1000;  // a page each, so that one alone can be taken away
  }
  kallsyms.Write([&](uint64_t at, std::span<const std::byte> bytes) {
    memory_->Write(PhysAddr(Physical(at)), bytes);
  });
  if (places_.contains("saved_command_line")) {
    const uint64_t text = Allocate("command_line");
    PutText(text, "root=/dev/vda intel_iommu=on");
    Set("saved_command_line", text);
  }
  if (places_.contains("kexec_crash_image")) {
    Set("kexec_crash_image", Allocate("kimage"));
    AddSegment(0x21000000, 0x200000, 0x100000);
    AddSegment(0x2f000000, 0x1000, 0x1000);
  }
  if (places_.contains("intel_iommu_enabled")) Set32("intel_iommu_enabled", 1);
  if (places_.contains("crashk_res")) {
    Set("crashk_res.start", 0x20000000);
    Set("crashk_res.end", 0x2fffffff);
  }
}

void MachineScene::LinkInto(uint64_t head, uint64_t node, std::map<uint64_t, uint64_t>& last) {
  const uint64_t before = last.contains(head) ? last[head] : head;
  Put(before, node);
  Put(node, head);
  last[head] = node;
}

void MachineScene::BuildUnits() {
  std::map<uint64_t, uint64_t> last;
  for (const char* list : {"dmar_drhd_units", "iommu_device_list", "dmar_rmrr_units",
                           "dmar_atsr_units", "dmar_satc_units"}) {
    if (places_.contains(list)) Put(At(list), At(list));
  }
  for (unsigned i = 0; i < units; ++i) {
    const std::string n = std::to_string(i);
    const uint64_t drhd = Allocate("drhd" + n);
    const uint64_t iommu = Allocate("iommu" + n);
    const uint64_t queue = Allocate("qi" + n);
    const uint64_t ir = Allocate("ir" + n);
    if (places_.contains("dmar_drhd_units")) {
      LinkInto(At("dmar_drhd_units"), At("drhd" + n + ".list"), last);
    }
    Set("drhd" + n + ".reg_base_addr", kRegisters + 0x1000 * i);
    SetByte("drhd" + n, "dmar_drhd_unit.include_all", i + 1 == units);
    Set("drhd" + n + ".iommu", iommu);
    Set("iommu" + n + ".cap", kCap);
    Set("iommu" + n + ".ecap", kEcap);
    Set32("iommu" + n + ".gcmd", 0x86000000);
    Set32("iommu" + n + ".seq_id", i);
    PutText(At("iommu" + n + ".name"), "dmar" + n);
    if (has_reg_phys) Set("iommu" + n + ".reg_phys", kRegisters + 0x1000 * i);
    Set("iommu" + n + ".root_entry", kDirect + kRoot + 0x10000 * i);
    Set("iommu" + n + ".qi", queue);
    if (has_back_pointer) Set("iommu" + n + ".drhd", drhd);
    Put(queue + offsets_.at("q_inval.desc"), kDirect + kQueue);
    if (has_ir_table) Set("iommu" + n + ".ir_table", ir);
    Put(ir, kDirect + kIrTable);
    if (places_.contains("iommu_device_list") && has_iommu_device) {
      const uint64_t device = At("iommu" + n + ".iommu");
      LinkInto(At("iommu_device_list"), device, last);
      Put(device + 16, places_["intel_iommu_ops"]);
    }
  }
}

void MachineScene::BuildBus(const std::string& name, uint64_t list, uint8_t number,
                            std::map<uint64_t, uint64_t>& last) {
  Allocate(name);
  LinkInto(list, At(name + ".node"), last);
  EmptyList(At(name + ".children"));
  EmptyList(At(name + ".devices"));
  Set(name + ".sysdata", At("sysdata"));
  Set(name + ".number", number);
}

void MachineScene::BuildDevices() {
  if (!places_.contains("pci_root_buses")) return;
  std::map<uint64_t, uint64_t> last;
  EmptyList(At("pci_root_buses"));
  Allocate("sysdata");
  Allocate("kset");
  if (places_.contains("iommu_group_kset")) Set("iommu_group_kset", At("kset"));
  EmptyList(At("kset"));
  BuildBus("bus0", At("pci_root_buses"), 0, last);
  BuildBus("bus1", At("bus0.children"), 1, last);
  for (size_t i = 0; i < devices.size(); ++i) {
    const Device& device = devices[i];
    const std::string n = std::to_string(i);
    const std::string pci = "pci" + n;
    Allocate(pci);
    const std::string bus = "bus" + std::to_string(device.bus);
    LinkInto(At(bus + ".devices"), At(pci + ".bus_list"), last);
    Set(pci + ".bus", At(bus));
    Set32(pci + ".devfn", device.devfn);
    Set32(pci + ".vendor", 0x1b36 | 0x0010 << 16);
    Set32(pci + ".class", 0x010802);
    Set32(pci + ".current_state", device.power);
    Set32(pci + ".is_busmaster", device.bus_master);
    Allocate("group" + n);
    Allocate("domain" + n);
    Set32("domain" + n + ".type", static_cast<uint32_t>(device.domain_type));
    if (has_domain_types) {
      Set("group" + n + ".domain", At("domain" + n));
      Set("group" + n + ".default_domain", At("domain" + n));
    }
    Set32("group" + n + ".id", static_cast<uint32_t>(i + 3));
    EmptyList(At("group" + n + ".devices"));
    LinkInto(At("kset"), At("group" + n + ".kobj") + 8, last);
    const uint64_t dev = At(pci + ".dev");
    Put(dev + offsets_.at("device.bus"), At("pci_bus_type"));
    if (has_groups) Put(dev + offsets_.at("device.iommu_group"), At("group" + n));
    AddToGroup("group" + n, dev, last);
    if (device.driver.empty()) continue;
    const std::string driver = "driver" + n;
    Allocate(driver);
    SetWord(driver, "device_driver.name", At(driver) + 0x100);
    PutText(At(driver) + 0x100, device.driver);
    Put(dev + offsets_.at("device.driver"), At(driver));
  }
  if (platform_device) BuildPlatformDevice(last);
}

void MachineScene::AddToGroup(const std::string& group, uint64_t device,
                              std::map<uint64_t, uint64_t>& last) {
  const std::string element = "element" + std::to_string(places_.size());
  const std::string type = has_group_device ? "group_device" : "iommu_device";
  Allocate(element);
  LinkInto(At(group + ".devices"), At(element), last);
  SetWord(element, type + ".dev", device);
}

void MachineScene::BuildPlatformDevice(std::map<uint64_t, uint64_t>& last) {
  Allocate("platform");
  Allocate("info");
  Allocate("holder");
  PutText(At("platform") + 0x100, "INT33C0:00");
  SetWord("platform", "device.kobj", At("platform") + 0x100);
  SetWord("platform", "device.iommu_group", At("group0"));
  SetWord("info", "device_domain_info.dev", At("platform"));
  SetWord("info", "device_domain_info.iommu", At("iommu0"));
  memory_->WriteU32(PhysAddr(Physical(At("info") + offsets_.at("device_domain_info.bus"))), 0x08f0);
  if (has_dev_iommu) {
    SetWord("holder", "dev_iommu.priv", At("info"));
    SetWord("platform", "device.iommu", At("holder"));
  } else {
    SetWord("platform", "device.archdata", At("info"));
  }
  AddToGroup("group0", At("platform"), last);
}

uint64_t MachineScene::BuildResource(const Range& range, const std::string& label) {
  const uint64_t at = Allocate(label);
  Set(label + ".start", range.start);
  Set(label + ".end", range.end);
  Set(label + ".name", at + 0x100);
  PutText(at + 0x100, range.name);
  BuildChildren(range.children, label);
  return at;
}

void MachineScene::BuildChildren(const std::vector<Range>& children, const std::string& parent) {
  std::string link = parent + ".child";
  for (size_t i = 0; i < children.size(); ++i) {
    const std::string label = parent + '_' + static_cast<char>('a' + i);
    Set(link, BuildResource(children[i], label));
    link = label + ".sibling";
  }
}

void MachineScene::BuildResources() {
  if (units == 0) std::erase_if(iomem, [](const Range& r) { return r.name.starts_with("dmar"); });
  if (places_.contains("iomem_resource")) BuildChildren(iomem, "iomem_resource");
}

void MachineScene::BuildLog() {
  RingBuilder ring(8, 16);
  for (const std::string& line : log) ring.Add(line);
  ring.WriteTo(*memory_);
}

void MachineScene::BuildVmcoreinfo() {
  std::string text = fmt::format(
      "OSRELEASE=6.1.0\nBUILD-ID=1cd19df5\nSYMBOL(_stext)={:x}\nSYMBOL(init_top_pgt)={:x}\n"
      "NUMBER(phys_base)={}\nNUMBER(pgtable_l5_enabled)=0\nCRASHTIME=1700000000\n",
      kStext, kTopTable, kPhysBase);
  if (kallsyms_announced) text += kallsyms.Vmcoreinfo();
  for (const auto& [key, value] : RingBuilder::Vmcoreinfo()) text += key + "=" + value + "\n";
  text += vmcoreinfo;
  const auto bytes = AsBytes(text);
  dump.notes.push_back({"VMCOREINFO", 0, {bytes.begin(), bytes.end()}});
}

}  // namespace dmaudit::test
