// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/mappings.h"

#include <unordered_map>

#include "audit/attachments.h"
#include "audit/device_states.h"
#include "audit/finding_builder.h"
#include "audit/reservation.h"
#include "audit/unit_coverage.h"
#include "dmar/walk.h"
#include "kernel/machine.h"

namespace dmaudit {
namespace {

using RowVisitor = std::function<bool(const MappingRow&)>;

// Passes ranges on and keeps them while they are few enough to be replayed for the next device of
// the domain.
class KeepingVisitor : public RangeVisitor {
 public:
  KeepingVisitor(bool keep, const std::function<bool(const LiveRange&)>& visit)
      : keep_(keep), visit_(visit) {}

  bool OnRange(const LiveRange& range) override {
    if (keep_) {
      if (kept_.size() == kMaxKeptRanges) {
        keep_ = false;
        kept_ = {};
      } else {
        kept_.push_back(range);
      }
    }
    go_on_ = visit_(range);
    return go_on_;
  }

  bool go_on() const { return go_on_; }
  bool keeps_all() const { return keep_ && go_on_; }
  std::vector<LiveRange>& kept() { return kept_; }

 private:
  bool keep_;
  const std::function<bool(const LiveRange&)>& visit_;
  bool go_on_ = true;
  std::vector<LiveRange> kept_;
};

// Table entries looked at for all rows: twice what an audit looks at, since tables that are too
// large to be kept are walked once per device.
constexpr uint64_t kMaxMappingEntries = 2 * WalkBudget::kDefault;

// A kept range costs no walk, but a row takes as long to write as this many entries to look at. A
// file of a few pages can name 65,536 devices that share one table.
constexpr uint64_t kReplayedRowCost = 128;

// The size of an IOVA space of `width` bits.
uint64_t SpaceSize(uint8_t width) { return width >= 64 ? UINT64_MAX : uint64_t{1} << width; }

// Devices that nothing translates reach all memory and are in no table: without a word, that they
// have no row would read as "they reach nothing".
void ReportReachWithoutRows(AuditResult& result, const std::vector<UnitRules>& rules,
                            MemorySession& session, DiagnosticSink& sink) {
  ReportUnreadIommu(result.machine, sink);
  const DeviceStates states(result.machine.inventory);
  result.coverage = CoverageOf(result);
  FindUntranslatedDevices(result);
  FindingBuilder builder(result, rules, states, session);
  builder.AddUntranslated();
  builder.Add(CheckCoverage(result, states, sink));
  for (const Finding& finding : builder.Take()) {
    sink.Incomplete("mappings.no-rows", "{}; there are no rows for that", finding.message);
  }
}

}  // namespace

Result<bool> StreamMappings(const Dump& dump, MemorySession& session, const AuditOptions& options,
                            DiagnosticSink& sink, const RowVisitor& visit) {
  Result<MachineState> machine = DiscoverMachine(dump, session, sink, options.discovery);
  if (!machine) return tl::unexpected<Error>(machine.error());
  SettleReservations(options, *machine, sink);
  Attachments attachments = CollectAttachments(machine->units, options.devices, session, sink);
  AuditResult result;
  result.machine = *std::move(machine);
  result.filter = options.devices;
  result.units = std::move(attachments.units);
  result.devices = std::move(attachments.devices);
  result.domains = std::move(attachments.domains);
  ReportReachWithoutRows(result, attachments.rules, session, sink);

  std::unordered_map<size_t, std::vector<LiveRange>> replay;  // by domain
  // What a second walk of a shared table reports again was said the first time.
  DiagnosticSink repeated;
  WalkBudget budget{kMaxMappingEntries};
  for (size_t i = 0; i < result.devices.size(); ++i) {
    const AuditedDevice& device = result.devices[i];
    const AuditedDomain& domain = result.domains[device.domain];
    MappingRow row{result.units[device.unit].state.name,
                   device.bdf,
                   device.pasid,
                   domain.space.did,
                   domain.space.stage,
                   Iova(0),
                   SpaceSize(domain.address_width),
                   std::nullopt,
                   {true, true}};
    if (domain.space.stage == Stage::kPassThrough) {
      if (!visit(row)) break;
      continue;
    }
    const std::function<bool(const LiveRange&)> emit = [&](const LiveRange& range) {
      row.iova = range.iova;
      row.size = range.size;
      row.pa = range.pa;
      row.permissions = range.permissions;
      return visit(row);
    };
    bool go_on = true;
    const auto kept = replay.find(device.domain);
    if (kept != replay.end()) {
      for (const LiveRange& range : kept->second) {
        if (!budget.Spend(kReplayedRowCost)) break;
        go_on = emit(range);
        if (!go_on) break;
      }
    } else {
      const bool first = domain.devices.front() == i;
      KeepingVisitor visitor(domain.devices.size() > 1, emit);
      WalkAddressSpace(domain.space, attachments.rules[device.unit], session,
                       first ? sink : repeated, visitor, &budget);
      if (visitor.keeps_all()) replay.emplace(device.domain, std::move(visitor.kept()));
      go_on = visitor.go_on();
    }
    if (domain.devices.back() == i) replay.erase(device.domain);
    if (!go_on) break;
  }
  if (budget.entries == 0) {
    // A walk for a further device of a domain reports elsewhere.
    sink.Incomplete("walk.budget", "more than {} page table entries: rows are left out",
                    kMaxMappingEntries);
  }
  ReportReadFaults(dump, sink);
  return sink.incomplete();
}

}  // namespace dmaudit
