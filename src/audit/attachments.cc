// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/attachments.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "dmar/hw/global_status_register.h"
#include "dmar/walk.h"

namespace dmaudit {
namespace {

// Whether the unit's tables are in use, as far as is known. A unit whose enables are not known is
// walked: its tables may be live.
UnitStatus StatusBeforeWalk(const UnitState& unit, DiagnosticSink& sink) {
  if (unit.ignored) return UnitStatus::kIgnored;
  if (!unit.gcmd) {
    sink.Incomplete("unit.enables-unknown",
                    "{}: whether translation was enabled is not known; walked as if it was",
                    unit.name);
    return UnitStatus::kWalked;
  }
  return hw::gsts::kTes.Get(unit.gcmd.value()) != 0 ? UnitStatus::kWalked
                                                    : UnitStatus::kTranslationOff;
}

class Collector {
 public:
  Collector(Attachments& out, const std::optional<BdfFilter>& filter, DiagnosticSink& sink)
      : out_(out), filter_(filter), sink_(sink) {}

  bool Add(size_t unit, const Attachment& attachment) {
    if (filter_ && !filter_->Matches(attachment.bdf)) return true;
    if (out_.devices.size() == kMaxDevices) {
      sink_.Incomplete("audit.too-many-devices",
                       "{}: more than {} requesters; the rest is not audited",
                       out_.units[unit].state.name, kMaxDevices);
      return false;
    }
    const auto [known, fresh] = domains_.try_emplace({unit, attachment.space}, out_.domains.size());
    if (fresh) {
      AuditedDomain domain;
      domain.unit = unit;
      domain.space = attachment.space;
      domain.address_width = attachment.address_width;
      out_.domains.push_back(std::move(domain));
    }
    ++out_.units[unit].devices;
    out_.devices.push_back(
        {attachment.bdf, attachment.pasid, unit, known->second, attachment.device_tlb});
    return true;
  }

 private:
  Attachments& out_;
  const std::optional<BdfFilter>& filter_;
  DiagnosticSink& sink_;
  std::map<std::pair<size_t, AddressSpace>, size_t> domains_;
};

// Translation for no device at all is not how a machine runs: the tables may be fine and the
// reading of them wrong, since their place, their mode and the capabilities are the kernel's word
// and not registers. One unit can be without devices, but not when it has entries and all are
// refused; all units cannot, since one has the host bridge behind it.
void CheckForDevices(const std::vector<AuditedUnit>& units, DiagnosticSink& sink) {
  bool none = !units.empty();
  for (const AuditedUnit& unit : units) {
    const WalkAccounting& entries = unit.accounting;
    none = none && unit.status == UnitStatus::kWalked && entries.visited != 0 &&
           entries.leaves == 0 && entries.unreadable == 0;
    if (entries.leaves != 0 || entries.rejected + entries.dead == 0) continue;
    sink.Incomplete("unit.no-device",
                    "{}: of {} root, context and PASID entries that are present ({} refused) none "
                    "translates for a device: table mode or capabilities may be other ones",
                    unit.state.name, entries.tables + entries.dead + entries.rejected,
                    entries.rejected);
    none = false;
  }
  if (none) {
    sink.Incomplete("unit.no-device", "translation is on, and no unit has an entry for a device");
  }
}

// Devices in order, and domains in the order of their first device.
void Order(Attachments& out) {
  std::sort(out.devices.begin(), out.devices.end(),
            [](const AuditedDevice& a, const AuditedDevice& b) {
              return std::tie(a.bdf, a.pasid, a.unit) < std::tie(b.bdf, b.pasid, b.unit);
            });
  std::vector<size_t> place(out.domains.size(), SIZE_MAX);
  std::vector<AuditedDomain> ordered;
  for (size_t i = 0; i < out.devices.size(); ++i) {
    size_t& at = place[out.devices[i].domain];
    if (at == SIZE_MAX) {
      at = ordered.size();
      ordered.push_back(std::move(out.domains[out.devices[i].domain]));
    }
    out.devices[i].domain = at;
    ordered[at].devices.push_back(i);
  }
  out.domains = std::move(ordered);
}

}  // namespace

Attachments CollectAttachments(const std::vector<UnitState>& units,
                               const std::optional<BdfFilter>& filter, MemorySession& session,
                               DiagnosticSink& sink) {
  Attachments out;
  Collector collector(out, filter, sink);
  WalkBudget left{kMaxAttachmentEntries};
  for (const UnitState& state : units) {
    const size_t index = out.units.size();
    AuditedUnit unit;
    unit.state = state;
    unit.status = StatusBeforeWalk(state, sink);
    out.units.push_back(std::move(unit));
    out.rules.push_back(UnitRules::For(state));
    if (out.units[index].status != UnitStatus::kWalked) continue;
    if (left.entries == 0) {
      out.units[index].status = UnitStatus::kUnwalkable;
      out.units[index].status_reason =
          "the units before it had more entries than are looked at together";
      sink.Incomplete("unit.unwalkable", "{}: {}", state.name, out.units[index].status_reason);
      continue;
    }
    const uint64_t most = std::min(left.entries, WalkBudget::kAttachments);
    WalkBudget budget{most};
    const Result<WalkAccounting> walked = WalkAttachments(
        state, out.rules[index], session, sink,
        [&](const Attachment& attachment) { return collector.Add(index, attachment); }, &budget);
    if (walked) {
      out.units[index].accounting = *walked;
      (void)left.Spend(std::max(most - budget.entries, walked->visited));
    } else {
      out.units[index].status = UnitStatus::kUnwalkable;
      out.units[index].status_reason = walked.error().message;
      sink.Incomplete("unit.unwalkable", "{}: {}", state.name, walked.error().message);
    }
  }
  CheckForDevices(out.units, sink);
  Order(out);
  // A mistyped address must not read as "this device reaches nothing".
  if (filter && out.devices.empty()) {
    sink.Incomplete("audit.no-such-device",
                    "-s {}: no requester in any table that was walked: nothing was audited",
                    ToString(*filter));
  }
  return out;
}

}  // namespace dmaudit
