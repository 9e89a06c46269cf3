// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/segment_map.h"

#include <algorithm>
#include <set>
#include <utility>

namespace dmaudit {
namespace {

// Lower is better.
int Preference(ByteState state) {
  if (state == ByteState::kData) return 0;
  return state == ByteState::kTruncated ? 1 : 2;
}

}  // namespace

SegmentMap::SegmentMap(std::vector<SegmentPiece> pieces,
                       const std::function<void(PhysRange, FileOffset, FileOffset)>& on_conflict) {
  // A sweep over all borders with the set of pieces that cover the current position: n log n, also
  // when every piece overlaps every other.
  std::vector<size_t> by_first(pieces.size());
  for (size_t i = 0; i < by_first.size(); ++i) by_first[i] = i;
  std::vector<size_t> by_last = by_first;
  std::sort(by_first.begin(), by_first.end(),
            [&](size_t a, size_t b) { return pieces[a].range.first < pieces[b].range.first; });
  std::sort(by_last.begin(), by_last.end(),
            [&](size_t a, size_t b) { return pieces[a].range.last < pieces[b].range.last; });

  std::set<std::pair<int, size_t>> active;  // best first
  const auto rank = [&](size_t i) { return std::pair(Preference(pieces[i].state), i); };
  size_t next_first = 0;
  size_t next_last = 0;
  uint64_t at = 0;
  while (next_last < by_last.size()) {
    if (active.empty()) at = pieces[by_first[next_first]].range.first.value();
    while (next_first < by_first.size() && pieces[by_first[next_first]].range.first.value() == at) {
      active.insert(rank(by_first[next_first++]));
    }
    // Up to the next border nothing changes.
    uint64_t last = pieces[by_last[next_last]].range.last.value();
    if (next_first < by_first.size()) {
      last = std::min(last, pieces[by_first[next_first]].range.first.value() - 1);
    }
    const SegmentPiece& best = pieces[active.begin()->second];
    const auto place = [at](const SegmentPiece& piece) {
      return FileOffset(piece.offset.value() + (at - piece.range.first.value()));
    };
    const PhysRange range{PhysAddr(at), PhysAddr(last)};
    if (active.size() > 1) {
      const SegmentPiece& rival = pieces[std::next(active.begin())->second];
      if (rival.state == ByteState::kData && place(rival) != place(best)) {
        on_conflict(range, place(best), place(rival));
      }
    }
    Append({range, place(best), best.state});
    while (next_last < by_last.size() && pieces[by_last[next_last]].range.last.value() == last) {
      active.erase(rank(by_last[next_last++]));
    }
    at = last + 1;  // wraps to 0 only behind the last piece of all
  }
  pieces_.shrink_to_fit();
}

void SegmentMap::Append(SegmentPiece piece) {
  if (!pieces_.empty()) {
    SegmentPiece& back = pieces_.back();
    const bool adjacent = back.range.last.value() + 1 == piece.range.first.value();
    if (adjacent && back.state == piece.state &&
        (piece.state != ByteState::kData ||
         back.offset.value() + back.range.size() == piece.offset.value())) {
      back.range.last = piece.range.last;
      return;
    }
  }
  pieces_.push_back(piece);
}

size_t SegmentMap::FirstAtOrAfter(PhysAddr address) const {
  const auto it =
      std::lower_bound(pieces_.begin(), pieces_.end(), address,
                       [](const SegmentPiece& piece, PhysAddr a) { return piece.range.last < a; });
  return static_cast<size_t>(it - pieces_.begin());
}

}  // namespace dmaudit
