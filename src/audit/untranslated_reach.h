// SPDX-License-Identifier: GPL-2.0-or-later
// Where the live I/O virtual addresses of a domain lead once nothing translates them.
#ifndef DMAUDIT_AUDIT_UNTRANSLATED_REACH_H_
#define DMAUDIT_AUDIT_UNTRANSLATED_REACH_H_

#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "audit/inheritance.h"
#include "dmar/rules.h"
#include "dmar/walk.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

class UntranslatedReachFinder {
 public:
  // Both outlive the finder.
  UntranslatedReachFinder(const AuditResult& audit, MemorySession& session);

  // Of audit.domains[domain], which is not in pass-through. The walk reports nothing: the audit
  // has.
  UntranslatedReach Find(size_t domain);

 private:
  // As DomainWalker's: the domain id is a tag of cached translations.
  using Key = std::pair<size_t, AddressSpace>;

  const AuditResult& audit_;
  MemorySession& session_;
  // Ascending and disjoint.
  std::optional<std::vector<PhysRange>> ram_, crash_kernel_, image_;
  std::vector<UnitRules> rules_;
  WalkBudget budget_;
  std::map<Key, UntranslatedReach> found_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_UNTRANSLATED_REACH_H_
