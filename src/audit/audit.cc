// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/audit.h"

#include <fmt/format.h>

#include <algorithm>

#include "audit/attachments.h"
#include "audit/device_states.h"
#include "audit/domain_walk.h"
#include "audit/finding_builder.h"
#include "audit/identity.h"
#include "audit/reservation.h"
#include "audit/reserved_regions.h"
#include "audit/unit_coverage.h"
#include "audit/view_comparison.h"

namespace dmaudit {
namespace {

// What keeps the audit as a whole from being complete, apart from single tables.
void ReportMachineGaps(const MachineState& machine, DiagnosticSink& sink) {
  ReportUnreadIommu(machine, sink);
  if (!machine.reservations) {
    sink.Incomplete("audit.no-reservation",
                    "the crash kernel's memory is not known (--crashkernel START-END gives it)");
  }
}

}  // namespace

void ReportUnreadIommu(const MachineState& machine, DiagnosticSink& sink) {
  switch (machine.iommu) {
    case IommuPresence::kIntel:
    case IommuPresence::kNone:
      break;
    case IommuPresence::kUnknown:
      sink.Incomplete("audit.iommu-unknown", "whether an IOMMU was in use could not be told: {}",
                      machine.iommu_evidence);
      break;
    case IommuPresence::kAmd:
      sink.Incomplete("audit.iommu-not-read", "AMD-Vi in use, its tables are not read: {}",
                      machine.iommu_evidence);
      break;
    case IommuPresence::kOther:
      sink.Incomplete("audit.iommu-not-read", "an IOMMU other than Intel's in use is not read: {}",
                      machine.iommu_evidence);
      break;
  }
}

std::string_view ToString(UnitStatus status) {
  switch (status) {
    case UnitStatus::kWalked:
      return "walked";
    case UnitStatus::kTranslationOff:
      return "translation off";
    case UnitStatus::kIgnored:
      return "ignored";
    case UnitStatus::kUnwalkable:
      return "unwalkable";
  }
  return "unwalkable";
}

std::string_view ToString(IdentityKind kind) {
  switch (kind) {
    case IdentityKind::kNone:
      return "none";
    case IdentityKind::kRanges:
      return "ranges";
    case IdentityKind::kWhole:
      return "whole";
  }
  return "none";
}

std::optional<Severity> AuditResult::worst() const {
  std::optional<Severity> worst;
  for (const Finding& finding : findings) {
    if (!worst || finding.kind->severity > *worst) worst = finding.kind->severity;
  }
  return worst;
}

bool AuditResult::has_findings() const { return worst() >= Severity::kWarning; }

std::optional<DomainType> TypeOf(const AuditedDevice& entry, const DeviceInventory& inventory) {
  if (!entry.facts) return std::nullopt;
  const std::optional<size_t>& index = inventory.devices[*entry.facts].group;
  if (!index) return std::nullopt;
  const IommuGroup& group = inventory.groups[*index];
  if (entry.without_pasid()) return group.domain;
  const auto known = group.pasid_domains.find(entry.pasid->value);
  if (known == group.pasid_domains.end()) return std::nullopt;
  return known->second;
}

bool HeldByUser(const AuditedDevice& entry, const DeviceInventory& inventory) {
  if (!entry.facts) return false;
  const std::optional<DomainType> type = TypeOf(entry, inventory);
  return (type && IsUsers(*type)) || HeldByUser(inventory.devices[*entry.facts], inventory);
}

EntryRange EntriesOf(const AuditResult& result, const Bdf& bdf) {
  struct ById {
    bool operator()(const AuditedDevice& device, const Bdf& id) const { return device.bdf < id; }
    bool operator()(const Bdf& id, const AuditedDevice& device) const { return id < device.bdf; }
  };
  const auto [first, end] =
      std::equal_range(result.devices.begin(), result.devices.end(), bdf, ById{});
  return {static_cast<size_t>(first - result.devices.begin()),
          static_cast<size_t>(end - result.devices.begin())};
}

std::vector<std::string> GapsOf(const DiagnosticSink& sink) {
  std::vector<std::string> gaps;
  for (const Diagnostic& diagnostic : sink.diagnostics()) {
    if (diagnostic.effect == Effect::kIncomplete) gaps.push_back(diagnostic.message);
  }
  uint64_t more = 0;
  for (const auto& [id, count] : sink.suppressed()) {
    if (sink.incomplete(id)) more += count;
  }
  if (more != 0) gaps.push_back(fmt::format("up to {} more such gaps", more));
  return gaps;
}

Result<AuditResult> RunAudit(const Dump& dump, MemorySession& session, const AuditOptions& options,
                             DiagnosticSink& sink) {
  Result<MachineState> machine = DiscoverMachine(dump, session, sink, options.discovery);
  if (!machine) return tl::unexpected<Error>(machine.error());
  AuditResult result = AuditMachine(std::move(*machine), session, options, sink);
  ReportReadFaults(dump, sink);
  result.incomplete_because = GapsOf(sink);
  return result;
}

AuditResult AuditMachine(MachineState machine, MemorySession& session, const AuditOptions& options,
                         DiagnosticSink& sink) {
  AuditResult result;
  result.machine = std::move(machine);
  result.filter = options.devices;
  SettleReservations(options, result.machine, sink);
  ReportMachineGaps(result.machine, sink);

  Attachments attachments =
      CollectAttachments(result.machine.units, options.devices, session, sink);
  result.units = std::move(attachments.units);
  result.domains = std::move(attachments.domains);
  result.devices = std::move(attachments.devices);
  const DeviceStates states(result.machine.inventory);
  for (AuditedDevice& device : result.devices) {
    device.facts = states.Find(device.bdf);
    if (device.facts) device.ability = states.Ability(*device.facts);
  }

  const std::vector<PhysRange> ram = WholeRamPages(result.machine.system_ram.value_or({}));
  FindingBuilder builder(result, attachments.rules, states, session);
  DomainWalker walker(result, attachments.rules, ram, session, sink);
  for (size_t i = 0; i < result.domains.size(); ++i) {
    if (result.domains[i].space.stage == Stage::kPassThrough) continue;
    const DomainOverlaps overlaps = walker.Walk(i);
    // A domain that reaches everything is one finding, never thousands of overlaps.
    if (result.domains[i].identity != IdentityKind::kWhole) builder.AddOverlaps(i, overlaps);
  }
  result.coverage = CoverageOf(result);
  FindUntranslatedDevices(result);
  builder.AddReach();
  builder.Add(CheckCoverage(result, states, sink));
  // Where a reservation is missed, that there is none is no fact to report.
  const bool none = result.machine.reservations && result.machine.reservations->empty();
  if (!none || !sink.incomplete("kernel.reservation-doubtful")) builder.AddCrashKernel();
  builder.Add(CheckReservedRegions(result, attachments.rules, session, sink));
  for (ViewFinding& view : CompareViews(result, session))
    builder.Add(std::move(view.finding), view.entry);
  result.findings = builder.Take();

  for (const AuditedUnit& unit : result.units) result.accounting += unit.accounting;
  for (const AuditedDomain& domain : result.domains) result.accounting += domain.accounting;
  result.pages_read = session.pages_decoded();
  result.incomplete_because = GapsOf(sink);
  return result;
}

}  // namespace dmaudit
