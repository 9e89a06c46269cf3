// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/domain_walk.h"

#include <optional>
#include <utility>

#include "audit/identity.h"
#include "dmar/tally.h"
#include "dmar/walk.h"

namespace dmaudit {
namespace {

// Sorts the examples of a walk by reservation and access, and completes their counts from its
// totals.
class OverlapCollector {
 public:
  explicit OverlapCollector(const std::vector<PhysRange>& watched) : watched_(watched) {
    overlaps_.writable.resize(watched.size());
    overlaps_.read_only.resize(watched.size());
  }

  void Add(size_t watch, const LiveRange& range) {
    const std::optional<PhysRange> pa = PhysRange::FromSize(range.pa, range.size);
    const std::optional<PhysRange> overlap = pa ? pa->Intersect(watched_[watch]) : std::nullopt;
    if (!overlap) return;
    OverlapTotals& totals =
        (range.permissions.write ? overlaps_.writable : overlaps_.read_only)[watch];
    totals.listed.push_back({range, *overlap});
  }

  DomainOverlaps Finish(const std::vector<WatchTotals>& watch_totals) {
    for (size_t i = 0; i < watched_.size(); ++i) {
      OverlapTotals& writable = overlaps_.writable[i];
      OverlapTotals& read_only = overlaps_.read_only[i];
      const WatchTotals& all = watch_totals[i];
      writable.bytes = all.writable_bytes;
      writable.count = all.writable_ranges;
      read_only.bytes = all.mapped_bytes - all.writable_bytes;
      read_only.count = all.ranges - all.writable_ranges;
    }
    return std::move(overlaps_);
  }

 private:
  const std::vector<PhysRange>& watched_;
  DomainOverlaps overlaps_;
};

class CoverVisitor : public RangeVisitor {
 public:
  explicit CoverVisitor(const std::vector<PhysRange>& ram) : cover_(ram) {}
  bool OnRange(const LiveRange& range) override {
    cover_.Add(range);
    return true;
  }
  bool whole() const { return cover_.whole(); }

 private:
  IdentityCover cover_;
};

}  // namespace

DomainWalker::DomainWalker(AuditResult& result, const std::vector<UnitRules>& rules,
                           const std::vector<PhysRange>& ram, MemorySession& session,
                           DiagnosticSink& sink)
    : result_(result), rules_(rules), ram_(ram), session_(session), sink_(sink) {
  for (const PhysRange& range : ram) ram_bytes_ += range.size();
  if (!result.machine.reservations) return;
  for (const Reservation& reservation : *result.machine.reservations) {
    watched_.push_back(reservation.range.value());
  }
}

DomainOverlaps DomainWalker::Walk(size_t index) {
  AuditedDomain& domain = result_.domains[index];
  Key key{domain.unit, domain.space};
  key.second.did = {};
  const auto known = walked_.find(key);
  if (known != walked_.end()) {
    const AuditedDomain& same = result_.domains[known->second.domain];
    domain.accounting = same.accounting;
    domain.mapped_bytes = same.mapped_bytes;
    domain.writable_bytes = same.writable_bytes;
    domain.ranges = same.ranges;
    domain.table_pages = same.table_pages;
    domain.identity_bytes = same.identity_bytes;
    domain.identity = same.identity;
    return known->second.overlaps;
  }
  OverlapCollector overlaps(watched_);
  Tally tally(watched_, kMaxListedOverlaps,
              [&](size_t watch, const LiveRange& range) { overlaps.Add(watch, range); });
  domain.accounting =
      WalkAddressSpace(domain.space, rules_[domain.unit], session_, sink_, tally, &budget_);
  const SpaceTotals totals = tally.totals();
  domain.mapped_bytes = totals.mapped_bytes;
  domain.writable_bytes = totals.writable_bytes;
  domain.ranges = totals.ranges;
  domain.table_pages = totals.table_pages;
  domain.identity_bytes = totals.identity_bytes;
  if (domain.identity_bytes != 0) {
    domain.identity = MapsAllRam(domain) ? IdentityKind::kWhole : IdentityKind::kRanges;
  }
  DomainOverlaps found = overlaps.Finish(totals.watch);
  Keep(key, index, found);
  return found;
}

void DomainWalker::Keep(const Key& key, size_t domain, const DomainOverlaps& overlaps) {
  // The empty lists of one domain count too.
  size_t size = 2 * watched_.size() + 1;
  for (const auto* kind : {&overlaps.writable, &overlaps.read_only}) {
    for (const OverlapTotals& totals : *kind) size += totals.listed.size();
  }
  if (size > kMaxKeptOverlaps - kept_overlaps_) return;
  kept_overlaps_ += size;
  walked_.emplace(key, Walked{domain, overlaps});
}

bool DomainWalker::MapsAllRam(const AuditedDomain& domain) {
  if (ram_bytes_ == 0 || domain.identity_bytes < ram_bytes_) return false;
  CoverVisitor cover(ram_);
  DiagnosticSink repeated;  // the first walk has reported everything
  WalkAddressSpace(domain.space, rules_[domain.unit], session_, repeated, cover, &budget_);
  return cover.whole();
}

}  // namespace dmaudit
