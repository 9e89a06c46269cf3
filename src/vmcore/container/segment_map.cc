// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/segment_map.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "vmcore/memory/state_joiner.h"

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
  for (size_t i = kStride - 1; i < pieces_.size(); i += kStride) {
    steps_.push_back(pieces_[i].range.last);
  }
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
  const auto step = std::lower_bound(steps_.begin(), steps_.end(), address);
  const size_t first = static_cast<size_t>(step - steps_.begin()) * kStride;
  const auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(first);
  const auto end = begin + static_cast<std::ptrdiff_t>(std::min(kStride, pieces_.size() - first));
  const auto it = std::lower_bound(begin, end, address, [](const SegmentPiece& piece, PhysAddr a) {
    return piece.range.last < a;
  });
  return static_cast<size_t>(it - pieces_.begin());
}

ByteState SegmentMap::PageState(PhysAddr base, uint32_t page_size) const {
  uint64_t at = base.value();
  const uint64_t last = base.value() + (page_size - 1);
  for (size_t i = FirstAtOrAfter(base); i < pieces_.size(); ++i) {
    const SegmentPiece& piece = pieces_[i];
    if (piece.range.first.value() > at) break;
    if (!IsReadable(piece.state)) return piece.state;
    if (piece.range.last.value() >= last) return ByteState::kData;
    at = piece.range.last.value() + 1;
  }
  return ByteState::kAbsent;
}

void SegmentMap::VisitCovered(const std::function<bool(PhysRange)>& visit) const {
  std::optional<PhysRange> open;
  for (const SegmentPiece& piece : pieces_) {
    if (open && open->last.value() + 1 == piece.range.first.value()) {
      open->last = piece.range.last;
      continue;
    }
    if (open && !visit(*open)) return;
    open = piece.range;
  }
  if (open) visit(*open);
}

void SegmentMap::VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const {
  StateJoiner joined(visit);
  for (const SegmentPiece& piece : pieces_) {
    if (!joined.Add(piece.range, piece.state)) return;
  }
  joined.Finish();
}

void SegmentMap::VisitStored(uint32_t page_size,
                             const std::function<bool(PhysAddr, uint32_t)>& visit) const {
  std::optional<PhysAddr> seen;
  for (const SegmentPiece& piece : pieces_) {
    if (piece.state != ByteState::kData) continue;
    const PhysAddr last = piece.range.last.AlignDown(page_size);
    for (PhysAddr page = piece.range.first.AlignDown(page_size);;
         page = PhysAddr(page.value() + page_size)) {
      const PhysRange whole{page, PhysAddr(page.value() + (page_size - 1))};
      // Pieces that meet inside a page show it twice.
      const bool stored =
          seen != page && (piece.range.Contains(whole) || IsReadable(PageState(page, page_size)));
      seen = page;
      if (stored && !visit(page, page_size)) return;
      if (page == last) break;
    }
  }
}

}  // namespace dmaudit
