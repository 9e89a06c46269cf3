// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/inheritance_rules.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>

namespace dmaudit {
namespace {

constexpr uint64_t kIr = uint64_t{1} << 3;
constexpr uint64_t kEcs = uint64_t{1} << 24;
constexpr uint64_t kSmts = uint64_t{1} << 43;
constexpr uint32_t kTe = uint32_t{1} << 31;
constexpr uint32_t kIre = uint32_t{1} << 25;
constexpr uint64_t kRoot = 0xa000000;
constexpr uint64_t kScalable = kRoot | 1 << 10;
constexpr uint64_t kExtended = kRoot | 2 << 10;

// A unit that can do both modes, in legacy mode, with interrupt remapping; a kernel that compares
// scalable modes; intel_iommu=on for both kernels. A test changes one thing.
struct Case {
  Case() {
    unit.name = "dmar0";
    unit.ecap = {kIr | kSmts, Origin::kKernelShadow, "test"};
    unit.gcmd = {kTe | kIre, Origin::kKernelShadow, "test"};
    unit.rtaddr = {kRoot, Origin::kDerived, "test"};
    unit.irta = {0xb00000f, Origin::kDerived, "test"};
    facts.copy_rule = CopyRule::kScalableMode;
    facts.copy_rule_from = "test";
    facts.driver_off = {false, Origin::kKernelObject, "test"};
    facts.scalable = {false, Origin::kKernelObject, "test"};
    facts.x2apic = {false, Origin::kKernelObject, "test"};
  }

  std::vector<Possible<TableFate>> Tables() const {
    const std::vector<UnitState> units = Units();
    return TableFates(Inputs(units), units[0]);
  }
  std::vector<Possible<InterruptFate>> Interrupts() const {
    const std::vector<UnitState> units = Units();
    return InterruptFates(Inputs(units), units[0]);
  }
  // The only outcome.
  TableFate Table() const {
    const auto all = Tables();
    REQUIRE(all.size() == 1);
    CHECK(all[0].when.empty());
    CHECK_FALSE(all[0].reason.empty());
    return all[0].fate;
  }
  InterruptFate Interrupt() const {
    const auto all = Interrupts();
    REQUIRE(all.size() == 1);
    CHECK(all[0].when.empty());
    return all[0].fate;
  }
  std::vector<TableFate> OpenTables() const {
    std::vector<TableFate> fates;
    for (const auto& one : Tables()) {
      CHECK_FALSE(one.when.empty());
      fates.push_back(one.fate);
    }
    std::sort(fates.begin(), fates.end());
    return fates;
  }
  std::vector<InterruptFate> OpenInterrupts() const {
    std::vector<InterruptFate> fates;
    for (const auto& one : Interrupts()) fates.push_back(one.fate);
    std::sort(fates.begin(), fates.end());
    return fates;
  }

  UnitState unit;
  std::vector<UnitState> others;
  CaptureFacts facts;
  std::optional<std::string> crashed = "intel_iommu=on";
  std::optional<std::string> capture = "intel_iommu=on";
  bool finds_old_memory = true;
  std::optional<bool> driver_default, scalable_default;

 private:
  std::vector<UnitState> Units() const {
    std::vector<UnitState> units = others;
    units.insert(units.begin(), unit);
    return units;
  }
  InheritanceInputs Inputs(const std::vector<UnitState>& units) const {
    const auto parsed = [](const std::optional<std::string>& line) {
      return line ? std::optional<IommuArguments>(ParseIommuArguments(*line)) : std::nullopt;
    };
    return {units,          facts,           parsed(crashed), parsed(capture), finds_old_memory,
            driver_default, scalable_default};
  }
};

using Fates = std::vector<TableFate>;
using InterruptFateList = std::vector<InterruptFate>;

TEST_CASE("tables of the mode that the capture kernel uses are copied") {
  Case c;
  CHECK(c.Table() == TableFate::kCopied);
  c.unit.rtaddr = {kScalable, Origin::kDerived, "test"};
  c.facts.scalable = {true, Origin::kKernelObject, "test"};
  CHECK(c.Table() == TableFate::kCopied);
}

TEST_CASE("a capture kernel that runs in the dump shows what it does without an option") {
  Case c;
  c.crashed = "intel_iommu=on,sm_on";
  c.unit.rtaddr = {kScalable, Origin::kDerived, "test"};
  c.facts.scalable = {true, Origin::kKernelObject, "test"};
  CHECK(c.OpenTables() == Fates{TableFate::kCopied, TableFate::kRefused});
  c.scalable_default = true;
  CHECK(c.Table() == TableFate::kCopied);
  c.scalable_default = false;
  CHECK(c.Table() == TableFate::kRefused);
  // An option says otherwise.
  c.capture = "intel_iommu=on,sm_on";
  CHECK(c.Table() == TableFate::kCopied);

  Case driver;
  driver.capture = "";
  CHECK(driver.OpenTables() == Fates{TableFate::kCopied, TableFate::kSwitchedOff});
  driver.driver_default = true;
  CHECK(driver.Table() == TableFate::kCopied);
  driver.driver_default = false;
  CHECK(driver.Table() == TableFate::kSwitchedOff);
  driver.capture = "intel_iommu=on";
  CHECK(driver.Table() == TableFate::kCopied);
}

TEST_CASE("another mode is refused, in either direction") {
  Case c;
  c.capture = "intel_iommu=on,sm_on";
  CHECK(c.Table() == TableFate::kRefused);
  c.unit.rtaddr = {kScalable, Origin::kDerived, "test"};
  c.facts.scalable = {true, Origin::kKernelObject, "test"};
  CHECK(c.Table() == TableFate::kCopied);
  c.capture = "intel_iommu=on,sm_off";
  CHECK(c.Table() == TableFate::kRefused);
}

TEST_CASE("sm_on is in vain where a unit cannot do it") {
  Case c;
  c.capture = "intel_iommu=sm_on intel_iommu=on";
  c.unit.ecap = {kIr, Origin::kKernelShadow, "test"};
  CHECK(c.Table() == TableFate::kCopied);
  // Another unit that cannot: the kernel gives the mode up, or not, depending on its age.
  c.unit.ecap = {kIr | kSmts, Origin::kKernelShadow, "test"};
  c.others.push_back(c.unit);
  c.others[0].ecap = {kIr, Origin::kKernelShadow, "test"};
  CHECK(c.OpenTables() == Fates{TableFate::kCopied, TableFate::kRefused});
  // The crashed kernel was asked the same, and shows what comes of it.
  c.crashed = c.capture;
  CHECK(c.Table() == TableFate::kCopied);
}

TEST_CASE("the default mode is that of a kernel that was asked for none") {
  Case c;
  c.unit.rtaddr = {kScalable, Origin::kDerived, "test"};
  c.facts.scalable = {true, Origin::kKernelObject, "test"};
  CHECK(c.Table() == TableFate::kCopied);
  c.crashed = "intel_iommu=on,sm_on";
  CHECK(c.OpenTables() == Fates{TableFate::kCopied, TableFate::kRefused});
  c.crashed = std::nullopt;
  CHECK(c.OpenTables() == Fates{TableFate::kCopied, TableFate::kRefused});
}

TEST_CASE("a driver that is off switches translation off") {
  Case c;
  for (const char* line : {"intel_iommu=off", "iommu=off", "intel_iommu=on iommu=off"}) {
    c.capture = line;
    CAPTURE(line);
    CHECK(c.Table() == TableFate::kSwitchedOff);
  }
}

TEST_CASE("the default of the driver is that of a kernel that was told nothing") {
  Case c;
  c.capture = "quiet";
  CHECK(c.OpenTables() == Fates{TableFate::kCopied, TableFate::kSwitchedOff});
  c.crashed = "quiet";
  CHECK(c.Table() == TableFate::kCopied);
  c.facts.driver_off = {true, Origin::kKernelObject, "test"};
  CHECK(c.Table() == TableFate::kSwitchedOff);
  c.facts.driver_off = {};
  CHECK(c.OpenTables() == Fates{TableFate::kCopied, TableFate::kSwitchedOff});
}

TEST_CASE("translation that was off") {
  Case c;
  c.unit.gcmd = {0, Origin::kKernelShadow, "test"};
  CHECK(c.Table() == TableFate::kSwitchedOn);
  c.capture = "intel_iommu=off";
  CHECK(c.Table() == TableFate::kStaysOff);
  c.unit.gcmd = {};
  CHECK(c.OpenTables() == Fates{TableFate::kSwitchedOff, TableFate::kStaysOff});
}

TEST_CASE("acpi=off leaves the unit alone") {
  Case c;
  c.capture = "intel_iommu=off acpi=off";
  CHECK(c.Table() == TableFate::kUntouched);
  CHECK(c.Interrupt() == InterruptFate::kUntouched);
}

TEST_CASE("a root pointer of null is refused") {
  Case c;
  c.unit.rtaddr = {0, Origin::kUser, "test"};
  CHECK(c.Table() == TableFate::kRefused);
  c.unit.rtaddr = {};
  CHECK(c.OpenTables() == Fates{TableFate::kCopied, TableFate::kRefused});
}

TEST_CASE("a kernel that is not told of old memory copies nothing") {
  Case c;
  c.finds_old_memory = false;
  CHECK(c.Table() == TableFate::kRefused);
  CHECK(c.Interrupt() == InterruptFate::kReplaced);
}

TEST_CASE("an ignored unit is ignored again; igfx_off ignores one more") {
  Case c;
  c.unit.ignored = true;
  CHECK(c.Table() == TableFate::kSwitchedOff);
  c.unit.gcmd = {0, Origin::kKernelShadow, "test"};
  CHECK(c.Table() == TableFate::kStaysOff);
  c.crashed = "intel_iommu=on,igfx_off";
  CHECK(c.OpenTables() == Fates{TableFate::kSwitchedOn, TableFate::kStaysOff});
  Case asks;
  asks.capture = "intel_iommu=on,igfx_off";
  CHECK(asks.OpenTables() == Fates{TableFate::kCopied, TableFate::kSwitchedOff});
  asks.crashed = asks.capture;
  CHECK(asks.Table() == TableFate::kCopied);
}

TEST_CASE("an older kernel compares extended modes, and misreads scalable tables") {
  Case c;
  c.facts.copy_rule = CopyRule::kExtendedMode;
  CHECK(c.Table() == TableFate::kCopied);
  c.unit.rtaddr = {kScalable, Origin::kDerived, "test"};
  CHECK(c.Table() == TableFate::kMisread);
  c.unit.ecap = {kIr | kSmts | kEcs, Origin::kKernelShadow, "test"};
  CHECK(c.Table() == TableFate::kRefused);
  c.unit.rtaddr = {kExtended, Origin::kDerived, "test"};
  CHECK(c.Table() == TableFate::kCopied);
  c.unit.rtaddr = {kRoot, Origin::kDerived, "test"};
  c.unit.ecap = {kIr | kSmts, Origin::kKernelShadow, "test"};
  c.capture = "intel_iommu=on,sm_on";
  CHECK(c.Table() == TableFate::kMisread);
}

TEST_CASE("a kernel from before all copying") {
  Case c;
  c.facts.copy_rule = CopyRule::kNeverCopies;
  CHECK(c.Table() == TableFate::kEmptied);
  CHECK(c.Interrupt() == InterruptFate::kReplaced);
}

TEST_CASE("where the rule is not known, both are followed") {
  Case c;
  c.facts.copy_rule = CopyRule::kUnknown;
  CHECK(c.Table() == TableFate::kCopied);
  c.unit.rtaddr = {kScalable, Origin::kDerived, "test"};
  c.facts.scalable = {true, Origin::kKernelObject, "test"};
  CHECK(c.OpenTables() == Fates{TableFate::kCopied, TableFate::kMisread});
}

TEST_CASE("without a command line every outcome is listed with what it takes") {
  Case c;
  c.capture = std::nullopt;
  const auto all = c.Tables();
  REQUIRE(all.size() == 3);
  CHECK(all[0].fate == TableFate::kRefused);
  CHECK(all[0].when == std::vector<std::string>{"the driver is on in the capture kernel and the "
                                                "capture kernel uses scalable mode"});
  CHECK(all[1].fate == TableFate::kCopied);
  CHECK(all[1].when == std::vector<std::string>{"the driver is on in the capture kernel and the "
                                                "capture kernel uses legacy mode"});
  CHECK(all[2].fate == TableFate::kSwitchedOff);
  CHECK(all[2].when == std::vector<std::string>{"the driver is off in the capture kernel"});
}

TEST_CASE("an unknown that changes nothing leaves one outcome without a condition") {
  Case c;
  c.capture = std::nullopt;
  c.unit.gcmd = {0, Origin::kKernelShadow, "test"};
  c.unit.ignored = true;
  c.crashed = "quiet";
  CHECK(c.Table() == TableFate::kStaysOff);
}

TEST_CASE("the interrupt-remapping table is copied, whatever becomes of translation") {
  Case c;
  for (const char* line : {"intel_iommu=on", "intel_iommu=off", "intremap=nosid", "intremap=on"}) {
    c.capture = line;
    CAPTURE(line);
    CHECK(c.Interrupt() == InterruptFate::kCopied);
  }
}

TEST_CASE("a table of another size is not copied") {
  Case c;
  for (const uint64_t size : {uint64_t{0xe}, uint64_t{0}}) {
    c.unit.irta = {0xb000000 | size, Origin::kUser, "test"};
    CHECK(c.Interrupt() == InterruptFate::kReplaced);
  }
  c.unit.irta = {};  // Linux has one size
  CHECK(c.Interrupt() == InterruptFate::kCopied);
}

TEST_CASE("a table with other destinations is copied all the same") {
  Case c;
  c.facts.x2apic = {true, Origin::kKernelObject, "test"};
  CHECK(c.Interrupt() == InterruptFate::kCopied);
  // A processor may have locked x2APIC.
  c.capture = "intel_iommu=on nox2apic";
  CHECK(c.OpenInterrupts() ==
        InterruptFateList{InterruptFate::kCopied, InterruptFate::kOtherFormat});
  c.facts.x2apic = {false, Origin::kKernelObject, "test"};
  CHECK(c.Interrupt() == InterruptFate::kCopied);
  c.capture = "intel_iommu=on";
  c.crashed = "intel_iommu=on nox2apic";
  CHECK(c.OpenInterrupts() ==
        InterruptFateList{InterruptFate::kCopied, InterruptFate::kOtherFormat});
}

TEST_CASE("without remapping in the capture kernel the unit goes on with the old table") {
  Case c;
  for (const char* line : {"intremap=off", "nointremap", "noapic"}) {
    c.capture = line;
    CAPTURE(line);
    CHECK(c.Interrupt() == InterruptFate::kUntouched);
  }
  c.capture = "nolapic";
  CHECK(c.OpenInterrupts() == InterruptFateList{InterruptFate::kCopied, InterruptFate::kUntouched});
}

TEST_CASE("remapping that was off comes on only where the crashed kernel was told to leave it") {
  Case c;
  c.unit.gcmd = {kTe, Origin::kKernelShadow, "test"};
  CHECK(c.Interrupt() == InterruptFate::kStaysOff);
  c.crashed = "intel_iommu=on intremap=off";
  CHECK(c.OpenInterrupts() ==
        InterruptFateList{InterruptFate::kSwitchedOn, InterruptFate::kStaysOff});
  c.unit.ecap = {kSmts, Origin::kKernelShadow, "test"};
  CHECK(c.Interrupt() == InterruptFate::kStaysOff);
}

TEST_CASE("GCMD that is only a guess tells nothing of interrupt remapping") {
  Case c;
  c.unit.gcmd = {kTe, Origin::kDerived, "intel_iommu_enabled"};
  CHECK(c.OpenInterrupts() == InterruptFateList{InterruptFate::kCopied, InterruptFate::kStaysOff});
}

}  // namespace
}  // namespace dmaudit
