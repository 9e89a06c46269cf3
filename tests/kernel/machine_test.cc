// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/machine.h"

#include <doctest/doctest.h>

#include "support/machine_look.h"

namespace dmaudit {
namespace {

using test::Look;
using test::MachineScene;

TEST_CASE("a whole kernel is read without a diagnostic") {
  Look look;
  for (const Diagnostic& d : look.diagnostics()) CHECK_MESSAGE(false, d.id << ": " << d.message);
  const KernelIdentity& who = look.state.identity;
  CHECK(who.release.value() == "6.1.0");
  CHECK(who.build_id.value() == "1cd19df5");
  CHECK(who.command_line.value() == "root=/dev/vda intel_iommu=on");
  CHECK(who.crash_time == 1700000000);
  CHECK(who.symbols_from == "kallsyms (VMCOREINFO)");
  CHECK(who.types_from == "BTF (__start_BTF)");
  CHECK_FALSE(who.two_kernels);
  CHECK(look.state.iommu == IommuPresence::kIntel);
  CHECK(look.state.iommu_evidence == "dmar_drhd_units lists 1 unit");

  const UnitState& unit = look.unit();
  CHECK(unit.name == "dmar0");
  CHECK(unit.segment == 0);
  CHECK_FALSE(unit.ignored);
  CHECK(unit.register_base.value() == PhysAddr(0xfed90000));
  CHECK(unit.register_base.claims().size() == 3);
  CHECK_FALSE(unit.register_base.disagrees());
  CHECK(unit.cap.value() == MachineScene::kCap);
  CHECK(unit.cap.chosen().origin == Origin::kKernelShadow);
  CHECK(unit.cap.chosen().place ==
        fmt::format("intel_iommu.cap @ {:#x}", look.scene.At("iommu0.cap")));
  CHECK(unit.ecap.value() == MachineScene::kEcap);
  CHECK(unit.gcmd.value() == 0x86000000);
  CHECK(unit.rtaddr.value() == MachineScene::kRoot);
  CHECK(unit.rtaddr.chosen().origin == Origin::kDerived);
  CHECK(unit.iqa.value() == MachineScene::kQueue);
  CHECK(unit.irta.value() == (MachineScene::kIrTable | 0xf));
  CHECK_FALSE(unit.pqa.known());
  CHECK(unit.version.value() == 0x10);
  CHECK(unit.host_address_width.value() == 39);

  REQUIRE(look.state.reservations);
  REQUIRE(look.state.reservations->size() == 1);
  const Reservation& reservation = look.state.reservations->front();
  CHECK(reservation.kind == ReservationKind::kHigh);
  CHECK(reservation.range.value() == PhysRange{PhysAddr(0x20000000), PhysAddr(0x2fffffff)});
  CHECK(reservation.range.claims().size() == 3);  // variable, tree, gap of the dump
  CHECK_FALSE(reservation.range.disagrees());
  CHECK(look.state.crash_kernel_loaded.value());
  CHECK(look.state.system_ram.value() ==
        std::vector<PhysRange>{{PhysAddr(0x1000), PhysAddr(0x9ffff)},
                               {PhysAddr(0x100000), PhysAddr(0x3fffffff)}});
}

TEST_CASE("a kernel that announces neither symbols nor types is read the same way") {
  const Look announced;
  const Look found([](MachineScene& s) { s.kallsyms_announced = s.bounds_of_types = false; });
  for (const Diagnostic& d : found.diagnostics()) CHECK_MESSAGE(false, d.id << ": " << d.message);
  CHECK(found.state.identity.symbols_from == "kallsyms (found by signature)");
  CHECK(found.state.identity.types_from == "BTF (found by its header)");
  CHECK(found.unit().cap.value() == announced.unit().cap.value());
  CHECK(found.unit().rtaddr.value() == announced.unit().rtaddr.value());
  CHECK(found.state.reservations->front().range.value() ==
        announced.state.reservations->front().range.value());
  CHECK(found.state.system_ram.value() == announced.state.system_ram.value());
}

TEST_CASE("announced tables that are damaged do not keep others from being found") {
  const Look look([](MachineScene& s) {
    s.kallsyms_announced = false;
    s.vmcoreinfo =
        "SYMBOL(kallsyms_names)=ffffffff82000000\nSYMBOL(kallsyms_num_syms)=ffffffff82fff000\n"
        "SYMBOL(kallsyms_token_table)=ffffffff82000000\n"
        "SYMBOL(kallsyms_token_index)=ffffffff82000000\nSYMBOL(kallsyms_offsets)="
        "ffffffff82000000\n";
  });
  CHECK(look.state.identity.symbols_from == "kallsyms (found by signature)");
  CHECK(look.scene.Count("kernel.kallsyms", Effect::kNote) == 1);
  CHECK_FALSE(look.scene.sink.incomplete());
}

TEST_CASE("types that are not where symbols say do not keep others from being found") {
  const Look look([](MachineScene& s) { s.bounds_off = 4096; });
  CHECK(look.state.identity.types_from == "BTF (found by its header)");
  CHECK(look.scene.Count("kernel.btf", Effect::kNote) == 1);
  CHECK_FALSE(look.scene.sink.incomplete());
}

TEST_CASE("what firmware reserves is what the resource tree calls so, in either spelling") {
  const Look look([](MachineScene& s) {
    s.iomem.push_back({"Reserved", 0x7f000000, 0x7f000fff, {}});
    s.iomem.push_back({"reserved", 0x7f001000, 0x7f001fff, {}});
    s.iomem.push_back({"ACPI Tables", 0x7f002000, 0x7f002fff, {}});
    s.iomem.push_back(
        {"PCI Bus 0000:00", 0x80000000, 0x8fffffff, {{"Reserved", 0x80000000, 0x80000fff, {}}}});
  });
  CHECK(look.state.firmware_reserved.value() ==
        std::vector<PhysRange>{{PhysAddr(0x7f000000), PhysAddr(0x7f001fff)},
                               {PhysAddr(0x80000000), PhysAddr(0x80000fff)}});
}

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

// Which IOMMU.

TEST_CASE("no unit anywhere is no IOMMU; a list that was not read leaves it open") {
  Look none([](MachineScene& s) { s.units = 0; });
  CHECK(none.state.iommu == IommuPresence::kNone);
  CHECK(none.state.units.empty());
  CHECK(none.diagnostics().empty());
  Look open([](MachineScene& s) { s.units = 0; },
            [](MachineScene& s) { s.SetState("iommu_device_list", ByteState::kExcluded); });
  CHECK(open.state.iommu == IommuPresence::kUnknown);
  CHECK(open.scene.Count("kernel.iommu-unknown", Effect::kIncomplete) == 1);
  const auto no_units = [](MachineScene& s) {
    s.units = 0;
    s.log.clear();
  };
  Look lost(no_units, [](MachineScene& s) { s.SetState("dmar_drhd_units", ByteState::kExcluded); });
  CHECK(lost.state.iommu == IommuPresence::kUnknown);
  CHECK(lost.scene.sink.incomplete());
}

TEST_CASE("a kernel without dmar_drhd_units in its symbols leaves the IOMMU unknown") {
  Look look([](MachineScene& s) {
    std::erase_if(s.variables, [](const auto& v) { return v.name == "dmar_drhd_units"; });
    s.units = 0;
    s.log.clear();
  });
  CHECK(look.state.iommu == IommuPresence::kUnknown);
  CHECK(look.scene.Count("kernel.no-symbol", Effect::kIncomplete) == 1);
}

TEST_CASE("AMD-Vi in use is said and not read") {
  Look look(
      [](MachineScene& s) {
        s.units = 0;
        s.variables.push_back({"amd_iommu_list", 16});
      },
      [](MachineScene& s) { s.Set("amd_iommu_list", MachineScene::kSlab); });
  CHECK(look.state.iommu == IommuPresence::kAmd);
  CHECK(look.scene.Count("kernel.amd-vi", Effect::kIncomplete) == 1);
  Look empty([](MachineScene& s) {
    s.units = 0;
    s.variables.push_back({"amd_iommu_list", 16});
  });
  CHECK(empty.state.iommu == IommuPresence::kNone);
}

TEST_CASE("an IOMMU of another driver beside the units makes the audit incomplete") {
  Look look([](MachineScene& s) { s.units = 1; },
            [](MachineScene& s) {
              s.Set("intel_iommu_ops", 0);
              const uint64_t device = s.At("iommu0.iommu");
              s.memory().WriteU64(PhysAddr(MachineScene::Physical(device + 16)), 0x1234);
            });
  CHECK(look.state.iommu == IommuPresence::kIntel);
  CHECK(look.scene.Count("kernel.other-iommu", Effect::kIncomplete) == 1);
}

TEST_CASE("lists of units that do not fit together make the audit incomplete") {
  // The first unit leads back to the head: the list looks whole.
  Look cut([](MachineScene& s) { s.units = 3; },
           [](MachineScene& s) { s.Set("drhd0.list", s.At("dmar_drhd_units")); });
  CHECK(cut.state.units.size() == 1);
  CHECK(cut.scene.Count("kernel.disagree", Effect::kIncomplete) == 1);
  // An ignored unit is not registered, and makes up for none that is missing.
  Look ignored(
      [](MachineScene& s) {
        s.units = 3;
        s.bit_fields = false;
      },
      [](MachineScene& s) {
        s.Set("drhd0.ignored", 1);
        s.Set("iommu0.iommu", s.At("iommu2.iommu"));  // behind unit 1
        s.Set("iommu_device_list", s.At("iommu1.iommu"));
        s.Set("iommu1.iommu", s.At("iommu2.iommu"));
        s.Set("drhd1.list", s.At("dmar_drhd_units"));
      });
  CHECK(ignored.state.units.size() == 2);
  CHECK(ignored.scene.Count("kernel.disagree", Effect::kIncomplete) == 1);
  // The resource tree knows of a unit.
  const auto claimed = [](MachineScene& s) {
    s.iomem.back() = {"dmar1", 0xfed91000, 0xfed91fff, {}};
  };
  Look unlisted(claimed);
  CHECK(unlisted.scene.Count("kernel.disagree", Effect::kIncomplete) == 1);
  Look empty(nullptr, [](MachineScene& s) {
    for (const char* list : {"dmar_drhd_units", "iommu_device_list"}) s.Set(list, s.At(list));
  });
  CHECK(empty.state.iommu == IommuPresence::kUnknown);
  CHECK(empty.scene.Count("kernel.disagree", Effect::kIncomplete) == 1);
  // No unit, and an IOMMU of which nothing can be read.
  Look unread([](MachineScene& s) { s.iomem.pop_back(); },
              [](MachineScene& s) {
                s.Set("dmar_drhd_units", s.At("dmar_drhd_units"));
                const uint64_t device = s.At("iommu0.iommu");
                s.memory().SetState(PhysAddr(MachineScene::Physical(device + 16)), 8,
                                    ByteState::kLost);
              });
  CHECK(unread.state.iommu == IommuPresence::kUnknown);
  CHECK(unread.scene.Count("kernel.iommu-unknown", Effect::kIncomplete) == 1);
}

// The resource tree.

TEST_CASE("a resource tree that runs in a circle or has a hole is walked as far as it goes") {
  Look circle(nullptr,
              [](MachineScene& s) { s.Set("iomem_resource_c.sibling", s.At("iomem_resource_a")); });
  CHECK(circle.scene.Count("kernel.iomem", Effect::kNote) == 1);
  CHECK(circle.state.system_ram.chosen().origin == Origin::kContainer);
  Look hole(nullptr, [](MachineScene& s) { s.SetState("iomem_resource_b", ByteState::kLost); });
  CHECK(hole.scene.Count("kernel.iomem", Effect::kNote) == 1);
  // What is left of the tree is not all RAM: a domain that maps it 1:1 does not reach everything.
  REQUIRE(hole.state.system_ram.claims().size() == 1);
  CHECK(hole.state.system_ram.chosen().origin == Origin::kContainer);
  Look reversed(nullptr, [](MachineScene& s) { s.Set("iomem_resource_a.end", 0xfff); });
  CHECK(reversed.scene.Count("kernel.iomem", Effect::kNote) == 1);
}

// Whole parts missing.

TEST_CASE("without symbols or types the rest is still said, and incomplete") {
  Look symbols(nullptr, [](MachineScene& s) {
    s.memory().SetPageState(PhysAddr(MachineScene::Physical(s.kallsyms.names_at())),
                            ByteState::kTruncated);
  });
  CHECK(symbols.state.identity.symbols_from.starts_with("none: kallsyms_names: "));
  CHECK(symbols.state.identity.release.value() == "6.1.0");
  CHECK(symbols.state.iommu_evidence == "the log names 1 unit");
  CHECK_FALSE(symbols.state.reservations);
  CHECK(symbols.scene.Count("kernel.no-symbols", Effect::kIncomplete) == 1);
  Look types(nullptr, [](MachineScene& s) {
    s.memory().WriteU64(PhysAddr(MachineScene::Physical(MachineScene::kBtf)), 0);
  });
  CHECK(types.state.identity.types_from.starts_with("none: BTF: magic is "));
  CHECK(types.state.iommu_evidence == "the log names 1 unit");
  CHECK(types.scene.sink.incomplete());
}

TEST_CASE("a dump without VMCOREINFO, of another machine, or without page tables is an error") {
  MachineScene none;
  none.Build();
  none.dump.notes.clear();
  CHECK(none.Discover().error().code == ErrorCode::kNotFound);
  MachineScene machine;
  machine.Build();
  machine.dump.info.machine = "aarch64";
  CHECK(machine.Discover().error().code == ErrorCode::kUnsupported);
  MachineScene tables;
  tables.Build();
  tables.memory().SetPageState(PhysAddr(MachineScene::Physical(MachineScene::kTopTable)),
                               ByteState::kExcluded);
  CHECK_FALSE(tables.Discover());
}

TEST_CASE("symbol tables, types and objects are all evidence: a distilled dump carries its own") {
  class Recorder : public ReadRecorder {
   public:
    void OnRead(PhysAddr address, uint64_t) override {
      const uint64_t at = address.value();
      tables += at >= MachineScene::Physical(MachineScene::kTables) &&
                at < MachineScene::Physical(MachineScene::kData);
      objects += at >= MachineScene::Physical(MachineScene::kSlab);
    }
    uint64_t tables = 0, objects = 0;
  };
  MachineScene scene;
  scene.Build();
  Recorder recorder;
  REQUIRE(scene.Discover(&recorder));
  CHECK(recorder.tables != 0);
  CHECK(recorder.objects != 0);
}

}  // namespace
}  // namespace dmaudit
