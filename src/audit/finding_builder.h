// SPDX-License-Identifier: GPL-2.0-or-later
// Turns what the walks found into findings.
#ifndef DMAUDIT_AUDIT_FINDING_BUILDER_H_
#define DMAUDIT_AUDIT_FINDING_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "audit/audit.h"
#include "audit/device_states.h"
#include "audit/domain_walk.h"
#include "audit/finding.h"
#include "audit/untranslated_devices.h"
#include "dmar/rules.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

class FindingBuilder {
 public:
  // All outlive the builder; `rules` has one element per unit of `result`.
  FindingBuilder(const AuditResult& result, const std::vector<UnitRules>& rules,
                 const DeviceStates& states, MemorySession& session)
      : result_(result), rules_(rules), states_(states), session_(session) {}

  // Findings of one kind that are told one by one; one more then sums up the rest. Only a crafted
  // dump has as many domains in the crash kernel's memory.
  static constexpr size_t kMaxPerKind = 1024;
  // Overlaps listed over all findings.
  static constexpr size_t kMaxListedInAll = size_t{1} << 16;

  // One finding per reserved stretch and kind of access that the domain reaches.
  void AddOverlaps(size_t domain, const DomainOverlaps& overlaps);
  // Pass-through, identity domains, units without translation, no IOMMU, device TLBs.
  // `untranslated` and `coverage` of the result are there.
  void AddReach();
  // Of these, units without translation and no IOMMU: devices that are in no table.
  void AddUntranslated();
  // No reservation, nothing loaded.
  void AddCrashKernel();

  void Add(std::vector<Finding> findings);
  // With the entries that lead to `device` (index into AuditResult::devices), if any.
  void Add(Finding finding, std::optional<size_t> device);

  // All findings, most severe first, otherwise in the order added.
  std::vector<Finding> Take();

 private:
  void AddUnits(const FindingKind& kind, UnitStatus status, WhyUntranslated why,
                std::string_view text);
  void AddUntranslatedDevices(Finding& finding, WhyUntranslated why) const;
  void AddPassThrough();
  void AddIdentityDomains();
  void AddDeviceTlbs();
  std::vector<DeviceRef> DevicesOf(const AuditedDomain& domain) const;
  // Whether user space holds any device of the domain.
  bool HeldByUser(const AuditedDomain& domain) const;
  // Of reach to all memory; empty where none is known to be reserved.
  std::string_view CrashKernelIncluded() const;
  // Empty when it has none or that is not known.
  std::string DriverOf(const DeviceRef& device) const;
  // Says whether the overlaps hit the loaded crash kernel or free memory of its reservation.
  void CompareWithImage(Finding& finding) const;
  // Whether a further finding of this kind is told by itself; counts it if not.
  bool HasRoom(const FindingKind& kind);
  // Adds the finding; root, context and PASID entries that lead to `device` are put before its
  // evidence at the end, for all findings of a unit in one walk.
  void AddWithPath(Finding finding, size_t device);
  void AddPaths();
  void AddSums();

  const AuditResult& result_;
  const std::vector<UnitRules>& rules_;
  const DeviceStates& states_;
  MemorySession& session_;
  std::vector<Finding> findings_;
  struct Told {
    size_t findings = 0;
    uint64_t left_out = 0;
  };
  std::map<const FindingKind*, Told> told_;
  size_t listed_ = 0;                                  // overlaps
  std::vector<std::pair<size_t, size_t>> want_paths_;  // finding, device
};

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_FINDING_BUILDER_H_
