// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/user_units.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "dmar/hw/global_command_register.h"
#include "dmar/hw/root_table_address_register.h"
#include "dmar/rules.h"
#include "dmar/walk.h"

namespace dmaudit {
namespace {

namespace rt = hw::rtaddr;

class UserUnits {
 public:
  UserUnits(MemorySession& session, std::vector<UnitState>& units, DiagnosticSink& sink)
      : session_(session), units_(units), sink_(sink), known_(units.size()) {}

  void Add(const UserUnit& given) {
    UnitState* unit = ByName(given.name);
    if (unit == nullptr) {
      if (known_ != 0) {
        sink_.Note("kernel.disagree", "{}: given by --unit, and none of the kernel's units",
                   given.name);
      }
      unit = &units_.emplace_back();
      unit->name = given.name;
      unit->segment = given.segment;
    }
    if (unit->segment != given.segment) {
      sink_.Note("kernel.disagree", "{}: segment is {:#x} by --unit, {:#x} by the kernel",
                 given.name, given.segment, unit->segment);
      unit->segment = given.segment;
    }
    if (unit->ignored) {
      sink_.Note("kernel.disagree", "{}: given by --unit, but the kernel ignores this unit",
                 given.name);
      unit->ignored = false;
    }
    Claim(*unit, "CAP", unit->cap, given.cap, kUnit);
    Claim(*unit, "ECAP", unit->ecap, given.ecap, kUnit);
    Claim(*unit, "RTADDR", unit->rtaddr, given.rtaddr, kUnit);
    if (!unit->gcmd) {
      unit->gcmd.Add(static_cast<uint32_t>(hw::gcmd::kTe.mask()), Origin::kUser,
                     "--unit: given with its root table, so taken to translate");
    }
  }

  void Add(const UserRoot& given) {
    UnitState* unit = OwnerOf(given.table);
    const bool alone = unit == nullptr;
    if (alone) {
      unit = &units_.emplace_back();
      unit->name = fmt::format("root@{:x}", given.table.value());
    }
    std::string place = "--root";
    std::optional<uint64_t> mode;
    if (given.scalable) {
      mode = *given.scalable ? rt::kTtmScalable : rt::kTtmLegacy;
    } else if (unit->rtaddr) {
      mode = rt::kTtm.Get(unit->rtaddr.value());
      place += fmt::format(", table mode: {}", unit->rtaddr.chosen().place);
    } else {
      mode = ModeByReading(*unit, given.table);
      place += ", table mode: the only one in which no entry is rejected";
    }
    if (alone) {
      sink_.Incomplete("kernel.user-root",
                       "{}: given by --root alone: CAP, ECAP, segment and enables of its unit are "
                       "not known (segment 0 is shown)",
                       unit->name);
    }
    if (!mode) return;
    Claim(*unit, "RTADDR", unit->rtaddr, given.table.value() | rt::kTtm.Set(0, *mode), place);
  }

 private:
  static constexpr std::string_view kUnit = "--unit";

  UnitState* ByName(std::string_view name) {
    const auto it = std::find_if(units_.begin(), units_.end(),
                                 [name](const UnitState& unit) { return unit.name == name; });
    return it == units_.end() ? nullptr : &*it;
  }

  UnitState* OwnerOf(PhysAddr table) {
    UnitState* driven = nullptr;
    size_t count = 0;
    for (UnitState& unit : units_) {
      if (unit.rtaddr && (unit.rtaddr.value() & rt::kRta.mask()) == table.value()) return &unit;
      if (unit.ignored) continue;
      driven = &unit;
      ++count;
    }
    // A unit that the user described has its root table.
    const bool free = count == 1 && known_ != 0 &&
                      !(driven->rtaddr && driven->rtaddr.chosen().origin == Origin::kUser);
    return free ? driven : nullptr;
  }

  template <typename T>
  void Claim(const UnitState& unit, std::string_view name, Known<T>& known, T value,
             std::string_view place) {
    // The user's word is taken, but a verdict that rests on it against the kernel's is no
    // certainty.
    if (known && known.value() != value) {
      sink_.Incomplete("kernel.disagree", "{}: {} is {:#x} by {}, {:#x} by {}", unit.name, name,
                       value, place, known.value(), known.chosen().place);
    }
    known.Add(value, Origin::kUser, std::string(place));
  }

  std::optional<uint64_t> ModeByReading(const UnitState& unit, PhysAddr table) {
    const SearchScope search(session_);
    std::vector<uint64_t> fitting;
    for (const uint64_t mode : {rt::kTtmLegacy, rt::kTtmScalable}) {
      UnitState trial = unit;
      trial.rtaddr.Add(table.value() | rt::kTtm.Set(0, mode), Origin::kDerived, "trial");
      DiagnosticSink unheard;
      bool any = false;
      const Result<WalkAccounting> walked = WalkAttachments(trial, UnitRules::For(trial), session_,
                                                            unheard, [&any](const Attachment&) {
                                                              any = true;
                                                              return true;
                                                            });
      if (walked && any && walked->rejected == 0) fitting.push_back(mode);
    }
    if (fitting.size() == 1) return fitting.front();
    sink_.Incomplete("kernel.user-root",
                     "{}: --root {:x}: whether it is of legacy or scalable mode cannot be told, "
                     "{}; add ,legacy or ,scalable",
                     unit.name, table.value(),
                     fitting.empty() ? "it leads to a device without a rejected entry in neither"
                                     : "it reads well in both");
    return std::nullopt;
  }

  MemorySession& session_;
  std::vector<UnitState>& units_;
  DiagnosticSink& sink_;
  const size_t known_;  // units that are not the user's
};

}  // namespace

void ApplyUserUnits(const DiscoveryOptions& options, MemorySession& session,
                    std::vector<UnitState>& units, DiagnosticSink& sink) {
  if (!options.has_user_units()) return;
  UserUnits user(session, units, sink);
  for (const UserUnit& unit : options.units) user.Add(unit);
  for (const UserRoot& root : options.roots) user.Add(root);
}

}  // namespace dmaudit
