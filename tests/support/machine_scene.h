// SPDX-License-Identifier: GPL-2.0-or-later
// A small kernel in a small dump: page tables, kallsyms, BTF, log, one DMAR unit, a resource tree
// and a crash kernel's reservation. Right as it stands; a test turns a knob before Build(), or
// changes one place after it.
#ifndef DMAUDIT_TESTS_SUPPORT_MACHINE_SCENE_H_
#define DMAUDIT_TESTS_SUPPORT_MACHINE_SCENE_H_

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
  bool has_uts_name = true;  // false: no type tells where the names of the system are
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

  MachineScene();

  void Build();

  Result<MachineState> Discover(ReadRecorder* recorder = nullptr,
                                const DiscoveryOptions& options = {});

  // Address of a variable, of an object such as "iommu0", or of a member of one: "iommu0.cap".
  uint64_t At(const std::string& place) const;
  void Set(const std::string& place, uint64_t value) { Put(At(place), value); }
  void Set32(const std::string& place, uint32_t value);
  // Attaches the first device to a domain of id 9 with the top table at `root`, by the driver's own
  // records. `depth` nodes of the xarray are above the entry.
  void Attach(uint64_t root, unsigned levels, unsigned depth = 0);
  // Type and operations of the domain that Attach() made.
  void SetDomain(uint64_t type, uint64_t operations);
  // One more entry of a list of scopes ("rmrr", "atsr", "satc"): two devices 0000:00:01.0 and
  // 0000:02:00.0, and one that does not exist. Its name is `list` and its number.
  void AddScope(const std::string& list, uint64_t first = 0, uint64_t last = 0);
  // One more piece of the loaded crash kernel.
  void AddSegment(uint64_t at, uint64_t size, uint64_t loaded);
  // A member of an object that has no type of its own by name: "type.member".
  void SetWord(const std::string& object, const std::string& member, uint64_t value);
  // The same for a member of one byte.
  void SetByte(const std::string& object, const std::string& member, uint8_t value);
  // "type.member".
  uint64_t OffsetOf(const std::string& member) const { return offsets_.at(member); }
  void SetState(const std::string& place, ByteState state);

  // Before Build: a kernel without the variable.
  void Without(std::string_view variable);
  size_t Count(std::string_view id, Effect effect) const;

  static uint64_t Physical(uint64_t address);
  FakeMemory& memory() { return *memory_; }
  const FakeMemory& memory() const { return *memory_; }
  // Variables and objects by name.
  const std::map<std::string, uint64_t>& places() const { return places_; }
  // A page for one object.
  uint64_t Allocate(const std::string& name);

  Dump dump;
  DiagnosticSink sink;

 private:
  void Put(uint64_t address, uint64_t value);
  void PutText(uint64_t address, std::string_view text);
  // A struct pci_dev that only scopes lead to.
  uint64_t ScopeDevice(uint64_t bus, uint64_t devfn);
  struct Field {
    std::string name;
    uint32_t type;
    uint32_t size;
    bool present = true;
  };
  void Structure(const std::string& name, const std::vector<Field>& fields);
  void BuildTypes();
  void BuildDeviceTypes(uint32_t u32, uint32_t u16, uint32_t u8, uint32_t pointer, uint32_t list);
  void BuildVariables();
  // Appends `node` to the circular list at `head`.
  void LinkInto(uint64_t head, uint64_t node, std::map<uint64_t, uint64_t>& last);
  void BuildUnits();
  void EmptyList(uint64_t head) { Put(head, head); }
  void BuildBus(const std::string& name, uint64_t list, uint8_t number,
                std::map<uint64_t, uint64_t>& last);
  void BuildDevices();
  void AddToGroup(const std::string& group, uint64_t device, std::map<uint64_t, uint64_t>& last);
  void BuildPlatformDevice(std::map<uint64_t, uint64_t>& last);
  uint64_t BuildResource(const Range& range, const std::string& label);
  void BuildChildren(const std::vector<Range>& children, const std::string& parent);
  void BuildResources();
  void BuildLog();
  void BuildVmcoreinfo();

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
