// SPDX-License-Identifier: GPL-2.0-or-later
// Walks a domain once: its totals, its 1:1 mappings, and where it reaches into the crash kernel's
// memory.
#ifndef DMAUDIT_AUDIT_DOMAIN_WALK_H_
#define DMAUDIT_AUDIT_DOMAIN_WALK_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "audit/audit.h"
#include "audit/finding.h"
#include "base/diagnostics.h"
#include "dmar/rules.h"
#include "dmar/walk.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// Live ranges of one domain inside one reserved stretch, with one kind of access.
struct OverlapTotals {
  std::vector<Overlap> listed;  // at most kMaxListedOverlaps, in IOVA order
  uint64_t count = 0;
  uint64_t bytes = 0;
};

// Per element of MachineState::reservations.
struct DomainOverlaps {
  std::vector<OverlapTotals> writable;
  std::vector<OverlapTotals> read_only;
};

class DomainWalker {
 public:
  // Overlaps kept for domains that have the same tables under another id.
  static constexpr size_t kMaxKeptOverlaps = size_t{1} << 16;

  // All outlive the walker; `rules` has one element per unit of `result`, `ram` is as WholeRamPages
  // gives it.
  DomainWalker(AuditResult& result, const std::vector<UnitRules>& rules,
               const std::vector<PhysRange>& ram, MemorySession& session, DiagnosticSink& sink);

  // Fills the totals of result.domains[domain] (which is not in pass-through).
  DomainOverlaps Walk(size_t domain);

 private:
  // What a domain's totals depend on: unit and address space, but for the domain id, which is a
  // tag of cached translations.
  using Key = std::pair<size_t, AddressSpace>;
  struct Walked {
    size_t domain = 0;
    DomainOverlaps overlaps;
  };

  bool MapsAllRam(const AuditedDomain& domain);
  void Keep(const Key& key, size_t domain, const DomainOverlaps& overlaps);

  AuditResult& result_;
  const std::vector<UnitRules>& rules_;
  const std::vector<PhysRange>& ram_;
  MemorySession& session_;
  DiagnosticSink& sink_;
  uint64_t ram_bytes_ = 0;
  std::vector<PhysRange> watched_;  // the reservations
  WalkBudget budget_;               // of all domains
  std::map<Key, Walked> walked_;
  size_t kept_overlaps_ = 0;
};

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_DOMAIN_WALK_H_
