// SPDX-License-Identifier: GPL-2.0-or-later
// Which unit is walked, which requesters it translates, and through which address spaces.
#ifndef DMAUDIT_AUDIT_ATTACHMENTS_H_
#define DMAUDIT_AUDIT_ATTACHMENTS_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "audit/audit.h"
#include "base/diagnostics.h"
#include "dmar/rules.h"
#include "dmar/translation.h"
#include "dmar/unit_state.h"
#include "dmar/walk.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// More requesters than any machine has (64 units of 4096 virtual functions each); 24 bytes each.
inline constexpr size_t kMaxDevices = size_t{1} << 18;

// What root, context and PASID tables of all units may cost, in entries: twice what one unit may. A
// small dump can list a thousand units with the same tables.
inline constexpr uint64_t kMaxAttachmentEntries = 2 * WalkBudget::kAttachments;

// The devices and domains of all units. Attachments with equal address spaces on one unit are one
// domain.
struct Attachments {
  std::vector<AuditedUnit> units;
  std::vector<UnitRules> rules;        // one per unit
  std::vector<AuditedDomain> domains;  // in order of their first device; nothing walked yet
  std::vector<AuditedDevice> devices;  // by segment, bus, device, function, PASID
};

// Walks the root, context and PASID tables of every unit that translates.
Attachments CollectAttachments(const std::vector<UnitState>& units,
                               const std::optional<BdfFilter>& filter, MemorySession& session,
                               DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_ATTACHMENTS_H_
