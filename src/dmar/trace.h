// SPDX-License-Identifier: GPL-2.0-or-later
// The entries that one address goes through: the evidence chain of a finding.
#ifndef DMAUDIT_DMAR_TRACE_H_
#define DMAUDIT_DMAR_TRACE_H_

#include <vector>

#include "base/address.h"
#include "dmar/rules.h"
#include "dmar/translation.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// The paging entries that translate `iova`, top level first, down to the leaf or to the first entry
// that leads no further (not present, rejected, unknown: the last one listed is the last one read).
// In a nested space the first-stage entries come first, with their host addresses, then the
// second-stage entries of the address they give. Empty for pass-through.
std::vector<EntryRef> TraceTranslation(const AddressSpace& space, const UnitRules& rules,
                                       MemorySession& session, Iova iova);

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_TRACE_H_
