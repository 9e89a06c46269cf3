// SPDX-License-Identifier: GPL-2.0-or-later
// Joins live pieces that arrive in IOVA order to maximal ranges.
#ifndef DMAUDIT_DMAR_RANGE_JOINER_H_
#define DMAUDIT_DMAR_RANGE_JOINER_H_

#include <optional>

#include "dmar/translation.h"

namespace dmaudit {

// True when `next` goes on where `range` ends, in IOVA and in physical address, with the same
// permissions.
constexpr bool Continues(const LiveRange& range, const LiveRange& next) {
  return range.permissions == next.permissions &&
         range.iova.value() + range.size == next.iova.value() &&
         range.pa.value() + range.size == next.pa.value();
}

class RangeJoiner {
 public:
  // The range that `piece` put an end to, if it did.
  std::optional<LiveRange> Add(const LiveRange& piece) {
    if (pending_ && Continues(*pending_, piece)) {
      pending_->size += piece.size;
      return std::nullopt;
    }
    std::optional<LiveRange> done = pending_;
    pending_ = piece;
    return done;
  }
  // The range still open; the next piece starts a new one.
  std::optional<LiveRange> Flush() {
    std::optional<LiveRange> done = pending_;
    pending_.reset();
    return done;
  }

 private:
  std::optional<LiveRange> pending_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_RANGE_JOINER_H_
