// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/inheritance_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "dmar/hw/extended_capability_register.h"
#include "dmar/hw/global_command_register.h"
#include "dmar/hw/interrupt_remapping_table_address_register.h"
#include "dmar/hw/root_table_address_register.h"

namespace dmaudit {
namespace {

// Linux has one size of interrupt-remapping table: 2^(15+1) entries.
constexpr uint64_t kLinuxIrTableSize = 0xf;

// Goes through the ways that unknown values leave open, one after the other.
class Choices {
 public:
  // The value where it is known. Otherwise one of both, and what it stands for becomes a condition.
  bool Decide(std::optional<bool> value, std::string_view if_true, std::string_view if_false) {
    if (value) return *value;
    if (at_ == script_.size()) script_.push_back(true);
    const bool chosen = script_[at_++];
    if (!condition_.empty()) condition_ += " and ";
    condition_ += chosen ? if_true : if_false;
    return chosen;
  }
  // Starts the next way; false when all were gone.
  bool Next() {
    script_.erase(script_.begin() + static_cast<std::ptrdiff_t>(at_), script_.end());
    while (!script_.empty() && !script_.back()) script_.pop_back();
    at_ = 0;
    condition_.clear();
    if (script_.empty()) return false;
    script_.back() = false;
    return true;
  }
  const std::string& condition() const { return condition_; }

 private:
  std::vector<bool> script_;  // what was chosen at each fork; true is tried first
  size_t at_ = 0;
  std::string condition_;
};

template <typename Fate>
struct Outcome {
  Fate fate;
  std::string reason;
};

// The outcomes of all ways; those with the same fate are one.
template <typename Fate, typename Rule>
std::vector<Possible<Fate>> AllOf(Rule rule) {
  std::vector<Possible<Fate>> all;
  Choices choices;
  do {
    const Outcome<Fate> outcome = rule(choices);
    auto same = std::find_if(all.begin(), all.end(), [&outcome](const Possible<Fate>& known) {
      return known.fate == outcome.fate;
    });
    if (same == all.end()) {
      all.push_back({outcome.fate, outcome.reason, {choices.condition()}});
      continue;
    }
    if (same->reason.find(outcome.reason) == std::string::npos) {
      same->reason += "; or: " + outcome.reason;
    }
    same->when.push_back(choices.condition());
  } while (choices.Next());
  if (all.size() == 1) all.front().when.clear();
  return all;
}

std::optional<bool> Bit(const Known<uint64_t>& known, const Field& field) {
  if (!known) return std::nullopt;
  return field.Get(known.value()) != 0;
}

class TableRules {
 public:
  TableRules(const InheritanceInputs& inputs, const UnitState& unit)
      : inputs_(inputs), unit_(unit), capture_(inputs.capture) {}

  Outcome<TableFate> Follow(Choices& choices) const {
    if (capture_ && capture_->no_acpi) {
      return {TableFate::kUntouched,
              "acpi=off: the capture kernel reads no DMAR table and leaves the unit as it is"};
    }
    const bool on = choices.Decide(TranslationOn(), "translation was on", "translation was off");
    const bool ignored = choices.Decide(Ignored(), "the capture kernel ignores the unit",
                                        "the capture kernel does not ignore the unit");
    const bool driver = choices.Decide(Driver(), "the driver is on in the capture kernel",
                                       "the driver is off in the capture kernel");
    if (!on) {
      return driver && !ignored
                 ? Outcome<TableFate>{TableFate::kSwitchedOn,
                                      "translation was off, and " + DriverReason(true)}
                 : Outcome<TableFate>{TableFate::kStaysOff,
                                      "translation was off, and " +
                                          (driver ? "the unit is ignored" : DriverReason(false))};
    }
    if (!driver) return {TableFate::kSwitchedOff, DriverReason(false)};
    if (ignored) return {TableFate::kSwitchedOff, "the capture kernel ignores the unit"};
    if (!inputs_.finds_old_memory) {
      return {TableFate::kRefused,
              "no elfcorehdr= on its command line: the kernel does not know that it is a capture "
              "kernel, and copies nothing"};
    }
    return Copy(choices);
  }

 private:
  std::optional<bool> TranslationOn() const {
    if (!unit_.gcmd) return std::nullopt;
    return hw::gcmd::kTe.Get(unit_.gcmd.value()) != 0;
  }

  // A unit is ignored for its devices, which stay the same, or for igfx_off.
  std::optional<bool> Ignored() const {
    const bool crashed_asks = inputs_.crashed && inputs_.crashed->no_graphics;
    const bool capture_asks = capture_ && capture_->no_graphics;
    if (unit_.ignored) {
      const bool same = capture_asks || (inputs_.crashed && !crashed_asks);
      return same ? std::optional<bool>(true) : std::nullopt;
    }
    if (crashed_asks || !capture_asks) return false;
    return std::nullopt;  // the unit of the graphics is ignored, and which that is is not known
  }

  std::optional<bool> Driver() const {
    if (!capture_) return std::nullopt;
    if (capture_->all_off) return false;
    if (capture_->driver) return capture_->driver;
    return DriverDefault();
  }
  // What the kernel does without intel_iommu=: the variable of one that was given none.
  std::optional<bool> DriverDefault() const {
    if (inputs_.driver_default) return inputs_.driver_default;
    if (!inputs_.crashed || inputs_.crashed->driver || !inputs_.facts.driver_off) {
      return std::nullopt;
    }
    return !inputs_.facts.driver_off.value();
  }
  static std::string_view ByDefault(bool seen) {
    return seen ? "by default, as the capture kernel in the dump shows" : "by default";
  }
  std::string DriverReason(bool on) const {
    if (!capture_) return on ? "the driver is on" : "the driver is off";
    if (capture_->all_off) return "iommu=off on its command line";
    if (capture_->driver) {
      return fmt::format("intel_iommu={} on its command line", on ? "on" : "off");
    }
    return fmt::format("the driver is {} {}", on ? "on" : "off",
                       ByDefault(inputs_.driver_default.has_value()));
  }

  std::optional<bool> ScalableWanted() const {
    if (Bit(unit_.ecap, hw::ecap::kSmts) == false) return false;
    const Known<bool>& variable = inputs_.facts.scalable;
    // A kernel that never had the mode has no option for it either.
    if (variable && variable.chosen().origin == Origin::kDerived) return false;
    if (!capture_ || !unit_.ecap) return std::nullopt;
    std::optional<bool> asked_before;
    if (inputs_.crashed) asked_before = inputs_.crashed->scalable;
    // The same options lead to the same, also where the kernel gives the mode up because units
    // disagree.
    if (inputs_.crashed && variable && asked_before == capture_->scalable) return variable.value();
    if (capture_->scalable == false) return false;
    if (!capture_->scalable && inputs_.scalable_default) return inputs_.scalable_default;
    const bool in_vain = asked_before == true && variable && !variable.value();
    if (in_vain) return false;
    if (capture_->scalable != true) return std::nullopt;
    for (const UnitState& other : inputs_.units) {
      if (!other.ignored && Bit(other.ecap, hw::ecap::kSmts) != true) return std::nullopt;
    }
    return true;
  }
  std::string WantedReason(bool scalable) const {
    if (!scalable && Bit(unit_.ecap, hw::ecap::kSmts) == false) {
      return "legacy mode, the unit knows no other";
    }
    const std::string_view name = scalable ? "scalable mode" : "legacy mode";
    if (capture_ && capture_->scalable == scalable) {
      return fmt::format("{} (intel_iommu={})", name, scalable ? "sm_on" : "sm_off");
    }
    if (capture_ && !capture_->scalable) {
      return fmt::format("{} {}", name, ByDefault(inputs_.scalable_default.has_value()));
    }
    return std::string(name);
  }

  // Whether the mode of the tables is `ttm`.
  std::optional<bool> InMode(uint64_t ttm) const {
    if (!unit_.rtaddr) return std::nullopt;
    return hw::rtaddr::kTtm.Get(unit_.rtaddr.value()) == ttm;
  }

  Outcome<TableFate> Copy(Choices& choices) const {
    switch (inputs_.facts.copy_rule) {
      case CopyRule::kNeverCopies:
        return {TableFate::kEmptied,
                "a kernel of this build copies no tables (" + inputs_.facts.copy_rule_from + ")"};
      case CopyRule::kExtendedMode:
        return CopyByExtendedMode(choices);
      case CopyRule::kScalableMode:
        return CopyByScalableMode(choices);
      case CopyRule::kUnknown:
        break;
    }
    return choices.Decide(std::nullopt,
                          "the kernel tests for scalable mode (Linux 6.0, and what was taken "
                          "from it)",
                          "the kernel tests for extended mode (Linux 4.2 to 5.19)")
               ? CopyByScalableMode(choices)
               : CopyByExtendedMode(choices);
  }

  std::optional<Outcome<TableFate>> NoRoot() const {
    if (!unit_.rtaddr || hw::rtaddr::kRta.Get(unit_.rtaddr.value()) != 0) return std::nullopt;
    return Outcome<TableFate>{TableFate::kRefused, "the root table pointer is null"};
  }

  Outcome<TableFate> CopyByScalableMode(Choices& choices) const {
    const bool before =
        choices.Decide(InMode(hw::rtaddr::kTtmScalable), "the tables are in scalable mode",
                       "the tables are not in scalable mode");
    const bool wanted = choices.Decide(ScalableWanted(), "the capture kernel uses scalable mode",
                                       "the capture kernel uses legacy mode");
    const std::string_view found = before ? "scalable mode" : "legacy mode";
    if (before != wanted) {
      return {TableFate::kRefused, fmt::format("the tables are in {}, the capture kernel wants {}",
                                               found, WantedReason(wanted))};
    }
    if (const auto refused = NoRoot()) return *refused;
    return {TableFate::kCopied, fmt::format("the tables are in {}, and the capture kernel wants {}",
                                            found, WantedReason(wanted))};
  }

  Outcome<TableFate> CopyByExtendedMode(Choices& choices) const {
    const bool before =
        choices.Decide(InMode(hw::rtaddr::kTtmExtended), "the tables are in extended mode",
                       "the tables are not in extended mode");
    const bool wanted =
        choices.Decide(Bit(unit_.ecap, hw::ecap::kEcs), "ECAP.ECS is set", "ECAP.ECS is not set");
    if (before != wanted) {
      return {TableFate::kRefused,
              fmt::format("ECAP.ECS is {}, and the tables are {}in extended mode", wanted ? 1 : 0,
                          before ? "" : "not ")};
    }
    if (const auto refused = NoRoot()) return *refused;
    if (before) return {TableFate::kCopied, "the tables are in extended mode, ECAP.ECS is 1"};
    const bool scalable_before =
        choices.Decide(InMode(hw::rtaddr::kTtmScalable), "the tables are in scalable mode",
                       "the tables are in legacy mode");
    if (scalable_before) {
      return {TableFate::kMisread,
              "the tables are in scalable mode, and a kernel of this build copies them as legacy "
              "ones and marks entries by bit 67, which changes RID_PASID (" +
                  inputs_.facts.copy_rule_from + ")"};
    }
    const bool wants_scalable =
        choices.Decide(ScalableWanted(), "the capture kernel uses scalable mode",
                       "the capture kernel uses legacy mode");
    if (wants_scalable) {
      return {TableFate::kMisread,
              "legacy tables are copied, and the capture kernel wants " + WantedReason(true)};
    }
    return {TableFate::kCopied,
            "the tables are in legacy mode, and the capture kernel wants " + WantedReason(false)};
  }

  const InheritanceInputs& inputs_;
  const UnitState& unit_;
  const std::optional<IommuArguments>& capture_;
};

class InterruptRules {
 public:
  InterruptRules(const InheritanceInputs& inputs, const UnitState& unit)
      : inputs_(inputs), unit_(unit), capture_(inputs.capture) {}

  Outcome<InterruptFate> Follow(Choices& choices) const {
    const bool on =
        choices.Decide(RemappingOn(), "interrupt remapping was on", "interrupt remapping was off");
    const bool wanted = choices.Decide(Wanted(), "the capture kernel sets interrupt remapping up",
                                       "the capture kernel leaves interrupt remapping alone");
    if (!wanted) {
      return on ? Outcome<InterruptFate>{InterruptFate::kUntouched,
                                         WantedReason() +
                                             ": the unit goes on with the old table, and blocks "
                                             "interrupts of the capture kernel's own format unless "
                                             "CFI allows them"}
                : Outcome<InterruptFate>{InterruptFate::kStaysOff, WantedReason()};
    }
    return on ? TakeOver(choices) : Start(choices);
  }

 private:
  // GCMD as a guess from intel_iommu_enabled, or from the user's word, tells of TE alone.
  std::optional<bool> RemappingOn() const {
    for (const Claim<uint32_t>& claim : unit_.gcmd.claims()) {
      if (claim.origin == Origin::kKernelShadow) return hw::gcmd::kIre.Get(claim.value) != 0;
    }
    return std::nullopt;
  }

  std::optional<bool> Wanted() const {
    if (!capture_) return std::nullopt;
    if (capture_->no_acpi || capture_->no_io_apic) return false;
    if (capture_->interrupts == false) return false;
    if (!capture_->unclear_interrupts.empty()) return std::nullopt;
    return true;
  }
  std::string WantedReason() const {
    if (!capture_) return "without interrupt remapping in the capture kernel";
    if (capture_->no_acpi) return "acpi=off: no DMAR table is read";
    if (capture_->no_io_apic) return "noapic";
    if (capture_->interrupts == false) return "intremap=off";
    if (!capture_->unclear_interrupts.empty()) return capture_->unclear_interrupts.front();
    return "no interrupt remapping";
  }

  Outcome<InterruptFate> TakeOver(Choices& choices) const {
    if (inputs_.facts.copy_rule == CopyRule::kNeverCopies) {
      return {InterruptFate::kReplaced,
              "a kernel of this build copies no tables (" + inputs_.facts.copy_rule_from + ")"};
    }
    if (!inputs_.finds_old_memory) {
      return {InterruptFate::kReplaced,
              "no elfcorehdr= on its command line: the kernel does not know that it is a capture "
              "kernel"};
    }
    const bool same_size = !unit_.irta || hw::irta::kS.Get(unit_.irta.value()) == kLinuxIrTableSize;
    if (!same_size) {
      return {InterruptFate::kReplaced,
              fmt::format("the table has 2^{} entries, Linux copies one of 2^16 alone",
                          hw::irta::kS.Get(unit_.irta.value()) + 1)};
    }
    const bool same_format =
        choices.Decide(SameDestinations(), "both kernels use the same kind of APIC ids",
                       "one kernel uses x2APIC ids and the other xAPIC ids");
    const std::string_view size = unit_.irta ? "the table has the size that Linux copies"
                                             : "a table of Linux's has the size that it copies";
    if (same_format) return {InterruptFate::kCopied, std::string(size)};
    return {InterruptFate::kOtherFormat,
            fmt::format("{}, and the format of destinations is not compared", size)};
  }

  std::optional<bool> SameDestinations() const {
    if (!inputs_.facts.x2apic || !capture_) return std::nullopt;
    const bool before = inputs_.facts.x2apic.value();
    // A processor that has locked x2APIC keeps it in spite of nox2apic.
    if (capture_->no_x2apic) return before ? std::nullopt : std::optional<bool>(true);
    if (!inputs_.crashed) return std::nullopt;
    if (capture_->no_x2apic_opt_out != inputs_.crashed->no_x2apic_opt_out) return std::nullopt;
    if (before || !inputs_.crashed->no_x2apic) return true;
    return std::nullopt;
  }

  Outcome<InterruptFate> Start(Choices& choices) const {
    const bool can = choices.Decide(
        CanStart(), "nothing but the crashed kernel's options kept interrupt remapping off",
        "this machine cannot remap interrupts");
    return can ? Outcome<InterruptFate>{InterruptFate::kSwitchedOn, "it was off"}
               : Outcome<InterruptFate>{InterruptFate::kStaysOff,
                                        "the crashed kernel could not do it either"};
  }
  // All units or none. A kernel that was not told to leave it off, and did, could not.
  std::optional<bool> CanStart() const {
    for (const UnitState& other : inputs_.units) {
      if (Bit(other.ecap, hw::ecap::kIr) == false) return false;
    }
    if (!inputs_.crashed) return std::nullopt;
    const IommuArguments& crashed = *inputs_.crashed;
    const bool told = crashed.interrupts == false || crashed.no_io_apic || crashed.no_acpi ||
                      !crashed.unclear_interrupts.empty();
    if (!told) return false;
    return std::nullopt;
  }

  const InheritanceInputs& inputs_;
  const UnitState& unit_;
  const std::optional<IommuArguments>& capture_;
};

}  // namespace

std::vector<Possible<TableFate>> TableFates(const InheritanceInputs& inputs,
                                            const UnitState& unit) {
  const TableRules rules(inputs, unit);
  return AllOf<TableFate>([&rules](Choices& choices) { return rules.Follow(choices); });
}

std::vector<Possible<InterruptFate>> InterruptFates(const InheritanceInputs& inputs,
                                                    const UnitState& unit) {
  const InterruptRules rules(inputs, unit);
  return AllOf<InterruptFate>([&rules](Choices& choices) { return rules.Follow(choices); });
}

}  // namespace dmaudit
