// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/second_stage_walk.h"

#include <algorithm>

namespace dmaudit {
namespace {

constexpr Permissions kAll{true, true};

}  // namespace

SecondStageWalk::SecondStageWalk(SpaceWalk& walk)
    : walk_(walk),
      root_(*walk.space.second),
      limit_(uint64_t{1} << walk.rules.SecondStageInputBits(root_.levels)) {}

void SecondStageWalk::WalkAll() {
  Job job;
  job.last = (uint64_t{kPagingEntries} << EntryShift(root_.levels)) - 1;
  job.accounting = &walk_.accounting;
  Run(job, kAll);
}

SecondStageWalk::Part SecondStageWalk::WalkPart(uint64_t gpa, uint64_t size, Iova iova,
                                                Permissions permissions) {
  // Entries of the second stage are looked at once per leaf of the first stage: they are no entries
  // of this space and are not counted.
  WalkAccounting uncounted;
  Job job;
  job.purpose = Purpose::kPart;
  job.first = gpa;
  job.last = gpa + (size - 1);
  job.iova = iova.value();
  job.page_size = size;
  job.accounting = &uncounted;
  const uint64_t span_end = uint64_t{kPagingEntries} << EntryShift(root_.levels);
  if (job.first >= std::min(limit_, span_end)) return {};
  job.last = std::min(job.last, span_end - 1);
  Run(job, permissions);
  return job.result;
}

void SecondStageWalk::WalkBound() {
  WalkAccounting uncounted;
  Job job;
  job.purpose = Purpose::kBound;
  job.last = (uint64_t{kPagingEntries} << EntryShift(root_.levels)) - 1;
  job.accounting = &uncounted;
  Run(job, kAll);
  if (const std::optional<LiveRange> done = bound_joiner_.Flush()) walk_.visitor.OnBound(*done);
}

void SecondStageWalk::Run(Job& job, Permissions inherited) {
  depth_ = 0;
  Push(job, root_.table, root_.levels, 0, inherited);
  while (depth_ > 0 && !walk_.stopped) {
    WalkFrame& frame = stack_[depth_ - 1];
    if (frame.next > frame.last) {
      if (job.purpose != Purpose::kBound) walk_.Leave(Stage::kSecond, frame);
      --depth_;
      continue;
    }
    if (frame.page.whole() && SkipAbsent(job, frame)) continue;
    if (frame.level == 1 && job.purpose == Purpose::kSpace && frame.page.whole() &&
        OnPlainLeaves(job, frame)) {
      continue;
    }
    const uint32_t index = frame.next++;
    ++job.accounting->visited;
    if (!frame.page.Knows(index * 8, 8)) {
      ++job.accounting->unreadable;
      job.result.unknown = true;
      continue;
    }
    OnEntry(job, frame, index, frame.page.Word(index * 8));
  }
}

void SecondStageWalk::Push(Job& job, PhysAddr table, uint8_t level, uint64_t base,
                           Permissions inherited) {
  WalkFrame frame;
  frame.base = base;
  frame.level = level;
  frame.inherited = inherited;
  const uint64_t last_input = base + (frame.span() - 1);
  frame.next = job.first <= base ? 0 : static_cast<uint32_t>((job.first - base) >> frame.shift());
  frame.last = job.last >= last_input ? kPagingEntries - 1
                                      : static_cast<uint32_t>((job.last - base) >> frame.shift());
  if (!walk_.Afford(Stage::kSecond, frame.last - frame.next + 1)) {
    job.result.unknown = true;
    return;
  }
  frame.page = TablePage(walk_.session, table);
  if (!frame.page.whole()) {
    frame.page.ReportUnknown(walk_.sink, walk_.NameOf(Stage::kSecond, table, level, base),
                             frame.next * 8, (frame.last - frame.next + 1) * 8);
  }
  if (frame.page.unknown()) {
    const uint64_t entries = frame.last - frame.next + 1;
    job.accounting->visited += entries;
    job.accounting->unreadable += entries;
    job.result.unknown = true;
    return;
  }
  const bool covered = job.first <= base && last_input <= job.last;
  if (job.purpose == Purpose::kBound) {
    const uint64_t key = table.value() | (uint64_t{level} << 2) | (inherited.read ? 1U : 0U) |
                         (inherited.write ? 2U : 0U);
    if (!bound_seen_.insert(key).second) return;
  } else if (covered) {
    TableVisit visit;
    visit.table = {table, level};
    visit.stage = Stage::kSecond;
    visit.iova = Iova(job.iova + (base - job.first));
    visit.span = frame.span();
    visit.inherited = inherited;
    visit.repeatable = !walk_.MeetsInterruptWindow(visit.iova.value(), visit.span) &&
                       (last_input < limit_ || base >= limit_);
    if (!walk_.Enter(visit)) {
      // Whatever is in there: the visitor has seen it, or the budget has said that it is missing.
      job.result.live = true;
      return;
    }
    frame.announced = true;
  }
  stack_[depth_++] = std::move(frame);
}

void SecondStageWalk::OnEntry(Job& job, WalkFrame& frame, uint32_t index, uint64_t raw) {
  WalkAccounting& counts = *job.accounting;
  if (!IsPresentInSecondStage(raw)) {
    ++counts.not_present;
    return;
  }
  walk_.Charge(WalkBudget::kVerdictCost);
  const EntryVerdict verdict =
      Classify(walk_.rules, EntryKind::kSecondStage, frame.level, {&raw, 1});
  const uint64_t input = frame.InputOf(index);
  if (input >= limit_) return Die(job, frame, kBeyondLimit);
  if (verdict.outcome == Outcome::kRejected) {
    ++counts.rejected;
    walk_.ReportRejected(Stage::kSecond, frame, index, verdict);
    return;
  }
  const Permissions permissions = frame.inherited & verdict.permissions;
  if (!permissions.any()) return Die(job, frame, kNoPermission);
  if (verdict.unsure) walk_.NoteDoubt(Stage::kSecond, frame, index, verdict);
  if (verdict.outcome == Outcome::kLeaf) {
    return OnLeafEntry(job, frame, input, verdict.target, verdict.size, permissions);
  }
  ++counts.tables;
  if (InStack(verdict.target)) {
    job.result.unknown = true;
    walk_.ReportLoop(Stage::kSecond, frame, index, verdict.target);
    return;
  }
  Push(job, verdict.target, static_cast<uint8_t>(frame.level - 1), input, permissions);
}

bool SecondStageWalk::SkipAbsent(Job& job, WalkFrame& frame) {
  uint32_t next = frame.next;
  while (next <= frame.last && !IsPresentInSecondStage(frame.page.Word(next * 8))) ++next;
  const uint32_t absent = next - frame.next;
  frame.next = next;
  job.accounting->visited += absent;
  job.accounting->not_present += absent;
  return absent != 0;
}

bool SecondStageWalk::OnPlainLeaves(Job& job, WalkFrame& frame) {
  constexpr uint64_t kLeafSize = uint64_t{1} << EntryShift(1);
  const auto leaf_at = [&](uint32_t index) {
    return ClassifyPlainLeaf(walk_.rules, frame.page.Word(index * 8));
  };
  const std::optional<PlainLeaf> first = leaf_at(frame.next);
  if (!first) return false;
  const uint64_t input = frame.InputOf(frame.next);
  const Permissions permissions = frame.inherited & first->permissions;
  if (input >= limit_ || !permissions.any()) return false;
  const uint64_t room =
      std::min(limit_ - input, walk_.RoomBesideWindow(Iova(input), first->target)) / kLeafSize;
  const auto most = static_cast<uint32_t>(std::min<uint64_t>(frame.last - frame.next + 1, room));
  if (most == 0) return false;
  uint32_t leaves = 1;
  for (; leaves < most; ++leaves) {
    const std::optional<PlainLeaf> next = leaf_at(frame.next + leaves);
    if (!next || next->permissions != first->permissions ||
        next->target.value() != first->target.value() + leaves * kLeafSize) {
      break;
    }
  }
  walk_.EmitLeaves({Iova(input), leaves * kLeafSize, first->target, permissions}, kLeafSize,
                   leaves);
  frame.next += leaves;
  job.accounting->visited += leaves;
  job.accounting->leaves += leaves;
  job.result.live = true;
  return true;
}

void SecondStageWalk::OnLeafEntry(Job& job, WalkFrame& frame, uint64_t input, PhysAddr target,
                                  uint64_t leaf_size, Permissions permissions) {
  // Only the part inside the job and below the limit counts.
  const uint64_t first = std::max(input, job.first);
  const uint64_t last = std::min({input + (leaf_size - 1), job.last, limit_ - 1});
  const PhysAddr pa(target.value() + (first - input));
  const uint64_t size = last - first + 1;
  if (job.purpose == Purpose::kBound) {
    ++job.accounting->leaves;
    if (const std::optional<LiveRange> done =
            bound_joiner_.Add({Iova(first), size, pa, permissions})) {
      walk_.visitor.OnBound(*done);
    }
    return;
  }
  const uint64_t page_size = job.page_size == 0 ? leaf_size : std::min(job.page_size, leaf_size);
  if (!walk_.EmitLeaf(Iova(job.iova + (first - job.first)), size, pa, permissions, page_size)) {
    return Die(job, frame, kInterruptAddress);
  }
  ++job.accounting->leaves;
  job.result.live = true;
}

void SecondStageWalk::Die(Job& job, WalkFrame& frame, DeadReason reason) {
  ++job.accounting->dead;
  // For a part of a nested space the entry of the first stage tells the story.
  if (job.purpose != Purpose::kSpace) return;
  ++frame.dead;
  frame.dead_reasons = static_cast<uint8_t>(frame.dead_reasons | reason);
}

bool SecondStageWalk::InStack(PhysAddr table) const {
  return std::any_of(stack_.begin(), stack_.begin() + static_cast<std::ptrdiff_t>(depth_),
                     [&](const WalkFrame& frame) { return frame.page.address() == table; });
}

SecondStageWalk::Translation SecondStageWalk::Translate(uint64_t gpa, bool top) {
  using Kind = Translation::Kind;
  const std::string_view denied = top ? "SFS.6" : "SFS.7";
  if (gpa >= limit_) return {Kind::kBlocked, {}, "SFS.5", "beyond the limit of the second stage"};
  PhysAddr table = root_.table;
  for (uint8_t level = root_.levels; level > 0; --level) {
    const TablePage page(walk_.session, table);
    const auto index = static_cast<uint32_t>(gpa >> EntryShift(level)) % kPagingEntries;
    if (!page.Knows(index * 8, 8)) {
      page.ReportUnknown(walk_.sink, walk_.NameOf(Stage::kSecond, table, level, gpa), index * 8, 8);
      return {Kind::kUnknown, {}, {}, {}};
    }
    const uint64_t raw = page.Word(index * 8);
    const EntryVerdict verdict = Classify(walk_.rules, EntryKind::kSecondStage, level, {&raw, 1});
    if (verdict.outcome == Outcome::kRejected) {
      return {Kind::kBlocked, {}, verdict.condition, verdict.reason};
    }
    if (verdict.outcome == Outcome::kNotPresent || !verdict.permissions.read) {
      return {Kind::kBlocked, {}, denied, "not readable through the second stage"};
    }
    if (verdict.outcome == Outcome::kLeaf) {
      return {Kind::kFound, PhysAddr(verdict.target.value() + (gpa & (verdict.size - 1))), {}, {}};
    }
    table = verdict.target;
  }
  return {Kind::kBlocked, {}, denied, "not readable through the second stage"};
}

}  // namespace dmaudit
