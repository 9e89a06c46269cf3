// SPDX-License-Identifier: GPL-2.0-or-later
// The hardware walk: root table to attachments, address space to live ranges. Streams; collects
// nothing.
#ifndef DMAUDIT_DMAR_WALK_H_
#define DMAUDIT_DMAR_WALK_H_

#include <cstdint>
#include <functional>

#include "base/diagnostics.h"
#include "base/result.h"
#include "dmar/rules.h"
#include "dmar/translation.h"
#include "dmar/unit_state.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// What walks may cost together, in table entries that are empty or continue the range of the one
// before. What takes longer costs as many as it takes the time of.
struct WalkBudget {
  // Page tables for 1.5 TiB in 4 KiB pages that lie side by side, or 200 GiB in pages that all lie
  // apart: a few seconds. A small file can describe far more, since pages of a dump may share their
  // bytes.
  static constexpr uint64_t kDefault = uint64_t{1} << 29;
  // Of one unit's PASID tables: 6000 functions with a full-size directory of their own (16,384
  // entries, as Linux makes them), or some million live PASIDs; half a second.
  static constexpr uint64_t kAttachments = uint64_t{1} << 27;

  uint64_t entries = kDefault;

  // To read a page.
  static constexpr uint64_t kPageCost = 16;
  // To enter a table: a visitor has totals for each.
  static constexpr uint64_t kTableCost = 128;
  // To judge a present entry in full, as ClassifyPlainLeaf() spares most.
  static constexpr uint64_t kVerdictCost = 4;
  // To begin another range.
  static constexpr uint64_t kRangeCost = 8;

  // Takes `cost`; false, and nothing is left, where there is less than that.
  bool Spend(uint64_t cost) {
    const bool enough = entries >= cost;
    entries -= enough ? cost : entries;
    return enough;
  }
};

// Calls `visit` for every requester that the unit's root, context and PASID tables translate, in
// (bus, devfn, PASID) order, until it returns false. Not-present entries are no attachment. An
// entry that hardware would reject, or whose bytes are unknown, is a diagnostic (unknown bytes:
// Effect::kIncomplete) and its subtree is left out. Where CAP, ECAP or HAW is not known, everything
// that some unit could accept is accepted, with a diagnostic. Abort mode has no attachments: every
// request is blocked. The error case is a unit whose root cannot be walked at all: RTADDR not
// known, or the extended mode of revision 2.x.
//
// `budget` is drawn on by PASID directories and tables; without one the walk has
// WalkBudget::kAttachments of its own. Where it runs out, the rest is left out with a diagnostic.
Result<WalkAccounting> WalkAttachments(const UnitState& unit, const UnitRules& rules,
                                       MemorySession& session, DiagnosticSink& sink,
                                       const std::function<bool(const Attachment&)>& visit,
                                       WalkBudget* budget = nullptr);

// A paging structure page that the walk is about to look into, at one of the places where it is
// linked.
struct TableVisit {
  TableRoot table;               // where it is in host memory, and its level
  Stage stage = Stage::kSecond;  // kSecond or kFirst: how its entries are read
  Iova iova;                     // what it covers here
  uint64_t span = 0;
  Permissions inherited;  // of all entries above it
  // Whether everything under it depends on table, stage and inherited permissions alone, the IOVA
  // aside: then a second visit finds what the first one found.
  bool repeatable = true;
  // Whether the walk has been at this table before, at the same stage, level and permissions; and
  // whether it sees the page for the first time in any role.
  bool repeated = false;
  bool new_page = true;
};

// Live leaves of one size that continue each other, or the part of one that requests can reach,
// before ranges are joined.
struct LivePiece {
  LiveRange range;
  uint64_t page_size = 0;  // of the leaves; the smaller one of the two stages when nested
  uint32_t leaves = 1;     // that begin in it: 0 for a further part of the same leaf
};

// Receives the walk of one address space, in IOVA order.
class RangeVisitor {
 public:
  virtual ~RangeVisitor() = default;

  // Before the entries of a paging structure page are looked at, once per place where it is linked;
  // not for a page of which nothing is known. `iova` and `span` are what the table covers there.
  // Return false to skip the subtree (its entries are then not counted, and no range joins across
  // it).
  virtual bool OnTable(const TableRoot& table, Iova iova, uint64_t span, Permissions inherited) {
    (void)table, (void)iova, (void)span, (void)inherited;
    return true;
  }
  // The same with all that is known; override one of the two.
  virtual bool OnTableVisit(const TableVisit& visit) {
    return OnTable(visit.table, visit.iova, visit.span, visit.inherited);
  }
  // After the last entry of a table for which OnTable returned true.
  virtual void OnTableDone(const TableRoot& table) { (void)table; }
  // Each live leaf, before it is joined to its neighbours.
  virtual void OnLeaf(const LivePiece& piece) { (void)piece; }
  // A maximal live range. Return false to end the walk.
  virtual bool OnRange(const LiveRange& range) = 0;
  // Nested spaces of which a part of the first stage is unknown: after all ranges, what the second
  // stage lets through at most. `iova` is a guest-physical address here; tables linked several
  // times are shown once.
  virtual void OnBound(const LiveRange& range) { (void)range; }
};

// Walks one address space (not kPassThrough: that has no tables). Damage is reported to `sink`
// under the name of the table and entry; unknown bytes are Effect::kIncomplete. Loops and budgets
// end a subtree with a diagnostic (kIncomplete). `budget` is drawn on; without one the walk has
// WalkBudget::kDefault of its own.
WalkAccounting WalkAddressSpace(const AddressSpace& space, const UnitRules& rules,
                                MemorySession& session, DiagnosticSink& sink, RangeVisitor& visitor,
                                WalkBudget* budget = nullptr);

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_WALK_H_
