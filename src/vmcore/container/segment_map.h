// SPDX-License-Identifier: GPL-2.0-or-later
// SegmentMap: possibly overlapping stretches of physical memory, resolved into disjoint pieces.
#ifndef DMAUDIT_VMCORE_CONTAINER_SEGMENT_MAP_H_
#define DMAUDIT_VMCORE_CONTAINER_SEGMENT_MAP_H_

#include <functional>
#include <span>
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

class SegmentMap {
 public:
  SegmentMap() = default;
  // Where several pieces cover a byte, data wins over what is missing, then the one given first.
  // `on_conflict(range, chosen, rival)` is called where two data pieces cover `range` with
  // different places in the file.
  SegmentMap(
      std::vector<SegmentPiece> pieces,
      const std::function<void(PhysRange range, FileOffset chosen, FileOffset rival)>& on_conflict);

  // Ascending and disjoint.
  std::span<const SegmentPiece> pieces() const { return pieces_; }
  // The first piece that ends at or after `address`; pieces().size() when there is none.
  size_t FirstAtOrAfter(PhysAddr address) const;

  // What PhysicalMemory promises of its methods of similar names, as far as the pieces tell.
  ByteState PageState(PhysAddr base, uint32_t page_size) const;
  void VisitCovered(const std::function<bool(PhysRange)>& visit) const;
  void VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const;
  void VisitStored(uint32_t page_size, const std::function<bool(PhysAddr, uint32_t)>& visit) const;

 private:
  void Append(SegmentPiece piece);

  std::vector<SegmentPiece> pieces_;
  // Ends of every kStride-th piece: a search among tens of thousands of pieces would miss the
  // processor's cache at nearly every step.
  static constexpr size_t kStride = 16;
  std::vector<PhysAddr> steps_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_SEGMENT_MAP_H_
