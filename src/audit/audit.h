// SPDX-License-Identifier: GPL-2.0-or-later
// The audit: one dump in, units, domains, devices, findings and their certainty out.
#ifndef DMAUDIT_AUDIT_AUDIT_H_
#define DMAUDIT_AUDIT_AUDIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/finding.h"
#include "audit/untranslated_devices.h"
#include "audit/view_gap.h"
#include "base/diagnostics.h"
#include "base/ids.h"
#include "base/result.h"
#include "dmar/translation.h"
#include "kernel/machine.h"
#include "vmcore/dump.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

struct AuditOptions {
  std::vector<PhysRange> crashkernel;  // not empty: replaces what the kernel says
  std::optional<BdfFilter> devices;    // audit only these
  DiscoveryOptions discovery;
};

enum class UnitStatus : uint8_t {
  kWalked,
  kTranslationOff,  // TE is 0: the tables are not in use
  kIgnored,         // the kernel does not drive it
  kUnwalkable,      // the root table could not be walked; `status_reason` says why
};
std::string_view ToString(UnitStatus status);

struct AuditedUnit {
  UnitState state;
  UnitStatus status = UnitStatus::kWalked;
  std::string status_reason;
  WalkAccounting accounting;  // root, context and PASID entries
  uint64_t devices = 0;
};

enum class IdentityKind : uint8_t {
  kNone,
  kRanges,  // some mappings have IOVA equal to physical address (RMRR, ISA bridge)
  kWhole,   // all RAM is mapped at its own address
};
std::string_view ToString(IdentityKind kind);

struct AuditedDomain {
  size_t unit = 0;  // index into AuditResult::units
  AddressSpace space;
  uint8_t address_width = 0;
  std::vector<size_t> devices;  // indices into AuditResult::devices
  uint64_t mapped_bytes = 0;
  uint64_t writable_bytes = 0;
  uint64_t table_pages = 0;  // distinct
  uint64_t ranges = 0;
  IdentityKind identity = IdentityKind::kNone;
  uint64_t identity_bytes = 0;
  WalkAccounting accounting;  // paging entries
};

struct AuditedDevice {
  Bdf bdf;
  std::optional<Pasid> pasid;
  size_t unit = 0;
  size_t domain = 0;
  bool device_tlb = false;
  std::optional<size_t> facts = std::nullopt;  // index into MachineState::inventory.devices
  DmaAbility ability = DmaAbility::kUnknown;

  // In scalable mode PASID 0 stands for requests without one.
  bool without_pasid() const { return !pasid || pasid->value == 0; }
};

// Devices that the kernel attached to a domain, or may have (ViewGap::kRecordUnread), by whether
// the entries of the hardware say the same (audit/view_comparison.h): attached = agree + differ +
// unknown.
struct ViewCounts {
  uint64_t attached = 0;
  uint64_t agree = 0;
  uint64_t differ = 0;
  uint64_t unknown = 0;
  std::vector<UnknownViews> gaps;  // in the order of ViewGap; each unknown device once
};

// Whether a device is behind a unit, by the scopes that firmware declared.
enum class Coverage : uint8_t {
  kUnknown,
  kUnit,  // some unit translates what it sends
  kNone,  // no unit does: it reaches all memory
};
// "unknown", "unit", "none".
std::string_view ToString(Coverage coverage);

// What the kernel has the entry's requests in: the group's domain, for requests with a PASID the
// one of the PASID.
std::optional<DomainType> TypeOf(const AuditedDevice& entry, const DeviceInventory& inventory);
// HeldByUser() of the device, or the domain of the entry's PASID is a user's.
bool HeldByUser(const AuditedDevice& entry, const DeviceInventory& inventory);

struct AuditResult {
  MachineState machine;
  // Set when only some devices were audited: nothing here speaks of the others.
  std::optional<BdfFilter> filter;
  std::vector<AuditedUnit> units;
  std::vector<AuditedDomain> domains;
  std::vector<AuditedDevice> devices;            // in device, then PASID, then unit order
  std::vector<Coverage> coverage;                // of MachineState::inventory.devices, in its order
  std::vector<UntranslatedDevice> untranslated;  // devices without entries that reach all memory
  bool untranslated_complete = false;            // these are all
  std::vector<Finding> findings;                 // most severe first
  WalkAccounting accounting;                     // of all entries
  ViewCounts views;
  uint64_t pages_read = 0;

  // Reasons why something that could hold a finding was not seen; empty means complete.
  std::vector<std::string> incomplete_because;
  bool complete() const { return incomplete_because.empty(); }
  // Most severe finding; nothing when there is none.
  std::optional<Severity> worst() const;
  // Whether any finding is at least a warning: the verdict is then "findings", else "clean".
  bool has_findings() const;
};

// The entries that the tables of any unit have for a requester id, of requests with and without a
// PASID: indices from `first` to before `end` into AuditResult::devices.
struct EntryRange {
  size_t first = 0;
  size_t end = 0;
  bool empty() const { return first == end; }
};
EntryRange EntriesOf(const AuditResult& result, const Bdf& bdf);

// Reports an IOMMU whose tables are not read, or that nobody can tell is there.
void ReportUnreadIommu(const MachineState& machine, DiagnosticSink& sink);

// What `sink` holds of Effect::kIncomplete, one sentence each.
std::vector<std::string> GapsOf(const DiagnosticSink& sink);

// Finds the kernel and its units and walks every one of them. Only a dump in which no kernel can be
// found is an error; everything else ends in the result, with what is missing in
// `incomplete_because`.
Result<AuditResult> RunAudit(const Dump& dump, MemorySession& session, const AuditOptions& options,
                             DiagnosticSink& sink);

// The same for a machine whose state is known already. Cannot fail: what is missing ends in the
// result.
AuditResult AuditMachine(MachineState machine, MemorySession& session, const AuditOptions& options,
                         DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_AUDIT_H_
