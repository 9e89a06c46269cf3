// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/discover_units.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "support/machine_look.h"

namespace dmaudit {
namespace {

using test::Look;
using test::MachineScene;

// Structures that differ from kernel to kernel.

TEST_CASE("a kernel without reg_phys, segment, copied_tables and ir_table is no damage") {
  Look look([](MachineScene& s) {
    s.has_reg_phys = s.has_segment = s.has_copied_tables = s.has_ir_table = false;
    s.bit_fields = false;
  });
  CHECK(look.diagnostics().empty());
  CHECK(look.unit().register_base.value() == PhysAddr(0xfed90000));
  CHECK_FALSE(look.unit().irta.known());
  CHECK(look.unit().rtaddr.known());
}

TEST_CASE("names of both lengths, and one that fills its member") {
  Look longer([](MachineScene& s) { s.name_length = 16; });
  CHECK(longer.unit().name == "dmar0");
  CHECK(longer.diagnostics().empty());
  Look full([](MachineScene& s) { s.name_length = 5; });
  CHECK(full.unit().name == "dmar0");
}

TEST_CASE("the segment is that of the remapping unit") {
  Look look([](MachineScene& s) { s.has_segment = false; },
            [](MachineScene& s) { s.Set32("drhd0.segment", 0xabcd); });
  CHECK(look.unit().segment == 0xabcd);
}

// Registers.

TEST_CASE("scalable mode needs intel_iommu_sm and the capability") {
  constexpr uint64_t kSmts = uint64_t{1} << 43;
  const auto mode = [](uint64_t ecap, uint32_t sm) {
    Look look([](MachineScene& s) { s.log.clear(); },
              [&](MachineScene& s) {
                s.Set("iommu0.ecap", ecap);
                s.Set32("intel_iommu_sm", sm);
              });
    CHECK(look.diagnostics().empty());
    return look.unit().rtaddr.value() & 0xfff;
  };
  CHECK(mode(MachineScene::kEcap, 1) == 0);
  CHECK(mode(MachineScene::kEcap | kSmts, 0) == 0);
  CHECK(mode(MachineScene::kEcap | kSmts, 1) == 0x400);
}

TEST_CASE("a table mode on which claims of ECAP disagree is not known") {
  constexpr uint64_t kSmts = uint64_t{1} << 43;
  Look look(nullptr, [](MachineScene& s) {
    s.Set("iommu0.ecap", MachineScene::kEcap | kSmts);
    s.Set32("intel_iommu_sm", 1);
  });
  CHECK_FALSE(look.unit().rtaddr.known());
  CHECK(look.scene.Count("kernel.disagree", Effect::kIncomplete) == 1);
}

TEST_CASE("a table mode variable whose symbol is ambiguous is not a kernel without the mode") {
  Look look(
      [](MachineScene& s) {
        s.log.clear();
        s.variables.push_back({"intel_iommu_sm", 4});
      },
      [](MachineScene& s) { s.Set("iommu0.ecap", uint64_t{1} << 43); });
  CHECK_FALSE(look.unit().rtaddr.known());
  CHECK(look.scene.Count("kernel.no-symbol", Effect::kIncomplete) >= 1);
}

TEST_CASE("a queue of a unit with scalable mode is two pages of wide descriptors") {
  Look look([](MachineScene& s) { s.log.clear(); },
            [](MachineScene& s) { s.Set("iommu0.ecap", uint64_t{1} << 43); });
  CHECK(look.unit().iqa.value() == (MachineScene::kQueue | 0x801));
}

TEST_CASE("a mode that cannot be told leaves RTADDR unknown and the audit incomplete") {
  Look look([](MachineScene& s) { s.log.clear(); },
            [](MachineScene& s) {
              s.Set("iommu0.ecap", uint64_t{1} << 43);
              s.SetState("intel_iommu_sm", ByteState::kExcluded);
            });
  CHECK_FALSE(look.unit().rtaddr.known());
  CHECK(look.scene.Count("kernel.unreadable", Effect::kIncomplete) == 1);
}

TEST_CASE("a kernel that has no scalable mode has no variable for it") {
  Look look(
      [](MachineScene& s) {
        s.log.clear();
        std::erase_if(s.variables, [](const auto& v) { return v.name == "intel_iommu_sm"; });
      },
      [](MachineScene& s) { s.Set("iommu0.ecap", uint64_t{1} << 43); });
  CHECK(look.diagnostics().empty());
  CHECK(look.unit().rtaddr.value() == MachineScene::kRoot);
}

TEST_CASE("extended interrupt mode and a page request queue show in their registers") {
  Look look(nullptr, [](MachineScene& s) {
    s.Set32("eim_mode", 1);
    s.Set("iommu0.prq", MachineScene::kDirect + 0xb000000);
  });
  CHECK(look.unit().irta.value() == (MachineScene::kIrTable | 0x80f));
  CHECK(look.unit().pqa.value() == 0xb000004);
}

TEST_CASE("a root table that cannot be found leaves RTADDR unknown") {
  Look null(nullptr, [](MachineScene& s) { s.Set("iommu0.root_entry", 0); });
  CHECK_FALSE(null.unit().rtaddr.known());
  CHECK(null.scene.Count("kernel.no-root-table", Effect::kIncomplete) == 1);
  Look off(nullptr, [](MachineScene& s) {
    s.Set("iommu0.root_entry", 0);
    s.Set32("iommu0.gcmd", 0x06000000);
  });
  CHECK_FALSE(off.unit().rtaddr.known());
  CHECK(off.diagnostics().empty());  // translation is off: there is nothing to hide
  Look wild(nullptr, [](MachineScene& s) { s.Set("iommu0.root_entry", 0x1234); });
  CHECK_FALSE(wild.unit().rtaddr.known());
  CHECK(wild.scene.Count("kernel.unreadable", Effect::kIncomplete) == 1);
}

// Units that are lost in part.

TEST_CASE("a unit whose structure is not in the dump keeps what others say of it") {
  Look look(nullptr, [](MachineScene& s) { s.SetState("iommu0", ByteState::kExcluded); });
  const UnitState& unit = look.unit();
  CHECK(unit.name == "dmar0");
  CHECK(unit.cap.value() == MachineScene::kCap);
  CHECK(unit.cap.chosen().origin == Origin::kLog);
  CHECK(unit.gcmd.value() == 0x80000000);
  CHECK(unit.gcmd.chosen().origin == Origin::kDerived);
  CHECK_FALSE(unit.rtaddr.known());
  CHECK(look.scene.Count("kernel.unreadable", Effect::kIncomplete) == 1);
  CHECK(look.scene.Count("kernel.root-search", Effect::kIncomplete) == 1);  // there is none
  const uint64_t iommu = look.scene.At("iommu0");
  const uint64_t name = look.scene.At("iommu0.name");
  CHECK(look.diagnostics()[0].message ==
        fmt::format("unit at 0xfed90000: struct intel_iommu at {:#x}: intel_iommu.name @ {:#x}: "
                    "kernel address {:#x} (physical {:#x}) is excluded",
                    iommu, name, name, MachineScene::Physical(name)));
}

TEST_CASE("a unit without structure: ignored, or unknown") {
  Look lost(nullptr, [](MachineScene& s) { s.Set("drhd0.iommu", 0); });
  CHECK(lost.scene.Count("kernel.no-iommu", Effect::kIncomplete) == 1);
  Look ignored(nullptr, [](MachineScene& s) {
    s.Set("drhd0.iommu", 0);
    s.Set("drhd0.ignored", 1);  // iommu lies behind it in a word of its own
    s.Set("iommu_device_list", s.At("iommu_device_list"));
  });
  CHECK(ignored.unit().ignored);
  CHECK_FALSE(ignored.unit().gcmd.known());
  CHECK(ignored.diagnostics().empty());
}

TEST_CASE("an ignored unit: the devices of its scope that exist, or not known") {
  const auto ignored = [](uint64_t first, uint64_t second, uint32_t count, uint64_t covers_rest) {
    return Look(nullptr, [=](MachineScene& s) {
      constexpr uint64_t kScope = MachineScene::kSlab + 0x80000;
      s.Set("drhd0.iommu", 0);
      s.Set("drhd0.ignored", 1 | covers_rest << 8);  // include_all is the next byte
      s.Set("drhd0.devices", kScope);
      s.Set32("drhd0.devices_cnt", count);
      s.memory().WriteU64(PhysAddr(MachineScene::Physical(kScope)), first);
      s.memory().WriteU64(PhysAddr(MachineScene::Physical(kScope + 16)), second);
    });
  };
  CHECK(ignored(0, 0, 2, 0).unit().scope_devices.get() == 0);
  CHECK(ignored(0, MachineScene::kSlab, 2, 0).unit().scope_devices.get() == 1);
  CHECK(ignored(0, MachineScene::kSlab, 1, 0).unit().scope_devices.get() == 0);
  CHECK_FALSE(ignored(0, 0, 0xffffffff, 0).unit().scope_devices);
  CHECK_FALSE(ignored(0, 0, 2, 1).unit().scope_devices);
}

TEST_CASE("scopes of ignored units are read up to a limit over all of them") {
  constexpr uint64_t kScope = MachineScene::kSlab + 0x800000;
  constexpr uint32_t kLongest = 65535 / 6;  // entries of a structure whose length has 16 bits
  Look look(
      [](MachineScene& s) {
        s.units = 9;
        s.bit_fields = false;
      },
      [](MachineScene& s) {
        for (uint64_t at = 0; at < kLongest * 16; at += 0x1000) {
          s.memory().AddZeroPage(PhysAddr(MachineScene::Physical(kScope + at)));
        }
        for (unsigned i = 0; i < 9; ++i) {
          const std::string drhd = "drhd" + std::to_string(i);
          s.SetByte(drhd, "dmar_drhd_unit.ignored", 1);
          s.SetByte(drhd, "dmar_drhd_unit.include_all", 0);
          s.Set(drhd + ".devices", kScope);
          s.Set32(drhd + ".devices_cnt", i == 0 ? kLongest + 1 : kLongest);
        }
        s.Set32("drhd7.devices_cnt", 65536 - 6 * kLongest + 1);
        s.Set32("drhd8.devices_cnt", 65536 - 6 * kLongest);
      });
  REQUIRE(look.state.units.size() == 9);
  for (size_t i = 0; i < 9; ++i) {
    CAPTURE(i);
    CHECK(look.state.units[i].scope_devices.known() == (i != 0 && i != 7));
  }
}

TEST_CASE("sources that disagree are said to, and the strongest is kept") {
  Look look([](MachineScene& s) {
    s.log = {"DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c22260207 ecap f00f4a"};
  });
  CHECK(look.unit().cap.value() == MachineScene::kCap);
  CHECK(look.unit().cap.disagrees());
  CHECK(look.scene.Count("kernel.disagree", Effect::kNote) == 1);
  Look base(nullptr, [](MachineScene& s) { s.Set("iommu0.reg_phys", 0xfed91000); });
  CHECK(base.scene.Count("kernel.disagree", Effect::kNote) == 1);
  Look number(nullptr, [](MachineScene& s) { s.Set32("iommu0.seq_id", 7); });
  CHECK(number.scene.Count("kernel.disagree", Effect::kNote) == 1);
  Look back(nullptr, [](MachineScene& s) { s.Set("iommu0.drhd", MachineScene::kSlab); });
  CHECK(back.scene.Count("kernel.disagree", Effect::kNote) == 1);
}

TEST_CASE("a host address width that the machine's memory does not fit into is not used") {
  const auto width = [](const char* line) {
    return Look([line](MachineScene& s) {
      s.log[0] = line;
      s.iomem.push_back({"System RAM", 0x100000000, 0x13fffffff, {}});
      std::swap(s.iomem[2], s.iomem[3]);
    });
  };
  const Look forged = width("DMAR: Host address width 32");
  CHECK_FALSE(forged.state.units[0].host_address_width.known());
  CHECK(forged.scene.Count("kernel.disagree", Effect::kNote) == 1);
  CHECK(width("DMAR: Host address width 33").state.units[0].host_address_width.known());
}

TEST_CASE("tables inherited from the kernel before are said to be") {
  Look look(nullptr, [](MachineScene& s) { s.Set("iommu0.copied_tables", MachineScene::kSlab); });
  CHECK(look.scene.Count("kernel.inherited-tables", Effect::kNote) == 1);
  Look flags(nullptr, [](MachineScene& s) { s.Set32("iommu0.flags", 1); });
  CHECK(flags.scene.Count("kernel.inherited-tables", Effect::kNote) == 1);
}

TEST_CASE("units come in the order of their numbers, and a broken list keeps those before it") {
  Look three([](MachineScene& s) { s.units = 3; });
  REQUIRE(three.state.units.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(three.state.units[i].name == fmt::format("dmar{}", i));
  Look circle([](MachineScene& s) { s.units = 3; },
              [](MachineScene& s) { s.Set("drhd2.list", s.At("drhd1.list")); });
  CHECK(circle.state.units.size() == 3);
  CHECK(circle.scene.Count("kernel.damaged", Effect::kIncomplete) == 1);
  Look hole([](MachineScene& s) { s.units = 3; },
            [](MachineScene& s) { s.Set("drhd1.list", 0xdead000000000100); });
  CHECK(hole.scene.Count("kernel.unreadable", Effect::kIncomplete) != 0);
}

}  // namespace
}  // namespace dmaudit
