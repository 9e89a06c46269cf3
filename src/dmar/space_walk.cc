// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/space_walk.h"

#include <algorithm>
#include <array>

namespace dmaudit {
namespace {

struct Interval {
  uint64_t begin = 0;
  uint64_t end = 0;  // exclusive
};

constexpr uint64_t kWindowEnd = kInterruptWindow + kInterruptWindowSize;

// Whether nothing of a leaf of `size` bytes at `start` falls into the interrupt window.
bool BesideWindow(uint64_t start, uint64_t size) {
  return start >= kWindowEnd || start + (size - 1) < kInterruptWindow;
}

// How many bytes from `start` on lie beside it.
uint64_t RoomFrom(uint64_t start) {
  if (start >= kWindowEnd) return UINT64_MAX - start;
  return start < kInterruptWindow ? kInterruptWindow - start : 0;
}

// The part of it that does, as offsets.
Interval WindowIn(uint64_t start, uint64_t size) {
  if (BesideWindow(start, size)) return {};
  const uint64_t begin = start < kInterruptWindow ? kInterruptWindow - start : 0;
  return {begin, std::min(size, kWindowEnd - start)};
}

}  // namespace

std::string SpaceWalk::NameOf(Stage stage, PhysAddr table, unsigned level, uint64_t input) const {
  return fmt::format(
      "{}{}{}-stage table {:#x} (level {}, {} {:#x})", rules.unit, rules.unit.empty() ? "" : ": ",
      ToString(stage), table.value(), level,
      stage == Stage::kSecond && space.stage == Stage::kNested ? "guest-physical address" : "IOVA",
      input);
}

std::string SpaceWalk::NameOf(Stage stage, const WalkFrame& frame, uint32_t index) const {
  return fmt::format("{}: entry {:#x}",
                     NameOf(stage, frame.page.address(), frame.level, frame.base), index);
}

bool SpaceWalk::Afford(Stage stage, uint32_t entries) {
  if (budget_.Spend(WalkBudget::kPageCost + entries)) return true;
  sink.Incomplete("walk.budget",
                  "{}{}{}-stage tables of did {} have more entries than are looked at: some are "
                  "left out",
                  rules.unit, rules.unit.empty() ? "" : ": ", ToString(stage), space.did.value);
  FlushRange();
  return false;
}

bool SpaceWalk::Enter(TableVisit visit) {
  Charge(WalkBudget::kTableCost);
  const auto [known, fresh] = visited_.try_emplace(visit.table.table.value());
  const unsigned role = visit.table.levels * 8U + (visit.stage == Stage::kFirst ? 4U : 0U) +
                        (visit.inherited.read ? 1U : 0U) + (visit.inherited.write ? 2U : 0U);
  const uint64_t bit = uint64_t{1} << role;
  Roles& roles = known->second;
  visit.new_page = fresh;
  visit.repeated = (roles.once & bit) != 0;
  const bool many = (roles.twice & bit) != 0;
  if (visit.repeated) roles.twice |= bit;
  roles.once |= bit;
  if (!visitor.OnTableVisit(visit)) {
    FlushRange();
    return false;
  }
  if (!many) return true;
  if (repeats_ < kMaxRepeatedTables) {
    ++repeats_;
    return true;
  }
  sink.Incomplete(
      "walk.budget",
      "{}{}{}-stage tables are linked more than {} times over: the rest of the links is "
      "not followed",
      rules.unit, rules.unit.empty() ? "" : ": ", ToString(visit.stage), kMaxRepeatedTables);
  visitor.OnTableDone(visit.table);
  return false;
}

void SpaceWalk::Leave(Stage stage, const WalkFrame& frame) {
  if (frame.dead > 0 && !sink.OnlyCounts("walk.dead-entries", Effect::kNote)) {
    std::string why;
    const std::array<std::pair<DeadReason, std::string_view>, 5> reasons = {{
        {kBeyondLimit, "beyond the input limit"},
        {kInterruptAddress, "interrupt address window"},
        {kNoPermission, "no permission left"},
        {kSupervisorOnly, "supervisor only"},
        {kBlockedBelow, "blocked by the second stage"},
    }};
    for (const auto& [bit, text] : reasons) {
      if ((frame.dead_reasons & bit) == 0) continue;
      if (!why.empty()) why += ", ";
      why += text;
    }
    sink.Note("walk.dead-entries", "{}: present entries that no request can reach: {} ({})",
              NameOf(stage, frame.page.address(), frame.level, frame.base), frame.dead, why);
  }
  if (frame.announced) visitor.OnTableDone({frame.page.address(), frame.level});
}

void SpaceWalk::ReportRejected(Stage stage, const WalkFrame& frame, uint32_t index,
                               const EntryVerdict& verdict) {
  const std::string_view id = verdict.reserved_bits() ? "walk.reserved-bits" : "walk.unsupported";
  if (sink.OnlyCounts(id, Effect::kNote)) return;
  sink.Note(id, "{}: {}", NameOf(stage, frame, index), Explain(verdict));
}

void SpaceWalk::ReportLoop(Stage stage, const WalkFrame& frame, uint32_t index, PhysAddr target) {
  if (sink.OnlyCounts("walk.loop", Effect::kIncomplete)) return;
  sink.Incomplete("walk.loop", "{}: links table {:#x}, which it lies under: not followed",
                  NameOf(stage, frame, index), target.value());
}

void SpaceWalk::NoteDoubt(Stage stage, WalkFrame& frame, uint32_t index,
                          const EntryVerdict& verdict) {
  if (frame.doubtful++ > 0 || sink.OnlyCounts("walk.doubtful", Effect::kNote)) return;
  sink.Note("walk.doubtful", "{}: taken as valid, which is not certain: {}",
            NameOf(stage, frame, index), Explain(verdict));
}

bool SpaceWalk::EmitLeaf(Iova iova, uint64_t size, PhysAddr pa, Permissions permissions,
                         uint64_t page_size) {
  // Nearly all of them.
  if ((space.pasid_requests || BesideWindow(iova.value(), size)) &&
      BesideWindow(pa.value(), size)) {
    Emit({iova, size, pa, permissions}, page_size, 1);
    return true;
  }
  const std::array<Interval, 2> both = {
      space.pasid_requests ? Interval{} : WindowIn(iova.value(), size), WindowIn(pa.value(), size)};
  const bool swap = both[1].begin < both[0].begin;
  const std::array<Interval, 3> holes = {both[swap ? 1 : 0], both[swap ? 0 : 1], {size, size}};
  uint64_t at = 0;
  bool any = false;
  for (const Interval& hole : holes) {
    if (hole.begin > at) {
      Emit({Iova(iova.value() + at), hole.begin - at, PhysAddr(pa.value() + at), permissions},
           page_size, any ? 0 : 1);
      any = true;
    }
    at = std::max(at, hole.end);
  }
  return any;
}

uint64_t SpaceWalk::RoomBesideWindow(Iova iova, PhysAddr pa) const {
  const uint64_t room = RoomFrom(pa.value());
  return space.pasid_requests ? room : std::min(room, RoomFrom(iova.value()));
}

void SpaceWalk::Emit(const LiveRange& range, uint64_t page_size, uint32_t leaves) {
  if (stopped) return;
  visitor.OnLeaf({range, page_size, leaves});
  if (const std::optional<LiveRange> done = joiner_.Add(range)) {
    Charge(WalkBudget::kRangeCost);
    if (!visitor.OnRange(*done)) stopped = true;
  }
}

void SpaceWalk::FlushRange() {
  const std::optional<LiveRange> done = joiner_.Flush();
  if (done && !stopped && !visitor.OnRange(*done)) stopped = true;
}

}  // namespace dmaudit
