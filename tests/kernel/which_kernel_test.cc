// SPDX-License-Identifier: GPL-2.0-or-later
// A whole machine whose kernel is found in memory, or is the second one of its dump.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/bytes.h"
#include "support/machine_scene.h"
#include "support/page_table_builder.h"

namespace dmaudit {
namespace {

using test::MachineScene;
using test::PageTableBuilder;

constexpr uint64_t kText = 0xb000000;  // physical

// Takes the note out of the dump; gives its text.
std::string TakeNote(MachineScene& scene) {
  std::string text(AsText(scene.dump.notes.at(0).descriptor));
  scene.dump.notes.clear();
  scene.dump.info.file_size = uint64_t{64} << 20;
  return text;
}

void PutText(MachineScene& scene, std::string text) {
  text.push_back('\0');
  scene.memory().Write(PhysAddr(kText), AsBytes(text));
}

TEST_CASE("the same machine with the note's text in memory only") {
  MachineScene with_note;
  with_note.Build();
  const auto expected = with_note.Discover();
  REQUIRE(expected);

  MachineScene scene;
  scene.Build();
  PutText(scene, TakeNote(scene));
  const auto machine = scene.Discover();
  REQUIRE(machine);
  CHECK(machine->identity.whose_tables ==
        "the kernel 6.1.0, VMCOREINFO in memory at 0xb000000, page table at 0x4600000, crashed "
        "(init_top_pgt, phys_base from VMCOREINFO)");
  CHECK_FALSE(machine->identity.two_kernels);
  CHECK(machine->identity.symbols_from == expected->identity.symbols_from);
  REQUIRE(machine->units.size() == expected->units.size());
  CHECK(machine->units[0].rtaddr.value() == expected->units[0].rtaddr.value());
  CHECK(machine->reservations->size() == expected->reservations->size());
  CHECK(scene.Count("kernel.vmcoreinfo-search", Effect::kNote) == 1);
  CHECK_FALSE(scene.sink.incomplete());
}

TEST_CASE("the text that was found is evidence: a distilled dump finds it again") {
  class Recorder : public ReadRecorder {
   public:
    void OnRead(PhysAddr address, uint64_t) override {
      text = text || address.AlignDown(4096) == PhysAddr(kText);
    }
    bool text = false;
  };
  MachineScene scene;
  scene.Build();
  PutText(scene, TakeNote(scene));
  Recorder recorder;
  REQUIRE(scene.Discover(&recorder));
  CHECK(recorder.text);
}

// The scene's kernel did not crash; a note describes another one that did.
void MakeSecond(MachineScene& scene) {
  std::string text = TakeNote(scene);
  std::string crashed = text;
  const std::string crash_line = "CRASHTIME=1700000000\n";
  text.replace(text.find(crash_line), crash_line.size(), "");
  PutText(scene, text);
  constexpr uint64_t kOther = 0x10000000;  // phys_base
  PageTableBuilder tables(scene.memory(), PhysAddr(kOther + 0x600000), 4);
  tables.Map(MachineScene::kTopTable, kOther + 0x600000, 2);
  tables.Map(MachineScene::kStext, kOther + 0x1000000, 2);
  const std::string own = fmt::format("NUMBER(phys_base)={}\n", MachineScene::kPhysBase);
  crashed.replace(crashed.find(own), own.size(), fmt::format("NUMBER(phys_base)={}\n", kOther));
  const auto bytes = AsBytes(crashed);
  scene.dump.notes.push_back({"VMCOREINFO", 0, {bytes.begin(), bytes.end()}});
}

TEST_CASE(
    "--which capture audits the second kernel, and says so when nothing proves that it is one") {
  DiscoveryOptions options;
  options.which = WhichKernel{WhichKernel::Kind::kCapture, {}};
  for (const bool proven : {false, true}) {
    CAPTURE(proven);
    MachineScene scene;
    scene.Build();
    MakeSecond(scene);
    if (proven) {
      scene.memory().Write(PhysAddr(MachineScene::Physical(scene.At("command_line"))),
                           AsBytes(std::string("elfcorehdr=0x2f000000 intel_iommu=on")));
    }
    const auto machine = scene.Discover(nullptr, options);
    REQUIRE(machine);
    CHECK(machine->units.size() == 1);
    CHECK(machine->identity.two_kernels);
    CHECK(machine->identity.whose_tables.starts_with(
        "two kernels: these are the tables of 6.1.0, VMCOREINFO in memory at 0xb000000"));
    CHECK(scene.Count("kernel.two-kernels", Effect::kNote) == 1);
    CHECK(scene.Count("kernel.not-capture", Effect::kIncomplete) == (proven ? 0 : 1));
  }
}

}  // namespace
}  // namespace dmaudit
