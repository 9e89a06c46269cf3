// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/first_stage_walk.h"
#include "dmar/second_stage_walk.h"
#include "dmar/space_walk.h"
#include "dmar/walk.h"

namespace dmaudit {
namespace {

bool WalkableSecond(const AddressSpace& space) {
  return space.second && space.second->levels >= 3 && space.second->levels <= UnitRules::kMaxLevels;
}

bool WalkableFirst(const AddressSpace& space) {
  return space.first && space.first->levels >= 4 && space.first->levels <= UnitRules::kMaxLevels;
}

}  // namespace

WalkAccounting WalkAddressSpace(const AddressSpace& space, const UnitRules& rules,
                                MemorySession& session, DiagnosticSink& sink, RangeVisitor& visitor,
                                WalkBudget* budget) {
  WalkBudget own;
  SpaceWalk walk(space, rules, session, sink, visitor, budget != nullptr ? *budget : own);
  const bool needs_second = space.stage == Stage::kSecond || space.stage == Stage::kNested;
  const bool needs_first = space.stage == Stage::kFirst || space.stage == Stage::kNested;
  if (space.stage == Stage::kPassThrough) return {};
  if ((needs_second && !WalkableSecond(space)) || (needs_first && !WalkableFirst(space))) {
    sink.Incomplete("walk.unsupported", "{}: {}-stage address space of did {}: no walkable tables",
                    rules.unit, ToString(space.stage), space.did.value);
    return {};
  }

  if (space.stage == Stage::kSecond) {
    SecondStageWalk(walk).WalkAll();
  } else if (space.stage == Stage::kFirst) {
    FirstStageWalk(walk, nullptr).WalkAll();
  } else {
    SecondStageWalk second(walk);
    FirstStageWalk(walk, &second).WalkAll();
    walk.FlushRange();
    if (walk.first_stage_unknown && !walk.stopped) {
      sink.Incomplete("walk.nested-bound",
                      "{}: nested address space of did {}: a part of the guest's first stage is "
                      "unknown: devices may reach all that the second stage lets through",
                      rules.unit, space.did.value);
      second.WalkBound();
    }
  }
  walk.FlushRange();
  return walk.accounting;
}

}  // namespace dmaudit
