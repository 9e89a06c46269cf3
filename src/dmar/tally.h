// SPDX-License-Identifier: GPL-2.0-or-later
// Tally: the totals of one address space, and what of it reaches into chosen physical ranges, in
// memory proportional to its distinct tables.
#ifndef DMAUDIT_DMAR_TALLY_H_
#define DMAUDIT_DMAR_TALLY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "dmar/walk.h"

namespace dmaudit {

// What of a space lies in one watched physical range. A byte mapped twice counts twice.
struct WatchTotals {
  uint64_t mapped_bytes = 0;
  uint64_t readable_bytes = 0;
  uint64_t writable_bytes = 0;
  uint64_t ranges = 0;           // maximal live ranges that overlap the watched one
  uint64_t writable_ranges = 0;  // those of them that can be written
  // Nested spaces of which a part of the first stage is unknown: what the second stage lets through
  // at most (RangeVisitor::OnBound), in bytes.
  uint64_t bound_readable_bytes = 0;
  uint64_t bound_writable_bytes = 0;
};

// No figure can leave 64 bits: an address space has at most 2^57 bytes.
struct SpaceTotals {
  uint64_t mapped_bytes = 0;
  uint64_t readable_bytes = 0;
  uint64_t writable_bytes = 0;
  // By permission: [1] read only, [2] write only, [3] both.
  std::array<uint64_t, 4> bytes_by_permission{};
  uint64_t ranges = 0;  // maximal live ranges
  uint64_t leaves_4k = 0;
  uint64_t leaves_2m = 0;
  uint64_t leaves_1g = 0;
  uint64_t table_pages = 0;  // distinct
  uint64_t table_links = 0;  // places where one is linked, the top table included
  // Bytes whose IOVA equals their physical address. A lower bound when !identity_exact: only for
  // tables linked three times or more that hold identity mappings for many different places.
  uint64_t identity_bytes = 0;
  bool identity_exact = true;
  std::vector<WatchTotals> watch;  // in the order of the watched ranges
};

// One Tally serves one walk. A table that is linked again and again is walked twice; from then on
// its totals stand for it.
class Tally : public RangeVisitor {
 public:
  // Called with a live range that overlaps watched range number `watch`, for each of these at most
  // `max_examples` times with a writable range and as often with a read-only one. Ranges inside
  // tables that were not walked again are not among them, and next to such a table a range may be
  // shown in part; the counts of WatchTotals are of all.
  using OnOverlap = std::function<void(size_t watch, const LiveRange& range)>;

  Tally() = default;
  Tally(std::vector<PhysRange> watched, size_t max_examples, OnOverlap on_overlap);

  bool OnTableVisit(const TableVisit& visit) override;
  void OnTableDone(const TableRoot& table) override;
  void OnLeaf(const LivePiece& piece) override;
  bool OnRange(const LiveRange& range) override;
  void OnBound(const LiveRange& range) override;

  // After the walk.
  SpaceTotals totals() const;

 private:
  // Places in IOVA space at which a table would map bytes to themselves: more different ones than
  // this only a crafted table has.
  static constexpr size_t kMaxIdentityPlaces = 16;

  // What is remembered of tables that are linked again and again, in bytes: some ten thousand of
  // them. Linux links none twice; further ones are walked at each link, which costs budget.
  static constexpr size_t kMaxKnownBytes = size_t{16} << 20;

  struct WatchPart {
    uint64_t mapped = 0;
    uint64_t readable = 0;
    uint64_t writable = 0;
    uint64_t ranges = 0;
    uint64_t writable_ranges = 0;
    bool in_first = false;  // the first range of the part overlaps
    bool in_last = false;
  };
  struct IdentityPlace {
    uint64_t base = 0;  // of the table
    uint64_t bytes = 0;
  };
  // Totals of a run of leaves in IOVA order, such that two neighbouring parts can be put together.
  struct Part {
    uint64_t base = 0;  // first IOVA of the table
    uint64_t span = 0;
    std::array<uint64_t, 4> bytes{};
    std::array<uint64_t, 3> leaves{};
    uint64_t links = 0;
    uint64_t identity_bytes = 0;
    bool identity_exact = true;
    // Ranges, and the outer ends of the first and the last one.
    uint64_t ranges = 0;
    LiveRange first;
    LiveRange last;
    std::vector<WatchPart> watch;
    std::vector<IdentityPlace> places;
    bool places_complete = true;
    bool last_watched = false;  // the last range overlaps one that is watched
  };
  struct Key {
    uint64_t table = 0;
    uint32_t how = 0;  // level, stage, permissions
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const { return std::hash<uint64_t>{}(key.table | key.how); }
  };
  struct Open {
    Key key;
    bool remember = false;
    Part part;
  };

  Part NewPart(uint64_t base, uint64_t span) const;
  // Whether a range comes to between the first and the last byte that is watched: few do.
  bool IsNear(const LiveRange& range) const {
    return range.pa <= last_watched_ &&
           range.pa.value() + (range.size - 1) >= first_watched_.value();
  }
  // Keeps the totals of a table for its next link, while there is room.
  void Remember(const Key& key, Part part);
  void OnWatched(Part& part, const LiveRange& range, bool joins) const;
  void AddPlace(Part& part, uint64_t base, uint64_t bytes) const;
  // Appends `part`, found at `part.base`, as if it were at IOVA `base`.
  void Append(Part& to, const Part& part, uint64_t base) const;

  std::vector<PhysRange> watched_;
  PhysAddr first_watched_ = PhysAddr(UINT64_MAX);  // of all of them
  PhysAddr last_watched_;
  std::vector<std::array<size_t, 2>> examples_;  // read only, writable
  size_t max_examples_ = 0;
  OnOverlap on_overlap_;
  std::vector<Open> open_;
  Part whole_;
  uint64_t table_pages_ = 0;
  std::vector<WatchTotals> bound_;
  std::unordered_map<Key, Part, KeyHash> known_;
  size_t known_bytes_ = 0;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_TALLY_H_
