// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/tally.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "dmar/range_joiner.h"

namespace dmaudit {
namespace {

size_t IndexOf(Permissions permissions) {
  return (permissions.read ? 1U : 0U) | (permissions.write ? 2U : 0U);
}

// Bytes of a live range that lie in a watched one.
uint64_t OverlapOf(const LiveRange& range, const PhysRange& watched) {
  const std::optional<PhysRange> span = PhysRange::FromSize(range.pa, range.size);
  if (!span) return 0;
  const std::optional<PhysRange> common = span->Intersect(watched);
  return common ? common->size() : 0;
}

size_t LeafSlot(uint64_t page_size) {
  return page_size >= uint64_t{1} << 30 ? 2 : page_size >= uint64_t{1} << 21 ? 1 : 0;
}

LiveRange MovedTo(LiveRange range, uint64_t from, uint64_t to) {
  range.iova = Iova(range.iova.value() - from + to);
  return range;
}

}  // namespace

Tally::Tally(std::vector<PhysRange> watched, size_t max_examples, OnOverlap on_overlap)
    : watched_(std::move(watched)),
      examples_(watched_.size()),
      max_examples_(max_examples),
      on_overlap_(std::move(on_overlap)),
      bound_(watched_.size()) {
  whole_.watch.resize(watched_.size());
  for (const PhysRange& one : watched_) {
    first_watched_ = std::min(first_watched_, one.first);
    last_watched_ = std::max(last_watched_, one.last);
  }
}

Tally::Part Tally::NewPart(uint64_t base, uint64_t span) const {
  Part part;
  part.base = base;
  part.span = span;
  part.links = 1;
  part.watch.resize(watched_.size());
  return part;
}

bool Tally::OnTableVisit(const TableVisit& visit) {
  if (visit.new_page) ++table_pages_;
  const Key key{
      visit.table.table.value(),
      static_cast<uint32_t>(visit.table.levels * 8U | (visit.stage == Stage::kFirst ? 4U : 0U) |
                            IndexOf(visit.inherited))};
  Part& around = open_.empty() ? whole_ : open_.back().part;
  if (visit.repeatable && visit.repeated) {
    const auto known = known_.find(key);
    if (known != known_.end()) {
      Append(around, known->second, visit.iova.value());
      return false;
    }
  }
  open_.push_back(
      {key, visit.repeatable && visit.repeated, NewPart(visit.iova.value(), visit.span)});
  return true;
}

void Tally::OnTableDone(const TableRoot&) {
  Open done = std::move(open_.back());
  open_.pop_back();
  Append(open_.empty() ? whole_ : open_.back().part, done.part, done.part.base);
  if (done.remember) Remember(done.key, std::move(done.part));
}

void Tally::Remember(const Key& key, Part part) {
  const size_t bytes = sizeof(std::pair<Key, Part>) + part.watch.capacity() * sizeof(WatchPart) +
                       part.places.capacity() * sizeof(IdentityPlace);
  if (bytes > kMaxKnownBytes - known_bytes_) return;
  if (known_.emplace(key, std::move(part)).second) known_bytes_ += bytes;
}

void Tally::OnLeaf(const LivePiece& piece) {
  Part& part = open_.empty() ? whole_ : open_.back().part;
  const LiveRange& range = piece.range;
  part.bytes[IndexOf(range.permissions)] += range.size;
  part.leaves[LeafSlot(piece.page_size)] += piece.leaves;
  const bool joins = part.ranges > 0 && Continues(part.last, range);
  if (!joins) ++part.ranges;
  const bool in_first = part.ranges == 1;
  if (joins) {
    part.last.size += range.size;
    if (in_first) part.first = part.last;
  } else {
    part.last = range;
    if (in_first) part.first = range;
  }
  // Where nothing watched is near, and the range before is beside it too, nothing changes.
  if (part.last_watched || IsNear(range)) OnWatched(part, range, joins);
  if (range.iova.value() == range.pa.value()) part.identity_bytes += range.size;
  const uint64_t place = range.pa.value() - (range.iova.value() - part.base);
  if (part.span != 0 && (place & (part.span - 1)) == 0) AddPlace(part, place, range.size);
}

void Tally::OnWatched(Part& part, const LiveRange& range, bool joins) const {
  part.last_watched = false;
  for (size_t i = 0; i < watched_.size(); ++i) {
    WatchPart& watch = part.watch[i];
    const uint64_t overlap = OverlapOf(range, watched_[i]);
    const bool counted = joins && watch.in_last;
    if (overlap > 0) {
      watch.mapped += overlap;
      if (range.permissions.read) watch.readable += overlap;
      if (range.permissions.write) watch.writable += overlap;
      if (!counted) {
        ++watch.ranges;
        if (range.permissions.write) ++watch.writable_ranges;
      }
    }
    watch.in_last = counted || overlap > 0;
    if (part.ranges == 1) watch.in_first = watch.in_last;
    part.last_watched = part.last_watched || watch.in_last;
  }
}

void Tally::AddPlace(Part& part, uint64_t base, uint64_t bytes) const {
  for (IdentityPlace& place : part.places) {
    if (place.base == base) {
      place.bytes += bytes;
      return;
    }
  }
  if (part.places.size() == kMaxIdentityPlaces) {
    part.places_complete = false;
    return;
  }
  part.places.push_back({base, bytes});
}

void Tally::Append(Part& to, const Part& part, uint64_t base) const {
  for (size_t i = 0; i < to.bytes.size(); ++i) to.bytes[i] += part.bytes[i];
  for (size_t i = 0; i < to.leaves.size(); ++i) to.leaves[i] += part.leaves[i];
  to.links += part.links;

  if (base == part.base) {
    to.identity_bytes += part.identity_bytes;
    to.identity_exact = to.identity_exact && part.identity_exact;
  } else {
    for (const IdentityPlace& place : part.places) {
      if (place.base == base) to.identity_bytes += place.bytes;
    }
    to.identity_exact = to.identity_exact && part.places_complete;
  }
  // Where the table around would have to be for this part to map to itself.
  if (to.span != 0) {
    for (const IdentityPlace& place : part.places) {
      const uint64_t around = place.base - (base - to.base);
      if ((around & (to.span - 1)) == 0) AddPlace(to, around, place.bytes);
    }
    to.places_complete = to.places_complete && part.places_complete;
  }

  if (part.ranges == 0) return;
  const LiveRange first = MovedTo(part.first, part.base, base);
  const LiveRange last = MovedTo(part.last, part.base, base);
  const bool joins = to.ranges > 0 && Continues(to.last, first);
  bool last_watched = false;
  for (size_t i = 0; i < watched_.size(); ++i) {
    WatchPart& watch = to.watch[i];
    const WatchPart& more = part.watch[i];
    watch.mapped += more.mapped;
    watch.readable += more.readable;
    watch.writable += more.writable;
    const uint64_t shared = joins && watch.in_last && more.in_first ? 1 : 0;
    watch.ranges += more.ranges - shared;
    watch.writable_ranges += more.writable_ranges - (first.permissions.write ? shared : 0);
    // The range across the border belongs to the last one of `to` and the first one of `part`.
    const bool across = joins && (watch.in_last || more.in_first);
    if (to.ranges == 0) watch.in_first = more.in_first;
    if (to.ranges == 1 && joins) watch.in_first = across;
    watch.in_last = part.ranges == 1 && joins ? across : more.in_last;
    last_watched = last_watched || watch.in_last;
  }
  to.last_watched = last_watched;
  if (to.ranges == 0) to.first = first;
  if (joins) {
    LiveRange across = to.last;
    across.size += first.size;
    if (to.ranges == 1) to.first = across;
    to.last = part.ranges == 1 ? across : last;
  } else {
    to.last = last;
  }
  to.ranges += part.ranges - (joins ? 1 : 0);
}

bool Tally::OnRange(const LiveRange& range) {
  if (!IsNear(range)) return true;
  for (size_t i = 0; i < watched_.size(); ++i) {
    size_t& examples = examples_[i][range.permissions.write ? 1 : 0];
    if (examples < max_examples_ && OverlapOf(range, watched_[i]) > 0) {
      ++examples;
      on_overlap_(i, range);
    }
  }
  return true;
}

void Tally::OnBound(const LiveRange& range) {
  for (size_t i = 0; i < watched_.size(); ++i) {
    const uint64_t overlap = OverlapOf(range, watched_[i]);
    if (range.permissions.read) bound_[i].bound_readable_bytes += overlap;
    if (range.permissions.write) bound_[i].bound_writable_bytes += overlap;
  }
}

SpaceTotals Tally::totals() const {
  SpaceTotals totals;
  const Part& part = whole_;
  totals.bytes_by_permission = part.bytes;
  totals.readable_bytes = part.bytes[1] + part.bytes[3];
  totals.writable_bytes = part.bytes[2] + part.bytes[3];
  totals.mapped_bytes = part.bytes[1] + part.bytes[2] + part.bytes[3];
  totals.ranges = part.ranges;
  totals.leaves_4k = part.leaves[0];
  totals.leaves_2m = part.leaves[1];
  totals.leaves_1g = part.leaves[2];
  totals.table_pages = table_pages_;
  totals.table_links = part.links;
  totals.identity_bytes = part.identity_bytes;
  totals.identity_exact = part.identity_exact;
  totals.watch = bound_;
  for (size_t i = 0; i < watched_.size(); ++i) {
    totals.watch[i].mapped_bytes = part.watch[i].mapped;
    totals.watch[i].readable_bytes = part.watch[i].readable;
    totals.watch[i].writable_bytes = part.watch[i].writable;
    totals.watch[i].ranges = part.watch[i].ranges;
    totals.watch[i].writable_ranges = part.watch[i].writable_ranges;
  }
  return totals;
}

}  // namespace dmaudit
