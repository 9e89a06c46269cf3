// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/first_stage_walk.h"

#include <algorithm>

namespace dmaudit {

FirstStageWalk::FirstStageWalk(SpaceWalk& walk, SecondStageWalk* second)
    : walk_(walk), second_(second), root_(*walk.space.first) {}

uint64_t FirstStageWalk::Canonical(uint64_t input) const {
  const unsigned bits = 12 + 9 * static_cast<unsigned>(root_.levels);
  const uint64_t sign = uint64_t{1} << (bits - 1);
  return (input & sign) != 0 ? input | ~((sign << 1) - 1) : input;
}

void FirstStageWalk::WalkAll() {
  using Kind = SecondStageWalk::Translation::Kind;
  PhysAddr top = root_.table;
  if (second_ != nullptr) {
    const SecondStageWalk::Translation found = second_->Translate(top.value(), true);
    if (found.kind == Kind::kBlocked) {
      walk_.sink.Note("walk.blocked", "{}: {} ({})",
                      walk_.NameOf(Stage::kFirst, top, root_.levels, 0), found.reason,
                      found.condition);
      return;
    }
    if (found.kind == Kind::kUnknown) {
      walk_.accounting.visited += kPagingEntries;
      walk_.accounting.unreadable += kPagingEntries;
      walk_.first_stage_unknown = true;
      return;
    }
    top = found.address;
  }
  depth_ = 0;
  Push(top, root_.levels, 0, {true, true});
  while (depth_ > 0 && !walk_.stopped) {
    WalkFrame& frame = stack_[depth_ - 1];
    if (frame.next > frame.last) {
      walk_.Leave(Stage::kFirst, frame);
      --depth_;
      continue;
    }
    const uint32_t index = frame.next++;
    ++walk_.accounting.visited;
    if (!frame.page.Knows(index * 8, 8)) {
      ++walk_.accounting.unreadable;
      walk_.first_stage_unknown = true;
      continue;
    }
    OnEntry(frame, index, frame.page.Word(index * 8));
  }
}

void FirstStageWalk::Push(PhysAddr host, uint8_t level, uint64_t base, Permissions inherited) {
  if (!walk_.Afford(Stage::kFirst, kPagingEntries)) {
    walk_.first_stage_unknown = true;
    return;
  }
  WalkFrame frame;
  frame.page = TablePage(walk_.session, host);
  frame.base = base;
  frame.level = level;
  frame.inherited = inherited;
  if (!frame.page.whole()) {
    frame.page.ReportUnknown(walk_.sink, walk_.NameOf(Stage::kFirst, host, level, base));
  }
  if (frame.page.unknown()) {
    walk_.accounting.visited += kPagingEntries;
    walk_.accounting.unreadable += kPagingEntries;
    walk_.first_stage_unknown = true;
    return;
  }
  TableVisit visit;
  visit.table = {host, level};
  visit.stage = Stage::kFirst;
  visit.iova = Iova(base);
  visit.span = frame.span();
  visit.inherited = inherited;
  visit.repeatable = !walk_.MeetsInterruptWindow(base, visit.span) && level != root_.levels;
  if (!walk_.Enter(visit)) return;
  frame.announced = true;
  stack_[depth_++] = std::move(frame);
}

void FirstStageWalk::OnEntry(WalkFrame& frame, uint32_t index, uint64_t raw) {
  WalkAccounting& counts = walk_.accounting;
  const EntryVerdict verdict =
      Classify(walk_.rules, EntryKind::kFirstStage, frame.level, {&raw, 1});
  if (verdict.outcome == Outcome::kNotPresent) {
    ++counts.not_present;
    return;
  }
  walk_.Charge(WalkBudget::kVerdictCost);
  if (verdict.outcome == Outcome::kRejected) {
    ++counts.rejected;
    walk_.ReportRejected(Stage::kFirst, frame, index, verdict);
    return;
  }
  if (!verdict.user && !walk_.space.supervisor_access) return Die(frame, kSupervisorOnly);
  Permissions permissions = frame.inherited & verdict.permissions;
  // Without WPE the writes of a supervisor request pass over R/W.
  if (walk_.space.supervisor_access && !walk_.space.write_protect) permissions.write = true;
  if (verdict.unsure) walk_.NoteDoubt(Stage::kFirst, frame, index, verdict);
  if (verdict.outcome == Outcome::kLeaf) {
    return OnLeafEntry(frame, Canonical(frame.InputOf(index)), verdict, permissions);
  }
  OnTableEntry(frame, index, verdict, permissions);
}

void FirstStageWalk::OnTableEntry(WalkFrame& frame, uint32_t index, const EntryVerdict& verdict,
                                  Permissions permissions) {
  using Kind = SecondStageWalk::Translation::Kind;
  PhysAddr host = verdict.target;
  if (second_ != nullptr) {
    // A page of each level of the second stage.
    if (!walk_.Afford(Stage::kSecond, UnitRules::kMaxLevels * WalkBudget::kPageCost)) {
      ++walk_.accounting.tables;
      walk_.first_stage_unknown = true;
      return;
    }
    const SecondStageWalk::Translation found = second_->Translate(host.value(), false);
    if (found.kind == Kind::kBlocked) {
      ++walk_.accounting.rejected;
      if (walk_.sink.OnlyCounts("walk.blocked", Effect::kNote)) return;
      walk_.sink.Note("walk.blocked", "{}: next table at guest-physical {:#x}: {} ({})",
                      walk_.NameOf(Stage::kFirst, frame, index), host.value(), found.reason,
                      found.condition);
      return;
    }
    if (found.kind == Kind::kUnknown) {
      ++walk_.accounting.tables;
      walk_.accounting.visited += kPagingEntries;
      walk_.accounting.unreadable += kPagingEntries;
      walk_.first_stage_unknown = true;
      return;
    }
    host = found.address;
  }
  ++walk_.accounting.tables;
  const auto begin = stack_.begin();
  if (std::any_of(begin, begin + static_cast<std::ptrdiff_t>(depth_),
                  [&](const WalkFrame& above) { return above.page.address() == host; })) {
    walk_.ReportLoop(Stage::kFirst, frame, index, host);
    walk_.first_stage_unknown = true;
    return;
  }
  Push(host, static_cast<uint8_t>(frame.level - 1), Canonical(frame.InputOf(index)), permissions);
}

void FirstStageWalk::OnLeafEntry(WalkFrame& frame, uint64_t iova, const EntryVerdict& verdict,
                                 Permissions permissions) {
  if (second_ == nullptr) {
    if (!walk_.EmitLeaf(Iova(iova), verdict.size, verdict.target, permissions, verdict.size)) {
      return Die(frame, kInterruptAddress);
    }
    ++walk_.accounting.leaves;
    return;
  }
  const SecondStageWalk::Part part =
      second_->WalkPart(verdict.target.value(), verdict.size, Iova(iova), permissions);
  if (part.live) {
    ++walk_.accounting.leaves;
  } else if (part.unknown) {
    ++walk_.accounting.unreadable;
  } else {
    Die(frame, kBlockedBelow);
  }
}

void FirstStageWalk::Die(WalkFrame& frame, DeadReason reason) {
  ++walk_.accounting.dead;
  ++frame.dead;
  frame.dead_reasons = static_cast<uint8_t>(frame.dead_reasons | reason);
}

}  // namespace dmaudit
