// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/capture_facts.h"

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <string>

#include "kernel/iommu_arguments.h"
#include "kernel/machine.h"
#include "support/machine_scene.h"

namespace dmaudit {
namespace {

using test::MachineScene;

constexpr uint64_t kParams = 0x22000000;
constexpr uint64_t kLine = kParams + 0x2000;

// A loaded image with boot parameters and a command line in one piece.
struct Look {
  using Change = std::function<void(MachineScene&)>;

  explicit Look(const Change& before = nullptr, const Change& after = nullptr) {
    if (before) before(scene);
    scene.Build();
    scene.AddSegment(kParams, 0x4000, 0x3000);
    scene.memory().AddZeroPage(PhysAddr(kParams + 0x1000));
    scene.memory().AddZeroPage(PhysAddr(kParams + 0x3000));
    PutHeader(0x53726448);
    scene.memory().WriteU32(PhysAddr(kParams + 0x228), static_cast<uint32_t>(kLine));
    PutLine("console=ttyS0 intel_iommu=on elfcorehdr=1K");
    if (after) after(scene);
    Result<MachineState> found = scene.Discover();
    REQUIRE(found);
    facts = std::move(found->capture);
    CHECK_FALSE(scene.sink.incomplete());
  }
  void PutHeader(uint32_t value) {
    std::array<std::byte, 4> bytes{};
    StoreUnchecked<uint32_t>(bytes, 0, value);
    scene.memory().Write(PhysAddr(kParams + 0x202), bytes);
  }
  void PutLine(const std::string& text) {
    scene.memory().Write(PhysAddr(kLine), AsBytes(text + '\0'));
  }

  MachineScene scene;
  CaptureFacts facts;
};

TEST_CASE("the command line that the loaded image was given") {
  const Look look;
  REQUIRE(look.facts.command_line);
  CHECK(look.facts.command_line.value() == "console=ttyS0 intel_iommu=on elfcorehdr=1K");
  CHECK(look.facts.command_line.chosen().origin == Origin::kKernelObject);
  CHECK(look.facts.command_line.chosen().place ==
        "boot parameters of the loaded crash kernel @ 0x22000000");
}

TEST_CASE("boot parameters without the mark of a header are none") {
  const Look look(nullptr,
                  [](MachineScene& s) { s.memory().WriteU32(PhysAddr(kParams + 0x204), 0); });
  CHECK_FALSE(look.facts.command_line);
  // The scene's other pieces are not in the dump: what they hold is not known.
  CHECK(look.facts.no_command_line.find("absent") != std::string::npos);
}

TEST_CASE("a command line outside the image is not read") {
  const auto at = [](uint64_t address) {
    const Look look(nullptr, [address](MachineScene& s) {
      s.memory().Write(PhysAddr(address), AsBytes(std::string("planted\0", 8)));
      s.memory().WriteU32(PhysAddr(kParams + 0x228), static_cast<uint32_t>(address));
    });
    return look.facts.command_line.known();
  };
  CHECK(at(kParams + 0x3ff0));
  CHECK_FALSE(at(kParams + 0x4000));
  CHECK_FALSE(at(kParams - 0x10));
}

TEST_CASE("the upper half of the address counts") {
  const Look look(nullptr,
                  [](MachineScene& s) { s.memory().WriteU32(PhysAddr(kParams + 0xc8), 1); });
  CHECK_FALSE(look.facts.command_line);
  CHECK(look.facts.no_command_line.find("0x122002000") != std::string::npos);
}

TEST_CASE("no command line at all") {
  const Look look(nullptr,
                  [](MachineScene& s) { s.memory().WriteU32(PhysAddr(kParams + 0x228), 0); });
  CHECK_FALSE(look.facts.command_line);
}

TEST_CASE("a byte of the line that is not known makes the line unknown") {
  const Look look(nullptr, [](MachineScene& s) {
    s.memory().SetState(PhysAddr(kLine + 8), 1, ByteState::kExcluded);
  });
  CHECK_FALSE(look.facts.command_line);
}

TEST_CASE("a line without an end is cut at what a kernel takes") {
  const Look look(nullptr, [](MachineScene& s) {
    s.memory().Write(PhysAddr(kLine), AsBytes(std::string(0x1000, 'x')));
  });
  REQUIRE(look.facts.command_line);
  CHECK(look.facts.command_line.value().size() == kMaxKernelCommandLine);
}

TEST_CASE("no crash kernel was loaded") {
  const Look look(nullptr, [](MachineScene& s) { s.Set("kexec_crash_image", 0); });
  CHECK_FALSE(look.facts.command_line);
  CHECK(look.facts.no_command_line == "no crash kernel was loaded");
}

TEST_CASE("the copy rule is told by members of struct intel_iommu") {
  CHECK(Look().facts.copy_rule == CopyRule::kScalableMode);
  const Look older([](MachineScene& s) { s.has_copied_tables = false; });
  CHECK(older.facts.copy_rule == CopyRule::kExtendedMode);
}

TEST_CASE("variables of the crashed kernel, where there are such") {
  const Look without;
  CHECK_FALSE(without.facts.driver_off);
  const Look with(
      [](MachineScene& s) {
        s.variables.push_back({"dmar_disabled", 4});
      },
      [](MachineScene& s) {
        s.Set32("dmar_disabled", 1);
        s.Set32("intel_iommu_sm", 1);
        s.Set32("eim_mode", 1);
      });
  CHECK(with.facts.driver_off.get() == true);
  CHECK(with.facts.scalable.get() == true);
  CHECK(with.facts.x2apic.get() == true);
}

TEST_CASE("a kernel without intel_iommu_sm has no scalable mode") {
  const Look look([](MachineScene& s) {
    std::erase_if(s.variables,
                  [](const MachineScene::Variable& v) { return v.name == "intel_iommu_sm"; });
  });
  CHECK(look.facts.scalable.get() == false);
  CHECK(look.facts.scalable.chosen().origin == Origin::kDerived);
}

}  // namespace
}  // namespace dmaudit
