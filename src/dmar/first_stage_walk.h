// SPDX-License-Identifier: GPL-2.0-or-later
// The first-stage tables of one address space, alone or nested on a second stage. Internal to the
// walk.
#ifndef DMAUDIT_DMAR_FIRST_STAGE_WALK_H_
#define DMAUDIT_DMAR_FIRST_STAGE_WALK_H_

#include <array>
#include <cstdint>
#include <optional>

#include "dmar/second_stage_walk.h"
#include "dmar/space_walk.h"

namespace dmaudit {

class FirstStageWalk {
 public:
  // `walk.space.first` is set, and so is `walk.space.second` when `second` is given.
  FirstStageWalk(SpaceWalk& walk, SecondStageWalk* second);

  void WalkAll();

 private:
  // Makes the table the innermost frame unless nothing of it is known or it is to be skipped.
  // `host` is where the table is in memory.
  void Push(PhysAddr host, uint8_t level, uint64_t base, Permissions inherited);
  void OnEntry(WalkFrame& frame, uint32_t index, uint64_t raw);
  void OnTableEntry(WalkFrame& frame, uint32_t index, const EntryVerdict& verdict,
                    Permissions permissions);
  void OnLeafEntry(WalkFrame& frame, uint64_t iova, const EntryVerdict& verdict,
                   Permissions permissions);
  void Die(WalkFrame& frame, DeadReason reason);
  // The address of an entry's input, sign-extended from the top of the walk.
  uint64_t Canonical(uint64_t input) const;

  SpaceWalk& walk_;
  SecondStageWalk* second_;
  const TableRoot root_;
  std::array<WalkFrame, UnitRules::kMaxLevels> stack_;
  size_t depth_ = 0;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_FIRST_STAGE_WALK_H_
