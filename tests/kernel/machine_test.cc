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
