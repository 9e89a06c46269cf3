// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "dmar/attachment_walk.h"
#include "dmar/hw/root_table_address_register.h"
#include "dmar/walk.h"

namespace dmaudit {

Result<WalkAccounting> WalkAttachments(const UnitState& unit, const UnitRules& rules,
                                       MemorySession& session, DiagnosticSink& sink,
                                       const std::function<bool(const Attachment&)>& visit,
                                       WalkBudget* budget) {
  namespace rt = hw::rtaddr;
  if (!unit.rtaddr.known()) {
    return Fail(ErrorCode::kUnknown, "the address of the root table is not known");
  }
  const uint64_t rtaddr = unit.rtaddr.value();
  const uint64_t mode = rt::kTtm.Get(rtaddr);
  if (mode == rt::kTtmExtended) {
    return Fail(
        ErrorCode::kUnsupported,
        "RTADDR {:#x} selects the extended context mode of VT-d revision 2.x (TTM 10), whose "
        "tables are not walked",
        rtaddr);
  }
  if (!rules.capabilities_known || !rules.extended_capabilities_known) {
    sink.Note("walk.capabilities",
              "{}: {} not known: everything that some unit could accept is taken as valid",
              unit.name,
              rules.capabilities_known            ? "ECAP is"
              : rules.extended_capabilities_known ? "CAP is"
                                                  : "CAP and ECAP are");
  }
  if (!rules.address_width_known) {
    sink.Note("walk.capabilities",
              "{}: host address width not known: address bits below 52 are not checked", unit.name);
  }
  if (mode == rt::kTtmAbort) {
    // Without ADMS every request faults instead (RTA.1): nothing gets through either way.
    sink.Note("walk.abort-mode", "{}: RTADDR {:#x} selects abort mode: every request is blocked",
              unit.name, rtaddr);
    return WalkAccounting{};
  }
  if (mode == rt::kTtmScalable && rules.scalable_mode == Tri::kNo) {
    sink.Note(
        "walk.doubtful",
        "{}: RTADDR {:#x} selects scalable mode, which ECAP does not have (RTA.1): walked all "
        "the same",
        unit.name, rtaddr);
  }

  WalkBudget own{WalkBudget::kAttachments};
  AttachmentWalk walk(unit, rules, session, sink, visit, budget != nullptr ? *budget : own);
  const PhysAddr root(rtaddr & rt::kRta.mask());
  if (mode == rt::kTtmScalable) {
    walk.WalkScalable(root);
  } else {
    walk.WalkLegacy(root);
  }
  return walk.accounting();
}

}  // namespace dmaudit
