// SPDX-License-Identifier: GPL-2.0-or-later
// A small kernel in a small dump: page tables, kallsyms, BTF, log, one DMAR unit, a resource tree
// and a crash kernel's reservation. Right as it stands; a test turns a knob before Build(), or
// changes one place after it.
#ifndef DMAUDIT_TESTS_SUPPORT_MACHINE_SCENE_H_
#define DMAUDIT_TESTS_SUPPORT_MACHINE_SCENE_H_

#include <fmt/format.h>

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernel/machine.h"
#include "support/btf_builder.h"
#include "support/fake_memory.h"
#include "support/kallsyms_builder.h"
#include "support/log_builder.h"
#include "support/page_table_builder.h"

namespace dmaudit::test {

class MachineScene {
 public:
  static constexpr uint64_t kImage = 0xffffffff80000000;
  static constexpr uint64_t kDirect = LinearKernelReader::kVirtual;
  static constexpr uint64_t kPhysBase = 0x4000000;
  static constexpr uint64_t kTopTable = kImage + 0x600000;
  static constexpr uint64_t kStext = kImage + 0x1000000;
  static constexpr uint64_t kTables = kImage + 0x2000000;
  static constexpr uint64_t kBtf = kImage + 0x2800000;
  static constexpr uint64_t kData = kImage + 0x3000000;
  static constexpr uint64_t kSlab = kDirect + 0x9000000;
  static constexpr uint64_t kRoot = 0xa000000;   // physical
  static constexpr uint64_t kQueue = 0xa001000;  // physical
  static constexpr uint64_t kIrTable = 0xa002000;
  static constexpr uint64_t kCap = 0xd2008c22260206;
  static constexpr uint64_t kEcap = 0xf00f4a;
  static constexpr uint64_t kRegisters = 0xfed90000;

  struct Variable {
    std::string name;
    uint64_t size;
  };
  struct Range {
    std::string name;
    uint64_t start, end;
    std::vector<Range> children;
  };
  // A PCI function on bus 0, or on bus 1 behind it; each has an IOMMU group of its own.
  struct Device {
    uint8_t bus, devfn;
    std::string driver;  // empty: none
    uint64_t domain_type = 11;
    bool bus_master = true;
    uint32_t power = 0;
  };

  // Knobs.
  bool has_reg_phys = true;
  bool has_segment = true;
  bool has_copied_tables = true;
  bool has_ir_table = true;
  bool bit_fields = true;        // false: ignored is a byte of its own
  bool has_group_device = true;  // false: the element of a group's list is struct iommu_device
  bool has_dev_iommu = true;     // false: archdata.iommu leads to the driver's data
  bool has_archdata = false;     // true: so it does, beside a struct dev_iommu that is no use
  bool has_info_segment = true;  // of the driver's data, where has_segment
  bool has_iommu_device = true;  // false: as before 4.12, units are registered nowhere
  bool has_flags = true;         // false: as before 4.2
  bool has_back_pointer = true;  // false: intel_iommu.drhd is not there, as before 5.10
  bool has_page_requests = true;
  bool has_services = true;         // false: no bits for ATS, PRI and PASID in pci_dev
  bool has_all_services = true;     // false: a bit for ATS alone, as before 4.11
  bool has_driver_services = true;  // false: no such bits in the driver's data, as before 4.1
  bool has_groups = true;           // false: as before 3.6
  bool has_domain_types = true;     // false: groups have no domains, as before 4.1
  bool pgd_in_union = false;        // true: a domain's table is in a structure of a union (6.9)
  uint32_t units_supported = 16;    // elements of dmar_domain.iommu_did
  bool has_group_owner = true;      // false: as before 5.19
  std::vector<Device> devices = {{0, 0x08, "nvme"}};
  // How a domain keeps its ids: one for all units, an array by unit, an xarray by unit.
  enum class DomainIds { kOne, kArray, kXarray } domain_ids = DomainIds::kXarray;
  bool generic_page_tables = false;   // true: domains keep their tables as 6.19 and later do
  bool has_first_stage_flag = false;  // true: as from 6.3 to 6.18
  bool has_pasid_domains = true;      // false: as before 6.3
  bool has_attach_handles = true;     // false: as before 6.11
  bool info_of_pci_dev = false;    // true: the driver's data points to a struct pci_dev (to 3.15)
  bool scopes_of_pci_dev = false;  // true: scopes are arrays of struct pci_dev * (to 3.14)
  // A device that is not PCI, attached under 0000:f0:01.0, in the group of the first device.
  bool platform_device = false;
  uint32_t name_length = 13;
  unsigned units = 1;
  std::vector<Variable> variables = {
      {"dmar_drhd_units", 16}, {"iommu_device_list", 16}, {"intel_iommu_enabled", 4},
      {"intel_iommu_sm", 4},   {"eim_mode", 4},           {"intel_iommu_ops", 64},
      {"crashk_res", 64},      {"crashk_low_res", 64},    {"kexec_crash_image", 8},
      {"iomem_resource", 64},  {"saved_command_line", 8}, {"pci_root_buses", 16},
      {"pci_bus_type", 64},    {"dmar_rmrr_units", 16},   {"dmar_atsr_units", 16},
      {"dmar_satc_units", 16}, {"iommu_group_kset", 8}};
  std::vector<Range> iomem = {
      {"System RAM", 0x1000, 0x9ffff, {}},
      {"System RAM",
       0x100000,
       0x3fffffff,
       {{"Kernel code", 0x5000000, 0x5ffffff, {}}, {"Crash kernel", 0x20000000, 0x2fffffff, {}}}},
      {"dmar0", kRegisters, kRegisters + 0xfff, {}}};
  std::vector<PhysRange> ram = {{PhysAddr(0x1000), PhysAddr(0x9ffff)},
                                {PhysAddr(0x100000), PhysAddr(0x1fffffff)},
                                {PhysAddr(0x30000000), PhysAddr(0x3fffffff)}};
  std::vector<std::string> log = {
      "DMAR: Host address width 39",
      "DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c22260206 ecap f00f4a"};
  std::string vmcoreinfo;          // more lines
  bool kallsyms_announced = true;  // false: as before 6.0, in order and not in VMCOREINFO
  bool bounds_of_types = true;     // false: no symbols around the types
  uint64_t bounds_off = 0;         // so far the symbols lie from the types
  KallsymsBuilder kallsyms;

  MachineScene() {
    auto owned = std::make_unique<FakeMemory>();
    memory_ = owned.get();
    dump.memory = std::move(owned);
    dump.info.machine = "x86_64";
    dump.info.release = "6.1.0";
  }

  void Build() {
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

  Result<MachineState> Discover(ReadRecorder* recorder = nullptr,
                                const DiscoveryOptions& options = {}) {
    MemorySession session(*memory_, recorder);
    return DiscoverMachine(dump, session, sink, options);
  }

  // Address of a variable, of an object such as "iommu0", or of a member of one: "iommu0.cap".
  uint64_t At(const std::string& place) const {
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
  void Set(const std::string& place, uint64_t value) { Put(At(place), value); }
  void Set32(const std::string& place, uint32_t value) {
    memory_->WriteU32(PhysAddr(Physical(At(place))), value);
  }
  // Attaches the first device to a domain of id 9 with the top table at `root`, by the driver's own
  // records. `depth` nodes of the xarray are above the entry.
  void Attach(uint64_t root, unsigned levels, unsigned depth = 0) {
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
  // Type and operations of the domain that Attach() made.
  void SetDomain(uint64_t type, uint64_t operations) {
    const uint64_t at =
        At("own") + offsets_.at(generic_page_tables ? "dmar_domain." : "dmar_domain.domain");
    Put(at + offsets_.at("iommu_domain.type"), type);
    Put(at + offsets_.at("iommu_domain.ops"), operations);
  }
  // One more entry of a list of scopes ("rmrr", "atsr", "satc"): two devices 0000:00:01.0 and
  // 0000:02:00.0, and one that does not exist. Its name is `list` and its number.
  void AddScope(const std::string& list, uint64_t first = 0, uint64_t last = 0) {
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
  // One more piece of the loaded crash kernel.
  void AddSegment(uint64_t at, uint64_t size, uint64_t loaded) {
    const uint64_t segment = At("kimage") + offsets_.at("kimage.segment") + 32 * segments_;
    Put(segment + offsets_.at("kexec_segment.bufsz"), loaded);
    Put(segment + offsets_.at("kexec_segment.mem"), at);
    Put(segment + offsets_.at("kexec_segment.memsz"), size);
    SetWord("kimage", "kimage.nr_segments", ++segments_);
  }
  // A member of an object that has no type of its own by name: "type.member".
  void SetWord(const std::string& object, const std::string& member, uint64_t value) {
    Put(At(object) + offsets_.at(member), value);
  }
  // The same for a member of one byte.
  void SetByte(const std::string& object, const std::string& member, uint8_t value) {
    const uint64_t at = At(object) + offsets_.at(member);
    memory_->Write(PhysAddr(Physical(at)), std::as_bytes(std::span(&value, 1)));
  }
  // "type.member".
  uint64_t OffsetOf(const std::string& member) const { return offsets_.at(member); }
  void SetState(const std::string& place, ByteState state) {
    memory_->SetPageState(PhysAddr(Physical(At(place))), state);
  }

  // Before Build: a kernel without the variable.
  void Without(std::string_view variable) {
    std::erase_if(variables, [variable](const Variable& v) { return v.name == variable; });
  }
  size_t Count(std::string_view id, Effect effect) const {
    size_t count = 0;
    for (const Diagnostic& d : sink.diagnostics()) count += d.id == id && d.effect == effect;
    return count;
  }

  static uint64_t Physical(uint64_t address) {
    return address >= kImage ? address - kImage + kPhysBase : address - kDirect;
  }
  FakeMemory& memory() { return *memory_; }
  const FakeMemory& memory() const { return *memory_; }
  // Variables and objects by name.
  const std::map<std::string, uint64_t>& places() const { return places_; }
  // A page for one object.
  uint64_t Allocate(const std::string& name) {
    const uint64_t address = kSlab + 0x1000 * places_.size();
    memory_->AddZeroPage(PhysAddr(Physical(address)));
    places_[name] = address;
    return address;
  }

  Dump dump;
  DiagnosticSink sink;

 private:
  void Put(uint64_t address, uint64_t value) {
    memory_->WriteU64(PhysAddr(Physical(address)), value);
  }
  void PutText(uint64_t address, std::string_view text) {
    memory_->Write(PhysAddr(Physical(address)), AsBytes(std::string(text) + '\0'));
  }
  // A struct pci_dev that only scopes lead to.
  uint64_t ScopeDevice(uint64_t bus, uint64_t devfn) {
    const std::string name = fmt::format("scope-device{}", places_.size());
    const uint64_t device = Allocate(name);
    const uint64_t its_bus = Allocate(name + "-bus");
    SetWord(name + "-bus", "pci_bus.number", bus);
    SetWord(name, "pci_dev.bus", its_bus);
    SetWord(name, "pci_dev.devfn", devfn);
    return device;
  }
  struct Field {
    std::string name;
    uint32_t type;
    uint32_t size;
    bool present = true;
  };
  void Structure(const std::string& name, const std::vector<Field>& fields) {
    std::vector<BtfBuilder::Member> members;
    uint32_t offset = 0;
    for (const Field& field : fields) {
      if (!field.present) continue;
      const uint32_t align = field.size >= 8 && field.name != "name" ? 8 : 1;
      offset = (offset + align - 1) / align * align;
      if (field.size == 0) {
        members.push_back({field.name, field.type, offset * 8, 1});
        offsets_[name + "." + field.name] = offset++;
      } else {
        members.push_back({field.name, field.type, offset * 8});
        offsets_[name + "." + field.name] = offset;
        offset += field.size;
      }
    }
    btf_.Struct(name, (offset + 7) / 8 * 8, members);
  }
  void BuildTypes() {
    const uint32_t u64 = btf_.Int("u64", 8);
    const uint32_t u32 = btf_.Int("u32", 4);
    const uint32_t u16 = btf_.Int("u16", 2);
    const uint32_t u8 = btf_.Int("u8", 1);
    const uint32_t pointer = btf_.Pointer(0);
    const uint32_t list =
        btf_.Struct("list_head", 16, {{"next", pointer, 0}, {"prev", pointer, 64}});
    Structure("dmar_drhd_unit", {{"list", list, 16},
                                 {"reg_base_addr", u64, 8},
                                 {"segment", u16, 2},
                                 {"ignored", u8, bit_fields ? 0u : 1u},
                                 {"include_all", u8, 1},
                                 {"devices", pointer, 8},
                                 {"devices_cnt", u32, 4},
                                 {"iommu", pointer, 8}});
    for (const char* name : {"dmar_rmrr_unit", "dmar_atsr_unit", "dmar_satc_unit"}) {
      Structure(name, {{"list", list, 16},
                       {"hdr", pointer, 8},
                       {"base_address", u64, 8},
                       {"end_address", u64, 8},
                       {"devices", pointer, 8},
                       {"devices_cnt", u32, 4},
                       {"include_all", u8, 1},
                       {"atc_required", u8, 1}});
    }
    for (const char* name : {"acpi_dmar_reserved_memory", "acpi_dmar_atsr", "acpi_dmar_satc"}) {
      Structure(name, {{"header", u32, 4}, {"reserved", u16, 2}, {"segment", u16, 2}});
    }
    if (!scopes_of_pci_dev) {
      Structure("dmar_dev_scope", {{"dev", pointer, 8}, {"bus", u8, 1}, {"devfn", u8, 1}});
    }
    const uint32_t device = btf_.next_id();
    Structure("iommu_device", {{"list", list, 16}, {"ops", pointer, 8}, {"dev", pointer, 8}});
    Structure("intel_iommu", {{"reg", pointer, 8},
                              {"reg_phys", u64, 8, has_reg_phys},
                              {"reg_size", u64, 8, has_reg_phys},
                              {"cap", u64, 8},
                              {"ecap", u64, 8},
                              {"gcmd", u32, 4},
                              {"seq_id", u32, 4},
                              {"segment", u16, 2, has_segment},
                              {"name", btf_.Array(u8, name_length), name_length},
                              {"copied_tables", pointer, 8, has_copied_tables},
                              {"root_entry", pointer, 8},
                              {"prq", pointer, 8, has_page_requests},
                              {"qi", pointer, 8},
                              {"ir_table", pointer, 8, has_ir_table},
                              {"iommu", device, 32, has_iommu_device},
                              {"flags", u32, 4, has_flags},
                              {"drhd", pointer, 8, has_back_pointer}});
    Structure("q_inval", {{"q_lock", u32, 4}, {"desc", pointer, 8}});
    Structure("ir_table", {{"base", pointer, 8}});
    Structure("resource", {{"start", u64, 8},
                           {"end", u64, 8},
                           {"name", pointer, 8},
                           {"flags", u64, 8},
                           {"desc", u64, 8},
                           {"parent", pointer, 8},
                           {"sibling", pointer, 8},
                           {"child", pointer, 8}});
    Structure("range", {{"start", u64, 8}, {"end", u64, 8}});
    BuildDeviceTypes(u32, u16, u8, pointer, list);
    const uint32_t segment = btf_.next_id();
    Structure("kexec_segment",
              {{"buf", pointer, 8}, {"bufsz", u64, 8}, {"mem", u64, 8}, {"memsz", u64, 8}});
    Structure("kimage", {{"start", u64, 8},
                         {"nr_segments", u64, 8},
                         {"segment", btf_.Array(segment, 16), 16 * 32},
                         {"file_mode", u8, 1},
                         {"kernel_buf_len", u64, 8},
                         {"initrd_buf_len", u64, 8},
                         {"elf_load_addr", u64, 8}});
    Structure("task_struct", {{"state", u64, 8}});
    const std::vector<std::byte> blob = btf_.Build();
    memory_->Write(PhysAddr(Physical(kBtf)), blob);
    places_["__start_BTF"] = kBtf;
    places_["__stop_BTF"] = kBtf + blob.size();
  }
  void BuildDeviceTypes(uint32_t u32, uint32_t u16, uint32_t u8, uint32_t pointer, uint32_t list) {
    const uint32_t kobject = btf_.next_id();
    Structure("kobject", {{"name", pointer, 8}, {"entry", list, 16}});
    Structure("kset", {{"list", list, 16}});
    const uint32_t archdata = btf_.next_id();
    Structure("dev_archdata", {{"iommu", pointer, 8}});
    const uint32_t device = btf_.next_id();
    Structure("device", {{"kobj", kobject, 24},
                         {"init_name", pointer, 8},
                         {"bus", pointer, 8},
                         {"driver", pointer, 8},
                         {"archdata", archdata, 8, !has_dev_iommu || has_archdata},
                         {"iommu_group", pointer, 8, has_groups},
                         {"iommu", pointer, 8, has_dev_iommu}});
    Structure("pci_bus", {{"node", list, 16},
                          {"children", list, 16},
                          {"devices", list, 16},
                          {"sysdata", pointer, 8},
                          {"self", pointer, 8},
                          {"number", u8, 1}});
    Structure("pci_sysdata", {{"domain", u32, 4}, {"node", u32, 4}});
    const uint32_t pci_dev = btf_.next_id();
    Structure("pci_dev", {{"bus_list", list, 16},
                          {"bus", pointer, 8},
                          {"devfn", u32, 4},
                          {"vendor", u16, 2},
                          {"device", u16, 2},
                          {"class", u32, 4},
                          {"hdr_type", u8, 1},
                          {"current_state", u32, 4},
                          {"is_busmaster", u8, 1},
                          {"ats_enabled", u8, 1, has_services},
                          {"pri_enabled", u8, 1, has_services && has_all_services},
                          {"pasid_enabled", u8, 1, has_services && has_all_services},
                          {"is_virtfn", u8, 1},
                          {"physfn", pointer, 8},
                          {"dev", device, 72}});
    Structure("device_driver", {{"name", pointer, 8}, {"bus", pointer, 8}});
    const uint32_t xarray = btf_.next_id();
    Structure("xarray", {{"xa_flags", u32, 4}, {"xa_head", pointer, 8}});
    Structure("iommu_group", {{"kobj", kobject, 24},
                              {"devices", list, 16},
                              {"id", u32, 4},
                              {"default_domain", pointer, 8, has_domain_types},
                              {"blocking_domain", pointer, 8, has_group_owner},
                              {"domain", pointer, 8, has_domain_types},
                              {"pasid_array", xarray, 16, has_pasid_domains},
                              {"owner", pointer, 8, has_group_owner}});
    if (has_attach_handles) Structure("iommu_attach_handle", {{"domain", pointer, 8}});
    if (has_group_device) Structure("group_device", {{"list", list, 16}, {"dev", pointer, 8}});
    const uint32_t domain = btf_.next_id();
    Structure("iommu_domain", {{"type", u32, 4}, {"ops", pointer, 8}});
    Structure("dev_iommu", {{"priv", pointer, 8}});
    Structure("xa_node", {{"shift", u8, 1}, {"slots", btf_.Array(pointer, 64), 64 * 8}});
    Structure("iommu_domain_info", {{"iommu", pointer, 8}, {"did", u16, 2}});
    // The tables of either stage, at the same place.
    const uint32_t common =
        btf_.Struct("pt_common", 8, {{"top_of_table", btf_.Int("uintptr_t", 8), 0}});
    const uint32_t first = btf_.Struct("pt_x86_64", 8, {{"common", common, 0}});
    const uint32_t second = btf_.Struct("pt_vtdss", 8, {{"common", common, 0}});
    const uint32_t fspt =
        btf_.Struct("pt_iommu_x86_64", 24, {{"iommu", domain, 0}, {"x86_64_pt", first, 128}});
    const uint32_t sspt =
        btf_.Struct("pt_iommu_vtdss", 24, {{"iommu", domain, 0}, {"vtdss_pt", second, 128}});
    const uint32_t either = btf_.Struct(
        "", 24, {{"domain", domain, 0}, {"fspt", fspt, 0}, {"sspt", sspt, 0}}, BtfKind::kUnion);
    // The tables of a domain that is not of a process, beside what those of others keep there.
    const uint32_t own = btf_.Struct("", 16, {{"pgd", pointer, 0}, {"agaw", u32, 64}});
    const uint32_t notifier = btf_.Struct("mmu_notifier", 16, {{"hlist", list, 0}});
    const uint32_t kinds =
        btf_.Struct("", 16, {{"", own, 0}, {"notifier", notifier, 0}}, BtfKind::kUnion);
    const bool plain = !generic_page_tables && !pgd_in_union;
    Structure("dmar_domain", {{"", pgd_in_union ? kinds : either, pgd_in_union ? 16U : 24U, !plain},
                              {"pgd", pointer, 8, plain},
                              {"agaw", u32, 4, plain},
                              {"id", u32, 4, domain_ids == DomainIds::kOne},
                              {"flags", u32, 4, domain_ids == DomainIds::kOne},
                              {"use_first_level", u8, 1, has_first_stage_flag},
                              {"iommu_did", btf_.Array(u16, units_supported), units_supported * 2,
                               domain_ids == DomainIds::kArray},
                              {"iommu_array", xarray, 16, domain_ids == DomainIds::kXarray},
                              {"domain", domain, 16, !generic_page_tables}});
    Structure("device_domain_info", {{"link", list, 16},
                                     {"segment", u32, 4, has_segment && has_info_segment},
                                     {"bus", u8, 1},
                                     {"devfn", u8, 1},
                                     {"ats_enabled", u8, 1, has_driver_services},
                                     {"pri_enabled", u8, 1, has_driver_services},
                                     {"pasid_enabled", u8, 1, has_driver_services},
                                     {"dev", btf_.Pointer(info_of_pci_dev ? pci_dev : device), 8},
                                     {"iommu", pointer, 8},
                                     {"domain", pointer, 8}});
  }
  void BuildVariables() {
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
  // Appends `node` to the circular list at `head`.
  void LinkInto(uint64_t head, uint64_t node, std::map<uint64_t, uint64_t>& last) {
    const uint64_t before = last.contains(head) ? last[head] : head;
    Put(before, node);
    Put(node, head);
    last[head] = node;
  }
  void BuildUnits() {
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
  void EmptyList(uint64_t head) { Put(head, head); }
  void BuildBus(const std::string& name, uint64_t list, uint8_t number,
                std::map<uint64_t, uint64_t>& last) {
    Allocate(name);
    LinkInto(list, At(name + ".node"), last);
    EmptyList(At(name + ".children"));
    EmptyList(At(name + ".devices"));
    Set(name + ".sysdata", At("sysdata"));
    Set(name + ".number", number);
  }
  void BuildDevices() {
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
  void AddToGroup(const std::string& group, uint64_t device, std::map<uint64_t, uint64_t>& last) {
    const std::string element = "element" + std::to_string(places_.size());
    const std::string type = has_group_device ? "group_device" : "iommu_device";
    Allocate(element);
    LinkInto(At(group + ".devices"), At(element), last);
    SetWord(element, type + ".dev", device);
  }
  void BuildPlatformDevice(std::map<uint64_t, uint64_t>& last) {
    Allocate("platform");
    Allocate("info");
    Allocate("holder");
    PutText(At("platform") + 0x100, "INT33C0:00");
    SetWord("platform", "device.kobj", At("platform") + 0x100);
    SetWord("platform", "device.iommu_group", At("group0"));
    SetWord("info", "device_domain_info.dev", At("platform"));
    SetWord("info", "device_domain_info.iommu", At("iommu0"));
    memory_->WriteU32(PhysAddr(Physical(At("info") + offsets_.at("device_domain_info.bus"))),
                      0x08f0);
    if (has_dev_iommu) {
      SetWord("holder", "dev_iommu.priv", At("info"));
      SetWord("platform", "device.iommu", At("holder"));
    } else {
      SetWord("platform", "device.archdata", At("info"));
    }
    AddToGroup("group0", At("platform"), last);
  }
  uint64_t BuildResource(const Range& range, const std::string& label) {
    const uint64_t at = Allocate(label);
    Set(label + ".start", range.start);
    Set(label + ".end", range.end);
    Set(label + ".name", at + 0x100);
    PutText(at + 0x100, range.name);
    BuildChildren(range.children, label);
    return at;
  }
  void BuildChildren(const std::vector<Range>& children, const std::string& parent) {
    std::string link = parent + ".child";
    for (size_t i = 0; i < children.size(); ++i) {
      const std::string label = parent + '_' + static_cast<char>('a' + i);
      Set(link, BuildResource(children[i], label));
      link = label + ".sibling";
    }
  }
  void BuildResources() {
    if (units == 0) std::erase_if(iomem, [](const Range& r) { return r.name.starts_with("dmar"); });
    if (places_.contains("iomem_resource")) BuildChildren(iomem, "iomem_resource");
  }
  void BuildLog() {
    RingBuilder ring(8, 16);
    for (const std::string& line : log) ring.Add(line);
    ring.WriteTo(*memory_);
  }
  void BuildVmcoreinfo() {
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

  FakeMemory* memory_;
  BtfBuilder btf_;
  uint64_t segments_ = 0;  // of the crash kernel
  unsigned scopes_ = 0;
  std::map<uint64_t, uint64_t> scope_tails_;
  std::map<std::string, uint64_t> places_;   // variables and objects
  std::map<std::string, uint64_t> offsets_;  // "type.member" -> bytes
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_MACHINE_SCENE_H_
