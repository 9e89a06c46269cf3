// SPDX-License-Identifier: GPL-2.0-or-later
// What the walks of both stages share: counts, budgets, names for messages, and the way of a leaf
// to the visitor. Internal to the walk.
#ifndef DMAUDIT_DMAR_SPACE_WALK_H_
#define DMAUDIT_DMAR_SPACE_WALK_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "dmar/classify.h"
#include "dmar/range_joiner.h"
#include "dmar/table_page.h"
#include "dmar/walk.h"

namespace dmaudit {

// Entries of a paging structure page.
inline constexpr uint32_t kPagingEntries = 512;

// Bits of input below the entries of a table of this level.
constexpr unsigned EntryShift(unsigned level) { return 12 + 9 * (level - 1); }

// The interrupt address window: DMA to it never reaches the tables without a PASID, and no
// translation may lead there (LGN.4, SGN.8).
inline constexpr uint64_t kInterruptWindow = 0xfee00000;
inline constexpr uint64_t kInterruptWindowSize = 0x100000;

// Why a present entry is dead. Bits of a set.
enum DeadReason : uint8_t {
  kBeyondLimit = 1,
  kInterruptAddress = 2,
  kNoPermission = 4,
  kSupervisorOnly = 8,
  kBlockedBelow = 16,
};

// The table that a walk is in, with what it will say about it at the end.
struct WalkFrame {
  TablePage page;
  uint64_t base = 0;  // input address of entry 0
  uint32_t next = 0;  // entry to look at
  uint32_t last = kPagingEntries - 1;
  uint8_t level = 0;
  Permissions inherited;
  bool announced = false;  // OnTable returned true
  uint32_t dead = 0;
  uint8_t dead_reasons = 0;
  uint32_t doubtful = 0;

  unsigned shift() const { return EntryShift(level); }
  uint64_t InputOf(uint32_t index) const { return base + (uint64_t{index} << shift()); }
  uint64_t span() const { return uint64_t{kPagingEntries} << shift(); }
};

class SpaceWalk {
 public:
  // A table shared by several links is legal and rare (Linux never does it). The second visit of a
  // table is free, that at most doubles the walk; of further ones 65,536, of 512 entries each, take
  // a fraction of a second. A visitor that remembers tables after the second visit never gets
  // there.
  static constexpr uint64_t kMaxRepeatedTables = 65536;

  SpaceWalk(const AddressSpace& walked_space, const UnitRules& unit_rules, MemorySession& memory,
            DiagnosticSink& diagnostics, RangeVisitor& range_visitor, WalkBudget& walk_budget)
      : space(walked_space),
        rules(unit_rules),
        session(memory),
        sink(diagnostics),
        visitor(range_visitor),
        budget_(walk_budget) {}

  const AddressSpace& space;
  const UnitRules& rules;
  MemorySession& session;
  DiagnosticSink& sink;
  RangeVisitor& visitor;
  WalkAccounting accounting;
  bool stopped = false;              // the visitor has ended the walk
  bool first_stage_unknown = false;  // nested: some part of the first stage could not be read

  // "dmar0: second-stage table 0x1000 (level 2, IOVA 0x0)".
  std::string NameOf(Stage stage, PhysAddr table, unsigned level, uint64_t input) const;
  // "<table>: entry 0x18".
  std::string NameOf(Stage stage, const WalkFrame& frame, uint32_t index) const;

  // Whether the budget allows to look at `entries` entries of another table; says when it does not.
  bool Afford(Stage stage, uint32_t entries);
  // Draws on the budget for more than the entries that were afforded; a table once begun is looked
  // at to its end.
  void Charge(uint64_t cost) { (void)budget_.Spend(cost); }
  // Asks the visitor, then the budget of repeated tables, whether to look into a table. When the
  // visitor skips it, no range joins across.
  bool Enter(TableVisit visit);
  void Leave(Stage stage, const WalkFrame& frame);

  // A verdict that is no plain table or leaf: says what is wrong with the entry.
  void ReportRejected(Stage stage, const WalkFrame& frame, uint32_t index,
                      const EntryVerdict& verdict);
  void ReportLoop(Stage stage, const WalkFrame& frame, uint32_t index, PhysAddr target);
  // Counts an accepted entry that rests on something unknown; the first of a table is reported.
  void NoteDoubt(Stage stage, WalkFrame& frame, uint32_t index, const EntryVerdict& verdict);

  // Passes on the parts of a leaf that requests can reach. Returns whether there are any.
  bool EmitLeaf(Iova iova, uint64_t size, PhysAddr pa, Permissions permissions, uint64_t page_size);
  // The same of `leaves` whole neighbours, no more of them than RoomBesideWindow() has bytes for.
  void EmitLeaves(const LiveRange& range, uint64_t page_size, uint32_t leaves) {
    Emit(range, page_size, leaves);
  }
  // How many bytes from here on do not meet the interrupt window, in IOVA nor in physical address.
  uint64_t RoomBesideWindow(Iova iova, PhysAddr pa) const;
  // Ends the open range.
  void FlushRange();

  // Whether requests to [iova, iova + span) meet the interrupt window.
  bool MeetsInterruptWindow(uint64_t iova, uint64_t span) const {
    return !space.pasid_requests && iova < kInterruptWindow + kInterruptWindowSize &&
           iova + (span - 1) >= kInterruptWindow;
  }

 private:
  // Roles in which a table page was visited, a bit each: level, stage, permissions.
  struct Roles {
    uint64_t once = 0;
    uint64_t twice = 0;
  };

  void Emit(const LiveRange& range, uint64_t page_size, uint32_t leaves);

  WalkBudget& budget_;
  RangeJoiner joiner_;
  std::unordered_map<uint64_t, Roles> visited_;
  uint64_t repeats_ = 0;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_SPACE_WALK_H_
