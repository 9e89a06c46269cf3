// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/segment_map.h"

#include <algorithm>
#include <array>
#include <boost/sort/pdqsort/pdqsort.hpp>
#include <optional>
#include <span>
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

SegmentMap::Packed SegmentMap::Packed::Pack(const SegmentPiece& piece) {
  // Offsets of files end at 2^63.
  const uint64_t place = piece.state == ByteState::kData
                             ? std::min(piece.offset.value(), UINT64_MAX - kByteStateCount)
                             : UINT64_MAX - static_cast<uint64_t>(piece.state);
  return {piece.range.first.value(), piece.range.last.value(), place};
}

ByteState SegmentMap::Packed::state() const {
  const uint64_t code = UINT64_MAX - place;
  return code < kByteStateCount ? static_cast<ByteState>(code) : ByteState::kData;
}

SegmentPiece SegmentMap::Packed::Unpack() const {
  const ByteState s = state();
  return {{PhysAddr(first), PhysAddr(last)}, FileOffset(s == ByteState::kData ? place : 0), s};
}

SegmentMap::SegmentMap(const std::vector<SegmentPiece>& pieces,
                       const SegmentConflict& on_conflict) {
  SegmentMapBuilder builder(pieces.size());
  for (const SegmentPiece& piece : pieces) builder.Add(piece);
  if (auto map = builder.Build(on_conflict)) *this = *std::move(map);
}

void SegmentMap::Append(const Packed& piece) {
  if (!pieces_.empty()) {
    Packed& back = pieces_.back();
    const bool adjacent = back.last + 1 == piece.first;
    const ByteState state = piece.state();
    if (adjacent && back.state() == state &&
        (state != ByteState::kData || back.place + (back.last - back.first + 1) == piece.place)) {
      back.last = piece.last;
      return;
    }
  }
  pieces_.push_back(piece);
}

void SegmentMap::Index() {
  pieces_.shrink_to_fit();
  for (size_t i = kStride - 1; i < pieces_.size(); i += kStride) steps_.push_back(pieces_[i].last);
}

bool SegmentMapBuilder::Add(const SegmentPiece& piece) {
  if (pieces_.size() == limit_) return false;
  const SegmentMap::Packed packed = SegmentMap::Packed::Pack(piece);
  pieces_.push_back(
      {packed.first, packed.last, packed.place, static_cast<uint32_t>(pieces_.size())});
  return true;
}

// The pieces that cover the position that a sweep has got to, the best on top. Those that have
// ended are dropped when they come up.
class SegmentMapBuilder::Active {
 public:
  // Each copy of memory beyond costs time at every border.
  static constexpr size_t kRivals = 3;

  explicit Active(const std::vector<Given>& pieces) : pieces_(pieces) {}

  // A piece that begins at `at`.
  void Push(uint32_t index, uint64_t at) {
    // Below those that are better and last as long it comes up for nothing: copies of one piece,
    // millions of them, are not kept.
    if (!heap_.empty() && Covers(heap_[0], index) && SameBytes(heap_[0], index)) return;
    if (heap_.size() > kRivals && std::all_of(heap_.begin(), heap_.begin() + ptrdiff_t{kRivals + 1},
                                              [&](uint32_t i) { return Covers(i, index); })) {
      return;
    }
    // Ended ones below the top make it slow when they are many.
    if (heap_.size() >= purge_at_) {
      std::erase_if(heap_, [&](uint32_t i) { return pieces_[i].last < at; });
      std::make_heap(heap_.begin(), heap_.end(), Worse{pieces_});
      purge_at_ = std::max(kLeastPurge, 2 * heap_.size());
    }
    heap_.push_back(index);
    std::push_heap(heap_.begin(), heap_.end(), Worse{pieces_});
  }
  // The best one at `at`, or null.
  const Given* Best(uint64_t at) {
    while (!heap_.empty()) {
      const Given& top = pieces_[heap_.front()];
      if (top.last >= at) return &top;
      Pop();
    }
    return nullptr;
  }
  // Calls `visit` with those next to the best, kRivals of them at most, that are elsewhere in the
  // file.
  template <typename Visit>
  void VisitRivals(uint64_t at, const Visit& visit) {
    if (heap_.size() < 2) return;
    std::array<uint32_t, kRivals + 1> seen{};
    size_t count = 0;
    for (; count < seen.size() && Best(at) != nullptr; ++count) {
      seen[count] = heap_.front();
      Pop();
      if (count != 0 && !SameBytes(seen[0], seen[count])) visit(pieces_[seen[count]]);
    }
    for (size_t i = 0; i < count; ++i) {
      heap_.push_back(seen[i]);
      std::push_heap(heap_.begin(), heap_.end(), Worse{pieces_});
    }
  }

 private:
  // Whether both are one stretch of the file.
  bool SameBytes(uint32_t a, uint32_t b) const {
    const SegmentMap::Packed x = pieces_[a].piece();
    const SegmentMap::Packed y = pieces_[b].piece();
    return x.state() == y.state() &&
           (x.state() != ByteState::kData || x.place - x.first == y.place - y.first);
  }
  // Whether `a` is better than `b` for as long as that lasts.
  bool Covers(uint32_t a, uint32_t b) const {
    return pieces_[a].last >= pieces_[b].last && Worse{pieces_}(b, a);
  }

  struct Worse {
    const std::vector<Given>& pieces;
    bool operator()(uint32_t a, uint32_t b) const {
      const Given& x = pieces[a];
      const Given& y = pieces[b];
      const int px = Preference(x.piece().state());
      const int py = Preference(y.piece().state());
      return px != py ? px > py : x.order > y.order;
    }
  };
  void Pop() {
    std::pop_heap(heap_.begin(), heap_.end(), Worse{pieces_});
    heap_.pop_back();
  }

  static constexpr size_t kLeastPurge = 64;

  const std::vector<Given>& pieces_;
  std::vector<uint32_t> heap_;
  size_t purge_at_ = kLeastPurge;
};

std::optional<SegmentMap> SegmentMapBuilder::Build(const SegmentConflict& on_conflict) {
  std::vector<Given> pieces = std::exchange(pieces_, {});
  // Without a branch, which the sort makes use of.
  const auto before = [](const Given& a, const Given& b) {
    const uint64_t x = a.first;
    const uint64_t y = b.first;
    return (x < y) | ((x == y) & (a.order < b.order));
  };
  if (!std::is_sorted(pieces.begin(), pieces.end(), before)) {
    boost::sort::pdqsort_branchless(pieces.begin(), pieces.end(), before);
  }
  SegmentMap map;
  map.pieces_.reserve(std::min(2 * pieces.size(), limit_));
  // A sweep from border to border: n log n, also when every piece overlaps every other.
  Active active(pieces);
  uint32_t next = 0;
  uint64_t at = 0;
  for (;;) {
    const Given* best = active.Best(at);
    if (best == nullptr) {
      if (next == pieces.size()) break;
      at = pieces[next].first;
    }
    while (next < pieces.size() && pieces[next].first == at) active.Push(next++, at);
    best = active.Best(at);
    // Up to the next border nothing changes.
    const SegmentMap::Packed chosen = best->piece();
    uint64_t last = chosen.last;
    if (next < pieces.size()) {
      const uint64_t border = pieces[next].first;
      last = std::min(last, border - 1);
    }
    const auto place = [at](const SegmentMap::Packed& piece) {
      return piece.state() == ByteState::kData ? piece.place + (at - piece.first) : piece.place;
    };
    std::array<SegmentMap::Packed, Active::kRivals> rivals;
    size_t count = 0;
    active.VisitRivals(at, [&](const Given& rival) {
      rivals[count++] = rival.piece();
      last = std::min(last, rival.piece().last);
    });
    for (const SegmentMap::Packed& other : std::span(rivals).first(count)) {
      if (other.state() != ByteState::kData) continue;
      on_conflict({PhysAddr(at), PhysAddr(last)}, FileOffset(place(chosen)),
                  FileOffset(place(other)));
    }
    map.Append({at, last, place(chosen)});
    if (map.pieces_.size() > limit_) return std::nullopt;
    if (last == UINT64_MAX) break;
    at = last + 1;
  }
  std::vector<Given>().swap(pieces);  // before the result moves
  map.Index();
  return map;
}

size_t SegmentMap::FirstAtOrAfter(PhysAddr address) const {
  const uint64_t at = address.value();
  const auto step = std::lower_bound(steps_.begin(), steps_.end(), at);
  const size_t first = static_cast<size_t>(step - steps_.begin()) * kStride;
  const auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(first);
  const auto end = begin + static_cast<std::ptrdiff_t>(std::min(kStride, pieces_.size() - first));
  const auto it = std::lower_bound(begin, end, at,
                                   [](const Packed& piece, uint64_t a) { return piece.last < a; });
  return static_cast<size_t>(it - pieces_.begin());
}

ByteState SegmentMap::PageState(PhysAddr base, uint32_t page_size) const {
  uint64_t at = base.value();
  const uint64_t last = base.value() + (page_size - 1);
  for (size_t i = FirstAtOrAfter(base); i < pieces_.size(); ++i) {
    const Packed& piece = pieces_[i];
    if (piece.first > at) break;
    if (!IsReadable(piece.state())) return piece.state();
    if (piece.last >= last) return ByteState::kData;
    at = piece.last + 1;
  }
  return ByteState::kAbsent;
}

void SegmentMap::VisitCovered(const std::function<bool(PhysRange)>& visit) const {
  RangeJoiner joined(visit);
  for (const Packed& piece : pieces_) {
    if (!joined.Add({PhysAddr(piece.first), PhysAddr(piece.last)})) return;
  }
  joined.Finish();
}

void SegmentMap::VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const {
  StateJoiner joined(visit);
  for (const Packed& piece : pieces_) {
    if (!joined.Add({PhysAddr(piece.first), PhysAddr(piece.last)}, piece.state())) return;
  }
  joined.Finish();
}

void SegmentMap::VisitStored(uint32_t page_size,
                             const std::function<FileOffset(FileOffset)>& skip_hole,
                             const std::function<bool(PhysAddr, uint32_t)>& visit) const {
  // A system call for each: of a file without holes not too many.
  constexpr uint64_t kAskEvery = uint64_t{1} << 20;
  std::optional<PhysAddr> seen;
  for (const Packed& packed : pieces_) {
    if (packed.state() != ByteState::kData) continue;
    const PhysRange range{PhysAddr(packed.first), PhysAddr(packed.last)};
    const PhysAddr last = range.last.AlignDown(page_size);
    uint64_t ask_at = packed.first;
    for (PhysAddr page = range.first.AlignDown(page_size);;
         page = PhysAddr(page.value() + page_size)) {
      if (page.value() >= ask_at) {
        const uint64_t into = page.value() - packed.first;
        const FileOffset place(packed.Unpack().offset.value() + into);
        const uint64_t hole = skip_hole(place).value() - place.value();
        if (hole > packed.last - page.value()) break;
        page = PhysAddr(page.value() + hole).AlignDown(page_size);
        ask_at = page.value() + kAskEvery;
      }
      const PhysRange whole{page, PhysAddr(page.value() + (page_size - 1))};
      // Pieces that meet inside a page show it twice.
      const bool stored =
          seen != page && (range.Contains(whole) || IsReadable(PageState(page, page_size)));
      seen = page;
      if (stored && !visit(page, page_size)) return;
      if (page == last) break;
    }
  }
}

}  // namespace dmaudit
