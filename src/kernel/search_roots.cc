// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/search_roots.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "dmar/find_root.h"
#include "dmar/hw/global_command_register.h"
#include "dmar/hw/root_table_address_register.h"
#include "kernel/discover_units.h"

namespace dmaudit {
namespace {

// Units with capabilities of their own that are searched for: machines have one or two kinds, and
// every kind follows the candidates again.
constexpr size_t kMaxKinds = 8;

// A unit that needs a root table.
struct Seeker {
  UnitState* unit;
  std::vector<UnitRules> trials;  // one for each table mode it may be in
  const RootSearchResult* result = nullptr;
};

// Whether the kernel drives the unit, has or may have translation on, and has no known root table.
bool NeedsRoot(const UnitState& unit) {
  if (unit.ignored || unit.rtaddr.known()) return false;
  return !unit.gcmd.known() || hw::gcmd::kTe.Get(unit.gcmd.value()) != 0;
}

// Nothing when no table mode can be searched for; said.
std::optional<Seeker> MakeSeeker(const KernelView& kernel, UnitState& unit) {
  if (!unit.cap.known() || !unit.ecap.known()) {
    kernel.sink.Incomplete("kernel.root-search",
                           "{}: no search for its root table: CAP or ECAP is not known", unit.name);
    return std::nullopt;
  }
  std::vector<uint64_t> modes = {hw::rtaddr::kTtmLegacy, hw::rtaddr::kTtmScalable};
  if (const std::optional<uint64_t> mode = RootTableMode(kernel, unit)) {
    modes = {hw::rtaddr::kTtm.Get(*mode)};
  }
  Seeker seeker{&unit, {}, nullptr};
  for (const uint64_t mode : modes) {
    if (mode != hw::rtaddr::kTtmLegacy && mode != hw::rtaddr::kTtmScalable) {
      kernel.sink.Incomplete("kernel.root-search",
                             "{}: no search for its root table: table mode {} is not walked",
                             unit.name, mode);
      return std::nullopt;
    }
    UnitState trial = unit;
    trial.rtaddr.Add(hw::rtaddr::kTtm.Set(0, mode), Origin::kDerived, "trial");
    seeker.trials.push_back(UnitRules::For(trial));
  }
  return seeker;
}

std::string Describe(const RootCandidate& candidate) {
  return fmt::format("{:#x} ({}, {} {})", candidate.table.value(),
                     candidate.scalable ? "scalable" : "legacy", candidate.devices,
                     candidate.devices == 1 ? "device" : "devices");
}

std::string Describe(const std::vector<RootCandidate>& candidates) {
  std::string out;
  for (const RootCandidate& candidate : candidates) {
    out += (out.empty() ? "" : ", ") + Describe(candidate);
  }
  return out;
}

void Assign(const KernelView& kernel, UnitState& unit, const RootCandidate& root,
            const RootSearchResult& result) {
  const uint64_t mode = root.scalable ? hw::rtaddr::kTtmScalable : hw::rtaddr::kTtmLegacy;
  const std::string coverage = DescribeCoverage(result);
  unit.rtaddr.Add(root.table.value() | hw::rtaddr::kTtm.Set(0, mode), Origin::kSearch,
                  fmt::format("search for a root table, the only hit; {}; {} tables below it, no "
                              "rejected entry",
                              coverage, root.tables));
  std::string message = fmt::format(
      "{}: root table {} found by search, not through the kernel's structures; CAP: {}, ECAP: {}, "
      "enables: {}; the root table is the only hit; {}",
      unit.name, Describe(root), ToString(unit.cap.chosen().origin),
      ToString(unit.ecap.chosen().origin),
      unit.gcmd.known() ? std::string_view(unit.gcmd.chosen().place) : "not known", coverage);
  if (!result.partial.empty()) {
    message += fmt::format("; of others some tables are not known: {}", Describe(result.partial));
  }
  kernel.sink.Report("kernel.root-search", Effect::kIncomplete, std::move(message));
}

void ReportUnassigned(const KernelView& kernel, const UnitState& unit,
                      const RootSearchResult& result) {
  std::string message = unit.name + ": ";
  if (!result.found.empty()) {
    message += fmt::format("root table not decided, found by search: {}", Describe(result.found));
    if (result.found.size() == 1) message += ", which could be that of another unit too";
  } else if (!result.partial.empty()) {
    message += fmt::format("no root table found by search; some tables are not known below {}",
                           Describe(result.partial));
  } else {
    message += "no root table found by search";
  }
  if (result.more != 0) message += fmt::format(" and {} more", result.more);
  message += "; " + DescribeCoverage(result);
  kernel.sink.Report("kernel.root-search", Effect::kIncomplete, std::move(message));
}

}  // namespace

void SearchRoots(const KernelView& kernel, MemorySession& session, std::vector<UnitState>& units) {
  if (std::none_of(units.begin(), units.end(), NeedsRoot)) return;
  // A kernel that never switched translation on has no root table to find, at best a stale one.
  const Result<uint32_t> enabled = ReadIntVariable(kernel, "intel_iommu_enabled");
  const bool switched_off = enabled && *enabled == 0;

  std::unordered_set<PhysAddr> taken;
  std::vector<Seeker> seekers;
  for (UnitState& unit : units) {
    if (unit.rtaddr.known()) {
      taken.insert(PhysAddr(unit.rtaddr.value() & hw::rtaddr::kRta.mask()));
    } else if (NeedsRoot(unit) && (unit.gcmd.known() || !switched_off)) {
      if (std::optional<Seeker> seeker = MakeSeeker(kernel, unit)) {
        seekers.push_back(*std::move(seeker));
      }
    }
  }
  if (seekers.empty()) return;

  using Kind = std::tuple<uint64_t, uint64_t, unsigned, size_t, bool>;
  std::map<Kind, RootSearchResult> results;
  RootFinder finder(session);
  for (Seeker& seeker : seekers) {
    const UnitState& unit = *seeker.unit;
    const Kind kind{unit.cap.value(), unit.ecap.value(), unit.host_address_width.value_or(0),
                    seeker.trials.size(), seeker.trials.front().scalable};
    auto known = results.find(kind);
    if (known == results.end()) {
      if (results.size() >= kMaxKinds) {
        kernel.sink.Incomplete("kernel.root-search",
                               "{}: no search for its root table: more than {} kinds of units",
                               unit.name, kMaxKinds);
        continue;
      }
      known = results.emplace(kind, finder.Find(seeker.trials, taken)).first;
    }
    seeker.result = &known->second;
  }

  // A page that fits several units is assigned to none: which one it is of cannot be told.
  std::map<PhysAddr, size_t> claims;
  for (const Seeker& seeker : seekers) {
    if (seeker.result == nullptr) continue;
    std::unordered_set<PhysAddr> own;
    for (const RootCandidate& candidate : seeker.result->found) {
      if (own.insert(candidate.table).second) ++claims[candidate.table];
    }
  }
  for (const Seeker& seeker : seekers) {
    if (seeker.result == nullptr) continue;
    const std::vector<RootCandidate>& found = seeker.result->found;
    if (found.size() == 1 && seeker.result->more == 0 && claims[found.front().table] == 1) {
      Assign(kernel, *seeker.unit, found.front(), *seeker.result);
    } else {
      ReportUnassigned(kernel, *seeker.unit, *seeker.result);
    }
  }
}

}  // namespace dmaudit
