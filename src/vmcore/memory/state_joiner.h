// SPDX-License-Identifier: GPL-2.0-or-later
// Joins neighbouring ranges of one state.
#ifndef DMAUDIT_VMCORE_MEMORY_STATE_JOINER_H_
#define DMAUDIT_VMCORE_MEMORY_STATE_JOINER_H_

#include <functional>
#include <optional>

#include "base/address.h"
#include "vmcore/memory/byte_state.h"

namespace dmaudit {

class StateJoiner {
 public:
  // `visit` gets the joined ranges and outlives this; nothing more once it has returned false.
  explicit StateJoiner(const std::function<bool(PhysRange, ByteState)>& visit) : visit_(visit) {}

  // Ranges come ascending and disjoint. False when the visitor has seen enough.
  bool Add(PhysRange range, ByteState state) {
    if (open_ && state == state_ && open_->last.value() + 1 == range.first.value()) {
      open_->last = range.last;
      return true;
    }
    if (!Flush()) return false;
    open_ = range;
    state_ = state;
    return true;
  }

  // Hands over what is still held back.
  void Finish() { Flush(); }

 private:
  bool Flush() {
    if (open_ && !stopped_) stopped_ = !visit_(*open_, state_);
    open_.reset();
    return !stopped_;
  }

  const std::function<bool(PhysRange, ByteState)>& visit_;
  std::optional<PhysRange> open_;
  ByteState state_ = ByteState::kAbsent;
  bool stopped_ = false;
};

// The same for ranges whose state does not matter.
class RangeJoiner {
 public:
  // As for StateJoiner.
  explicit RangeJoiner(const std::function<bool(PhysRange)>& visit)
      : any_([&visit](PhysRange range, ByteState) { return visit(range); }) {}
  RangeJoiner(const RangeJoiner&) = delete;
  RangeJoiner& operator=(const RangeJoiner&) = delete;

  bool Add(PhysRange range) { return joined_.Add(range, ByteState::kData); }
  void Finish() { joined_.Finish(); }

 private:
  const std::function<bool(PhysRange, ByteState)> any_;
  StateJoiner joined_{any_};
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_MEMORY_STATE_JOINER_H_
