// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/acpi_scopes.h"

#include <doctest/doctest.h>

#include <functional>

namespace dmaudit {
namespace {

constexpr PhysAddr kRegisters{0xfed90000};
using Type = AcpiScopeEntry::Type;

// A unit and a region that kernel and table have alike; a device behind a bridge. Each test changes
// one thing.
struct Scene {
  Scene() {
    FirmwareScope unit;
    unit.segment = 0;
    unit.registers = kRegisters;
    unit.devices = {{0, 0, 0x10}, {0, 2, 0}};
    unit.place = "drhd";
    FirmwareScope region;
    region.kind = ScopeKind::kReservedMemory;
    region.segment = 0;
    region.range = PhysRange{PhysAddr(0x7000000), PhysAddr(0x70fffff)};
    region.place = "rmrr";
    kernel.scopes = {unit, region};
    kernel.complete = kernel.units_complete = true;

    AcpiScope drhd;
    drhd.registers = kRegisters;
    drhd.entries = {{Type::kEndpoint, 0, {0x10}},
                    {Type::kEndpoint, 0, {0x08, 0x00}},
                    {Type::kIoApic, 0xf0, {0xf8}}};
    AcpiScope rmrr;
    rmrr.kind = ScopeKind::kReservedMemory;
    rmrr.range = region.range;
    table.scopes = {drhd, rmrr};

    UnitState state;
    state.register_base = {kRegisters, Origin::kKernelObject, "test"};
    units.push_back(state);
    DeviceFacts device;
    device.bdf = Bdf{0, 2, 0};
    device.path = {Bdf{0, 2, 0}, Bdf{0, 0, 0x08}};
    inventory.devices.push_back(device);
  }
  void Merge() { MergeAcpiDmar(table, "dmar.dat", inventory, units, kernel, sink); }
  // The only diagnostic.
  Diagnostic Only() const {
    REQUIRE(sink.diagnostics().size() == 1);
    return sink.diagnostics()[0];
  }

  FirmwareScopes kernel;
  AcpiDmar table;
  DeviceInventory inventory;
  std::vector<UnitState> units;
  DiagnosticSink sink;
};

TEST_CASE("a table that says what the kernel says changes nothing") {
  Scene scene;
  scene.Merge();
  CHECK(scene.sink.diagnostics().empty());
  REQUIRE(scene.kernel.scopes.size() == 2);
  CHECK(scene.kernel.scopes[0].place == "drhd");
  CHECK(scene.kernel.scopes[0].rivals.empty());
  CHECK(scene.kernel.scopes[1].rivals.empty());
}

TEST_CASE("where they differ the kernel's word stays and the table's is a rival") {
  const auto rival = [](const std::function<void(Scene&)>& change, size_t scope = 0) {
    Scene scene;
    change(scene);
    scene.Merge();
    CHECK(scene.Only().id == "kernel.disagree");
    CHECK(scene.Only().effect == Effect::kNote);
    REQUIRE(scene.kernel.scopes.size() == 2);
    CHECK(scene.kernel.scopes[0].segment == 0);
    CHECK(scene.kernel.scopes[0].flag == false);
    CHECK(scene.kernel.scopes[0].devices.size() == 2);
    REQUIRE(scene.kernel.scopes[scope].rivals.size() == 1);
    CHECK(scene.kernel.scopes[scope].rivals[0].origin == Origin::kAcpiTable);
    return scene.kernel.scopes[scope].rivals[0].value;
  };
  CHECK(rival([](Scene& s) { s.table.scopes[0].flag = true; }) == "flag set");
  CHECK(rival([](Scene& s) {
          s.table.scopes[0].entries.pop_back(), s.table.scopes[0].entries.pop_back();
        }) == "devices 0000:00:02.0");
  CHECK(rival([](Scene& s) {
          s.table.scopes[0].entries.push_back({Type::kEndpoint, 5, {0}});
        }) == "devices 0000:00:02.0 0000:02:00.0 0000:05:00.0");
  CHECK(rival([](Scene& s) { s.table.scopes[1].range->last = PhysAddr(0x71fffff); }, 1) ==
        "ends at 71fffff");
}

TEST_CASE("another segment is a rival, with devices that are others then") {
  Scene scene;
  scene.table.scopes[0].segment = 1;
  scene.table.scopes[0].entries = {{Type::kEndpoint, 0, {0x10}}, {Type::kEndpoint, 2, {0}}};
  scene.Merge();
  REQUIRE(scene.kernel.scopes[0].rivals.size() == 2);
  CHECK(scene.kernel.scopes[0].rivals[0].value == "segment 0001");
  CHECK(scene.kernel.scopes[0].rivals[1].value == "devices 0001:00:02.0 0001:02:00.0");
}

TEST_CASE("an entry of the table for a device that does not exist is what the kernel counts") {
  Scene scene;
  scene.kernel.scopes[0].absent = 1;
  scene.table.scopes[0].entries.push_back({Type::kEndpoint, 5, {0}});
  scene.Merge();
  CHECK(scene.sink.diagnostics().empty());
}

TEST_CASE("what the kernel's copy lacks is taken from the table") {
  Scene scene;
  FirmwareScope& unit = scene.kernel.scopes[0];
  unit.flag = std::nullopt;
  unit.segment = std::nullopt;
  unit.devices.clear();
  unit.whole = false;
  scene.kernel.complete = scene.kernel.units_complete = false;
  scene.table.scopes[0].flag = true;
  scene.Merge();
  CHECK(scene.sink.diagnostics().empty());
  CHECK(unit.flag == true);
  CHECK(unit.segment == 0);
  CHECK(unit.devices == std::vector<Bdf>{{0, 0, 0x10}, {0, 2, 0}});
  CHECK(unit.whole);
  CHECK(unit.place == "drhd, DRHD @ 0x0 of dmar.dat");
  CHECK(scene.kernel.units_complete);
}

TEST_CASE("a table with problems does not close the kernel's lists") {
  Scene scene;
  scene.kernel.complete = scene.kernel.units_complete = false;
  scene.table.problems = {"its checksum is wrong"};
  scene.Merge();
  CHECK(scene.Only().id == "kernel.acpi-table");
  CHECK_FALSE(scene.kernel.complete);
  CHECK_FALSE(scene.kernel.units_complete);
}

TEST_CASE("what is taken from a table with problems makes the audit incomplete") {
  const auto gaps = [](const std::function<void(Scene&)>& change) {
    Scene scene;
    scene.kernel.complete = scene.kernel.units_complete = false;
    scene.table.problems = {"its checksum is wrong"};
    change(scene);
    scene.Merge();
    return scene.sink.incomplete("kernel.acpi-table");
  };
  CHECK_FALSE(gaps([](Scene&) {}));
  CHECK(gaps([](Scene& s) { s.kernel.scopes[0].flag = std::nullopt; }));
  CHECK(gaps([](Scene& s) { s.kernel.scopes[0].segment = std::nullopt; }));
  CHECK(gaps([](Scene& s) { s.kernel.scopes[0].whole = false; }));
  CHECK(gaps([](Scene& s) { s.kernel.scopes.erase(s.kernel.scopes.begin()); }));
  CHECK_FALSE(gaps([](Scene& s) {
    s.kernel.scopes.erase(s.kernel.scopes.begin());
    s.table.problems.clear();
  }));
}

TEST_CASE("structures that are not used are named") {
  Scene scene;
  scene.table.skipped = {"ANDD @ 0x60", "SIDP @ 0x80"};
  scene.Merge();
  CHECK(scene.Only().message == "dmar.dat: not used: ANDD @ 0x60, SIDP @ 0x80");
}

TEST_CASE("an RMRR that the kernel could not read is added, in the place of its kind") {
  Scene scene;
  scene.kernel.scopes.pop_back();
  FirmwareScope ats;
  ats.kind = ScopeKind::kAtsRoot;
  scene.kernel.scopes.push_back(ats);
  scene.kernel.complete = false;
  scene.Merge();
  CHECK(scene.sink.diagnostics().empty());
  REQUIRE(scene.kernel.scopes.size() == 3);
  CHECK(scene.kernel.scopes[1].kind == ScopeKind::kReservedMemory);
  CHECK(scene.kernel.scopes[1].origin == Origin::kAcpiTable);
  CHECK(scene.kernel.scopes[1].range->last == PhysAddr(0x70fffff));
}

TEST_CASE("an RMRR that a whole list of the kernel does not have is said to differ") {
  Scene scene;
  scene.kernel.scopes.pop_back();
  scene.Merge();
  CHECK(scene.Only().id == "kernel.disagree");
  CHECK(scene.kernel.scopes.size() == 2);
}

TEST_CASE("a unit of the table that is none of those found is a gap") {
  Scene scene;
  scene.kernel.scopes.erase(scene.kernel.scopes.begin());
  scene.kernel.complete = scene.kernel.units_complete = false;
  scene.units.clear();
  scene.Merge();
  CHECK(scene.Only().id == "kernel.unit-not-listed");
  CHECK(scene.Only().effect == Effect::kIncomplete);
}

TEST_CASE("an entry below a bridge that the kernel does not know is not placed") {
  Scene scene;
  scene.inventory.devices.clear();
  scene.kernel.scopes.clear();
  scene.kernel.complete = scene.kernel.units_complete = false;
  scene.Merge();
  REQUIRE(scene.kernel.scopes.size() == 2);
  CHECK(scene.kernel.scopes[0].devices == std::vector<Bdf>{{0, 0, 0x10}});
  CHECK(scene.kernel.scopes[0].unplaced == 1);
}

TEST_CASE("ATSR and SATC are the same where the kernel's devices are the table's") {
  for (const ScopeKind kind : {ScopeKind::kAtsRoot, ScopeKind::kAtsDevices}) {
    for (const bool same : {true, false}) {
      Scene scene;
      FirmwareScope own;
      own.kind = kind;
      own.segment = 0;
      own.devices = {{0, 0, 0x10}};
      scene.kernel.scopes.push_back(own);
      AcpiScope structure;
      structure.kind = kind;
      const uint8_t devfn = same ? 0x10 : 0x18;
      structure.entries = {{Type::kBridge, 0, {devfn}}};
      scene.table.scopes.push_back(structure);
      scene.Merge();
      CHECK(scene.kernel.scopes.size() == (same ? 3 : 4));
      CHECK(scene.sink.diagnostics().size() == (same ? 0 : 1));
    }
  }
}

TEST_CASE("a file that cannot be opened is a wrong request") {
  const Result<AcpiDmar> table = LoadAcpiDmar("/nonexistent/dmar.dat");
  REQUIRE_FALSE(table);
  CHECK(table.error().code == ErrorCode::kUsage);
}

}  // namespace
}  // namespace dmaudit
