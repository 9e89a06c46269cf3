// SPDX-License-Identifier: GPL-2.0-or-later
// SegmentMap: possibly overlapping stretches of physical memory, resolved into disjoint pieces.
#ifndef DMAUDIT_VMCORE_CONTAINER_SEGMENT_MAP_H_
#define DMAUDIT_VMCORE_CONTAINER_SEGMENT_MAP_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/address.h"
#include "vmcore/memory/byte_state.h"

namespace dmaudit {

// Part of a segment whose bytes are all in one state.
struct SegmentPiece {
  PhysRange range;
  FileOffset offset;  // of the first byte; only meaningful for kData
  ByteState state = ByteState::kExcluded;
};

// Where two data pieces cover `range` with different places in the file.
using SegmentConflict = std::function<void(PhysRange range, FileOffset chosen, FileOffset rival)>;

class SegmentMap {
 public:
  SegmentMap() = default;
  SegmentMap(const std::vector<SegmentPiece>& pieces, const SegmentConflict& on_conflict);

  // Ascending and disjoint.
  size_t size() const { return pieces_.size(); }
  SegmentPiece operator[](size_t index) const { return pieces_[index].Unpack(); }
  // The first piece that ends at or after `address`; size() when there is none.
  size_t FirstAtOrAfter(PhysAddr address) const;

  // What PhysicalMemory promises of its methods of similar names, as far as the pieces tell.
  ByteState PageState(PhysAddr base, uint32_t page_size) const;
  void VisitCovered(const std::function<bool(PhysRange)>& visit) const;
  void VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const;
  // `skip_hole` gives the first place at or after another that is in no hole of the file
  // (ByteSource::SkipHole()); it is not asked for every page.
  void VisitStored(uint32_t page_size, const std::function<FileOffset(FileOffset)>& skip_hole,
                   const std::function<bool(PhysAddr, uint32_t)>& visit) const;

 private:
  friend class SegmentMapBuilder;

  // There can be millions of them.
  struct Packed {
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t place = 0;  // the offset, or counted down from 2^64 - 1 a state that has none

    static Packed Pack(const SegmentPiece& piece);
    SegmentPiece Unpack() const;
    ByteState state() const;
  };

  void Append(const Packed& piece);
  void Index();

  std::vector<Packed> pieces_;
  // Ends of every kStride-th piece: a search among tens of thousands of pieces would miss the
  // processor's cache at nearly every step.
  static constexpr size_t kStride = 16;
  std::vector<uint64_t> steps_;
};

// Takes pieces one by one, in the order of the file, and resolves them: where several cover a byte,
// data wins over what is missing, then the one that was given first.
class SegmentMapBuilder {
 public:
  // 28 bytes for each piece that is given and 24 for each that is resolved are held at the same
  // time.
  static constexpr size_t kMaxPieces = (size_t{1} << 22) + 1024;

  // No map is made of more pieces than `limit`, neither given nor resolved, nor of more than
  // kMaxPieces. Room for `expected` is made at once.
  explicit SegmentMapBuilder(size_t expected, size_t limit = kMaxPieces)
      : limit_(std::min(limit, kMaxPieces)) {
    pieces_.reserve(std::min(expected, limit_));
  }

  size_t limit() const { return limit_; }

  // False when there are too many.
  bool Add(const SegmentPiece& piece);
  // Nothing when there are too many. The builder is empty afterwards.
  std::optional<SegmentMap> Build(const SegmentConflict& on_conflict);

 private:
// 28 bytes. Members are taken by value: those of 8 bytes are aligned to 4.
#pragma pack(push, 4)
  struct Given {
    uint64_t first, last, place;
    uint32_t order;

    SegmentMap::Packed piece() const { return {first, last, place}; }
  };
#pragma pack(pop)
  class Active;

  size_t limit_;
  std::vector<Given> pieces_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_SEGMENT_MAP_H_
