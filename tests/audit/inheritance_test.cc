// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/inheritance.h"

#include <doctest/doctest.h>

#include "support/legacy_machine.h"

namespace dmaudit {
namespace {

using test::TableBuilder;

// The device maps one page at an IOVA that is no RAM. Both kernels are told intel_iommu=on.
class Scene : public test::LegacyMachine {
 public:
  Scene() : LegacyMachine(0x40000000) {
    machine.units[0].gcmd = {0x82000000, Origin::kKernelShadow, "test"};
    machine.identity.command_line = {"intel_iommu=on", Origin::kKernelObject, "test"};
    machine.crash_image.emplace();
    machine.crash_image->complete = true;
    machine.crash_image->segments.push_back(
        {{PhysAddr(0x11000000), PhysAddr(0x11ffffff)}, 0x1000000, SegmentRole::kUnknown});
    machine.capture.copy_rule = CopyRule::kScalableMode;
    machine.capture.copy_rule_from = "test";
    machine.capture.scalable = {false, Origin::kKernelObject, "test"};
    machine.capture.x2apic = {false, Origin::kKernelObject, "test"};
    machine.capture.no_command_line = "test has none";
  }
  void AddDevice(const std::string& driver, DomainType default_domain = DomainType::kDma) {
    DeviceFacts facts;
    facts.bdf = Bdf{0, 0, 8};
    facts.driver = driver;
    facts.bus_master = true;
    facts.power = PowerState::kD0;
    facts.group = machine.inventory.groups.size();
    IommuGroup group;
    group.domain = group.default_domain = default_domain;
    group.owned = false;
    machine.inventory.groups.push_back(group);
    machine.inventory.devices.push_back(facts);
    machine.inventory.complete = true;
  }
  // The unit is that of the whole segment.
  void CoverBySegment() {
    machine.units[0].register_base = {PhysAddr(0xfed90000), Origin::kKernelObject, "test"};
    machine.scopes.complete = machine.scopes.units_complete = true;
    FirmwareScope scope;
    scope.segment = 0;
    scope.flag = true;
    scope.registers = PhysAddr(0xfed90000);
    machine.scopes.scopes.push_back(scope);
    for (DeviceFacts& device : machine.inventory.devices) device.path = {*device.bdf};
  }
  Inheritance Predict(const Known<std::string>& line) {
    MemorySession session(memory);
    audit = AuditMachine(machine, session, {}, sink);
    return PredictInheritance(audit, {line, std::nullopt, std::nullopt}, session, sink);
  }
  Inheritance Predict(const std::string& line) {
    return Predict(Known<std::string>(line, Origin::kUser, "--capture-cmdline"));
  }

  AuditResult audit;
};

TEST_CASE("copied tables: DMA goes on, and nothing leads anywhere new") {
  Scene scene;
  scene.AddDevice("nvme");
  const Inheritance out = scene.Predict("intel_iommu=on");
  CHECK(out.complete());
  REQUIRE(out.devices.size() == 1);
  CHECK(out.devices[0].dma == std::vector<DmaFate>{DmaFate::kGoesOn});
  CHECK(out.devices[0].driver_note == "whether the capture kernel loads nvme is not known");
  CHECK_FALSE(out.devices[0].driver_blocked);
  REQUIRE(out.reach.size() == 1);
  CHECK_FALSE(out.reach[0]);
}

TEST_CASE("DMA that nothing translated goes on, or is blocked once translation comes on") {
  Scene scene;
  scene.AddDevice("nvme");
  scene.machine.units[0].gcmd = {0, Origin::kKernelShadow, "test"};
  scene.CoverBySegment();
  CHECK(scene.Predict("intel_iommu=off module_blacklist=nvme").devices.empty());
  const Inheritance off = scene.Predict("intel_iommu=off module_blacklist=nvme");
  CHECK(off.complete());
  REQUIRE(off.untranslated.size() == 1);
  CHECK(off.untranslated[0].dma == std::vector<DmaFate>{DmaFate::kGoesOn});
  CHECK(off.untranslated[0].driver_blocked);
  const Inheritance on = scene.Predict("intel_iommu=on iommu=nopt");
  CHECK(on.complete());
  CHECK(on.untranslated.at(0).dma == std::vector<DmaFate>{DmaFate::kBlocked});
  const Inheritance through = scene.Predict("intel_iommu=on iommu=pt");
  CHECK(through.untranslated.at(0).dma == std::vector<DmaFate>{DmaFate::kGoesOn});
  // Which it is without an option no group tells here.
  scene.machine.inventory.groups[0].default_domain.reset();
  const Inheritance open = scene.Predict("intel_iommu=on");
  CHECK(open.untranslated.at(0).dma == std::vector<DmaFate>{DmaFate::kUnknown});
  CHECK_FALSE(open.complete());
}

TEST_CASE("without an IOMMU all DMA goes on") {
  Scene scene;
  scene.AddDevice("nvme");
  scene.machine.units.clear();
  scene.machine.iommu = IommuPresence::kNone;
  const Inheritance out = scene.Predict("intel_iommu=on");
  CHECK(out.untranslated.at(0).dma == std::vector<DmaFate>{DmaFate::kGoesOn});
}

TEST_CASE("a module that the command line blocks") {
  Scene scene;
  scene.AddDevice("xhci_hcd");
  CHECK(scene.Predict("intel_iommu=on module_blacklist=xhci-hcd").devices[0].driver_blocked);
  CHECK_FALSE(scene.Predict("intel_iommu=on module_blacklist=xhci").devices[0].driver_blocked);
}

TEST_CASE("translation off: IOVAs are held against RAM, the reservation and the image") {
  const auto reach = [](uint64_t iova, uint64_t bits = TableBuilder::kReadWrite) {
    Scene scene;
    scene.Map(iova, 0x9000000, bits);
    const Inheritance out = scene.Predict("intel_iommu=off");
    CHECK(out.complete());
    CHECK(out.devices[0].dma == std::vector<DmaFate>{DmaFate::kPhysical});
    REQUIRE(out.reach[0]);
    CHECK(out.reach[0]->all.ranges == 2);
    CHECK(out.reach[0]->complete);
    return *out.reach[0];
  };
  const auto hits = [&reach](uint64_t iova) {
    const UntranslatedReach found = reach(iova);
    return std::vector<uint64_t>{found.ram->ranges, found.crash_kernel->ranges,
                                 found.image->ranges};
  };
  using Hits = std::vector<uint64_t>;
  CHECK(hits(0x5000) == Hits{0, 0, 0});
  CHECK(hits(0x0ffff000) == Hits{1, 0, 0});
  CHECK(hits(0x10000000) == Hits{1, 1, 0});
  CHECK(hits(0x10fff000) == Hits{1, 1, 0});
  CHECK(hits(0x11000000) == Hits{1, 1, 1});
  CHECK(hits(0x11fff000) == Hits{1, 1, 1});
  CHECK(hits(0x12000000) == Hits{1, 1, 0});
  CHECK(hits(0x1ffff000) == Hits{1, 1, 0});
  CHECK(hits(0x20000000) == Hits{1, 0, 0});
  CHECK(hits(0x40001000) == Hits{0, 0, 0});
  const UntranslatedReach read_only = reach(0x11000000, 1);
  CHECK(read_only.image->bytes == 0x1000);
  CHECK(read_only.image->writable_ranges == 0);
  CHECK(read_only.image->writable_bytes == 0);
}

TEST_CASE("a page mapped to its own address leads to no other memory") {
  Scene scene;
  scene.Map(0x11000000, 0x11000000);
  const Inheritance out = scene.Predict("intel_iommu=off");
  CHECK(out.reach[0]->same.ranges == 1);
  CHECK(out.reach[0]->ram->ranges == 0);
  CHECK(out.reach[0]->image->ranges == 0);
}

TEST_CASE("what is not known is not counted as missed") {
  Scene scene;
  scene.machine.system_ram = {};
  scene.machine.crash_image.reset();
  scene.machine.reservations.reset();
  const Inheritance out = scene.Predict("intel_iommu=off");
  CHECK_FALSE(out.reach[0]->ram);
  CHECK_FALSE(out.reach[0]->crash_kernel);
  CHECK_FALSE(out.reach[0]->image);
  CHECK_FALSE(out.complete());
}

TEST_CASE("an unreadable table makes the reach and the prediction incomplete") {
  Scene scene;
  scene.memory.SetPageState(scene.top, ByteState::kExcluded);
  const Inheritance out = scene.Predict("intel_iommu=off");
  CHECK_FALSE(out.reach[0]->complete);
  CHECK_FALSE(out.complete());
}

TEST_CASE("refused tables: blocked after a gap, or physical where pass-through is the default") {
  const auto fate = [](const std::string& line, std::optional<DomainType> default_domain) {
    Scene scene;
    scene.machine.units[0].ecap = {0xf00f4a | uint64_t{1} << 43, Origin::kKernelShadow, "test"};
    if (default_domain) scene.AddDevice("nvme", *default_domain);
    const Inheritance out = scene.Predict(line);
    REQUIRE(out.devices[0].dma.size() == 1);
    CHECK(out.units[0].tables[0].fate == TableFate::kRefused);
    CHECK(out.reach[0].has_value());
    return out.devices[0].dma[0];
  };
  const std::string line = "intel_iommu=on,sm_on";
  CHECK(fate(line, DomainType::kDma) == DmaFate::kGapThenBlocked);
  CHECK(fate(line, DomainType::kIdentity) == DmaFate::kPhysical);
  CHECK(fate(line, std::nullopt) == DmaFate::kGapThenUnknown);
  CHECK(fate(line + " iommu=pt", DomainType::kDma) == DmaFate::kPhysical);
  CHECK(fate(line + " iommu=nopt", DomainType::kIdentity) == DmaFate::kGapThenBlocked);
}

TEST_CASE("identity domains tell the default where all devices were listed, one of tables always") {
  const auto fate = [](DomainType default_domain, bool complete) {
    Scene scene;
    scene.machine.units[0].ecap = {0xf00f4a | uint64_t{1} << 43, Origin::kKernelShadow, "test"};
    scene.AddDevice("nvme", default_domain);
    scene.machine.inventory.complete = complete;
    return scene.Predict("intel_iommu=on,sm_on").devices[0].dma;
  };
  using Fates = std::vector<DmaFate>;
  CHECK(fate(DomainType::kIdentity, true) == Fates{DmaFate::kPhysical});
  CHECK(fate(DomainType::kIdentity, false) == Fates{DmaFate::kGapThenUnknown});
  CHECK(fate(DomainType::kDma, false) == Fates{DmaFate::kGapThenBlocked});
}

TEST_CASE("a device in pass-through does not notice that translation goes off") {
  Scene scene;
  scene.tables.Set(scene.context, 2 << 2 | TableBuilder::kPresent);
  const Inheritance out = scene.Predict("intel_iommu=off");
  REQUIRE(out.devices.size() == 1);
  CHECK(out.devices[0].dma == std::vector<DmaFate>{DmaFate::kGoesOn});
  CHECK_FALSE(out.reach[0]);
}

TEST_CASE("without a command line the prediction is not complete and lists each outcome") {
  Scene scene;
  const Inheritance out = scene.Predict(Known<std::string>());
  CHECK_FALSE(out.complete());
  CHECK(out.units[0].tables.size() == 2);
  CHECK(out.devices[0].dma == std::vector<DmaFate>{DmaFate::kGoesOn, DmaFate::kPhysical});
  CHECK(scene.sink.incomplete("inherit.no-command-line"));
  CHECK(scene.sink.incomplete("inherit.tables-open"));
}

TEST_CASE("a line of the dump without elfcorehdr= is no capture kernel's; the user leaves it out") {
  Scene scene;
  const auto fate = [&scene](const std::string& line) {
    return scene.Predict(Known<std::string>(line, Origin::kKernelObject, "test"))
        .units[0]
        .tables[0]
        .fate;
  };
  CHECK(fate("intel_iommu=on elfcorehdr=1K") == TableFate::kCopied);
  CHECK(fate("intel_iommu=on") == TableFate::kRefused);
  CHECK(fate("intel_iommu=on " + std::string(3000, 'x')) == TableFate::kCopied);  // it is cut
  CHECK(scene.Predict("intel_iommu=on").units[0].tables[0].fate == TableFate::kCopied);
}

TEST_CASE("a line that is longer than a kernel takes is said to be") {
  Scene scene;
  scene.Predict("intel_iommu=on " + std::string(3000, 'x'));
  bool noted = false;
  for (const Diagnostic& diagnostic : scene.sink.diagnostics())
    noted |= diagnostic.id == "inherit.cut";
  CHECK(noted);
}

TEST_CASE("the log's cut copy of the crashed kernel's command line is not relied on") {
  const auto outcomes = [](size_t size) {
    Scene scene;
    scene.machine.identity.command_line = {std::string(size, 'x'), Origin::kLog, "test"};
    scene.machine.capture.driver_off = {false, Origin::kKernelObject, "test"};
    return scene.Predict("quiet").units[0].tables.size();
  };
  CHECK(outcomes(799) == 1);
  CHECK(outcomes(800) == 2);
}

TEST_CASE("a command line that nothing depends on is not missed") {
  Scene scene;
  scene.machine.units.clear();
  scene.machine.iommu = IommuPresence::kNone;
  const Inheritance out = scene.Predict(Known<std::string>());
  CHECK(out.complete());
  bool noted = false;
  for (const Diagnostic& d : scene.sink.diagnostics()) noted |= d.id == "inherit.no-command-line";
  CHECK(noted);
}

TEST_CASE("a default on which the fate of devices depends is missed") {
  Scene scene;
  scene.machine.units[0].ecap = {0xf00f4a | uint64_t{1} << 43, Origin::kKernelShadow, "test"};
  CHECK_FALSE(scene.Predict("intel_iommu=on,sm_on").complete());
  CHECK(scene.sink.incomplete("inherit.default-domain"));
  Scene told;
  told.machine.units[0].ecap = scene.machine.units[0].ecap;
  CHECK(told.Predict("intel_iommu=on,sm_on iommu=nopt").complete());
}

TEST_CASE("no units, no prediction, and no false promise") {
  Scene scene;
  scene.machine.units.clear();
  scene.machine.iommu = IommuPresence::kUnknown;
  const Inheritance out = scene.Predict("intel_iommu=on");
  CHECK(out.units.empty());
  CHECK_FALSE(out.complete());
}

}  // namespace
}  // namespace dmaudit
