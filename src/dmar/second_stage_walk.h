// SPDX-License-Identifier: GPL-2.0-or-later
// The second-stage tables of one address space: walked whole, in part for a leaf of a nested first
// stage, and asked for single addresses. Internal to the walk.
#ifndef DMAUDIT_DMAR_SECOND_STAGE_WALK_H_
#define DMAUDIT_DMAR_SECOND_STAGE_WALK_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>

#include "dmar/space_walk.h"

namespace dmaudit {

class SecondStageWalk {
 public:
  // `walk.space.second` is set.
  explicit SecondStageWalk(SpaceWalk& walk);

  // Every live leaf, as the ranges of the space.
  void WalkAll();

  // What became of a leaf of the first stage.
  struct Part {
    bool live = false;     // at least one byte is reachable
    bool unknown = false;  // bytes on the way were not readable
  };
  // The host memory behind guest-physical [gpa, gpa + size) as ranges from `iova` on, as far as
  // `permissions` and the second stage allow.
  Part WalkPart(uint64_t gpa, uint64_t size, Iova iova, Permissions permissions);

  // All that the second stage lets through, to RangeVisitor::OnBound.
  void WalkBound();

  // Where a page of the first stage lies in host memory.
  struct Translation {
    enum class Kind : uint8_t { kFound, kBlocked, kUnknown } kind = Kind::kBlocked;
    PhysAddr address;
    std::string_view condition;  // kBlocked: "SFS.5", ...
    std::string_view reason;
  };
  // `gpa` is a multiple of 4 KiB. `top` decides the name of the condition.
  Translation Translate(uint64_t gpa, bool top);

 private:
  enum class Purpose : uint8_t { kSpace, kPart, kBound };
  struct Job {
    Purpose purpose = Purpose::kSpace;
    uint64_t first = 0;  // input addresses, both ends included
    uint64_t last = 0;
    uint64_t iova = 0;       // of `first`
    uint64_t page_size = 0;  // of the first-stage leaf; 0 when there is none
    WalkAccounting* accounting = nullptr;
    Part result;
  };

  void Run(Job& job, Permissions inherited);
  // Makes the table the innermost frame unless nothing of it is known or it is to be skipped.
  void Push(Job& job, PhysAddr table, uint8_t level, uint64_t base, Permissions inherited);
  void OnEntry(Job& job, WalkFrame& frame, uint32_t index, uint64_t raw);
  // Counts the next entries of a table of which all is known as far as they are not present. False
  // where the next one is.
  bool SkipAbsent(Job& job, WalkFrame& frame);
  // Passes on the next entries of a table of level 1 of which all is known, as many as map
  // neighbouring pages alike. False, and nothing is done, where the next one takes a whole verdict
  // or only a part of its page can be reached.
  bool OnPlainLeaves(Job& job, WalkFrame& frame);
  void OnLeafEntry(Job& job, WalkFrame& frame, uint64_t input, PhysAddr target, uint64_t leaf_size,
                   Permissions permissions);
  void Die(Job& job, WalkFrame& frame, DeadReason reason);
  bool InStack(PhysAddr table) const;

  SpaceWalk& walk_;
  const TableRoot root_;
  const uint64_t limit_;  // first input address that is refused
  std::array<WalkFrame, UnitRules::kMaxLevels> stack_;
  size_t depth_ = 0;
  RangeJoiner bound_joiner_;
  std::unordered_set<uint64_t> bound_seen_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_SECOND_STAGE_WALK_H_
