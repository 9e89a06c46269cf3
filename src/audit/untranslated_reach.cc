// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/untranslated_reach.h"

#include <algorithm>

#include "base/ranges.h"

namespace dmaudit {
namespace {

void Count(AddressHits& hits, uint64_t bytes, bool writable) {
  ++hits.ranges;
  hits.bytes += bytes;
  if (!writable) return;
  ++hits.writable_ranges;
  hits.writable_bytes += bytes;
}

void CountInside(const std::optional<std::vector<PhysRange>>& areas, const PhysRange& range,
                 bool writable, std::optional<AddressHits>& hits) {
  if (!areas) return;
  uint64_t bytes = 0;
  auto at =
      std::lower_bound(areas->begin(), areas->end(), range.first,
                       [](const PhysRange& area, PhysAddr address) { return area.last < address; });
  // Live ranges are disjoint: over a whole walk this visits an area once per range at most that
  // ends in it.
  for (; at != areas->end() && at->first <= range.last; ++at) {
    bytes += at->Intersect(range)->size();
  }
  if (bytes != 0) Count(*hits, bytes, writable);
}

}  // namespace

UntranslatedReachFinder::UntranslatedReachFinder(const AuditResult& audit, MemorySession& session)
    : audit_(audit), session_(session) {
  const MachineState& machine = audit.machine;
  if (machine.system_ram && !machine.system_ram.value().empty()) {
    ram_ = JoinRanges(machine.system_ram.value());
  }
  if (machine.reservations) {
    std::vector<PhysRange> reserved;
    for (const Reservation& reservation : *machine.reservations) {
      if (reservation.range) reserved.push_back(reservation.range.value());
    }
    crash_kernel_ = JoinRanges(std::move(reserved));
  }
  if (machine.crash_image && machine.crash_image->complete) {
    std::vector<PhysRange> pieces;
    for (const ImageSegment& segment : machine.crash_image->segments) {
      pieces.push_back(segment.range);
    }
    image_ = JoinRanges(std::move(pieces));
  }
  for (const AuditedUnit& unit : audit.units) rules_.push_back(UnitRules::For(unit.state));
}

UntranslatedReach UntranslatedReachFinder::Find(size_t index) {
  const AuditedDomain& domain = audit_.domains[index];
  Key key{domain.unit, domain.space};
  key.second.did = {};
  const auto known = found_.find(key);
  if (known != found_.end()) return known->second;

  class Visitor : public RangeVisitor {
   public:
    Visitor(const UntranslatedReachFinder& finder, UntranslatedReach& reach)
        : finder_(finder), reach_(reach) {}
    bool OnRange(const LiveRange& range) override {
      const std::optional<PhysRange> physical =
          PhysRange::FromSize(PhysAddr(range.iova.value()), range.size);
      if (!physical) return true;
      const bool writable = range.permissions.write;
      Count(reach_.all, range.size, writable);
      if (range.pa == physical->first) {
        Count(reach_.same, range.size, writable);
        return true;
      }
      CountInside(finder_.ram_, *physical, writable, reach_.ram);
      CountInside(finder_.crash_kernel_, *physical, writable, reach_.crash_kernel);
      CountInside(finder_.image_, *physical, writable, reach_.image);
      return true;
    }

   private:
    const UntranslatedReachFinder& finder_;
    UntranslatedReach& reach_;
  };

  UntranslatedReach reach;
  // An area that no range hits has been looked for too.
  if (ram_) reach.ram.emplace();
  if (crash_kernel_) reach.crash_kernel.emplace();
  if (image_) reach.image.emplace();
  DiagnosticSink repeated;
  Visitor visitor(*this, reach);
  WalkAddressSpace(domain.space, rules_[domain.unit], session_, repeated, visitor, &budget_);
  reach.complete = !repeated.incomplete();
  found_.emplace(key, reach);
  return reach;
}

}  // namespace dmaudit
