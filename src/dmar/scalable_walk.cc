// SPDX-License-Identifier: GPL-2.0-or-later
// The scalable-mode half of AttachmentWalk.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "dmar/attachment_walk.h"
#include "dmar/hw/pasid_entry.h"
#include "dmar/hw/scalable_context_entry.h"

namespace dmaudit {
namespace {

constexpr uint32_t kRootHalfSize = 8;
constexpr uint32_t kContextSize = 32;
constexpr uint32_t kPasidEntrySize = 64;
constexpr uint32_t kPasidsPerTable = 64;

// What takes longer than to look at an entry of a directory that is empty, in such entries.
constexpr uint64_t kPageCost = 128;
constexpr uint64_t kDirectoryEntryCost = 8;  // that is not empty
constexpr uint64_t kPasidEntryCost = 32;     // that is present: a verdict over 64 bytes

}  // namespace

void AttachmentWalk::WalkScalable(PhysAddr root) {
  const TablePage page(session_, root);
  const std::string name = NameOf("root table", root);
  for (uint32_t half = 0; half < 512 && !stopped_; ++half) {
    const uint32_t offset = half * kRootHalfSize;
    if (!page.Knows(offset, 8)) {
      CountUnknown(page, name, offset, 8, 8);
      continue;
    }
    ++accounting_.visited;
    const auto raw = page.Words<1>(offset);
    const EntryVerdict verdict = Classify(rules_, EntryKind::kScalableRoot, 0, raw);
    if (CountIfEnd(name, half / 2, verdict)) continue;
    ++accounting_.tables;
    const EntryRef ref{ToString(EntryKind::kScalableRoot), 0, PhysAddr(root.value() + offset),
                       raw[0], 0};
    ScalableContextTable(static_cast<uint8_t>(half / 2), half % 2 != 0, ref, verdict.target);
  }
}

void AttachmentWalk::ScalableContextTable(uint8_t bus, bool upper, const EntryRef& root,
                                          PhysAddr table) {
  const TablePage page(session_, table);
  const std::string name = NameOf("context table", table);
  if (page.unknown()) return CountUnknown(page, name, 0, TablePage::kSize, kContextSize);
  for (uint32_t i = 0; i < 128 && !stopped_; ++i) {
    const uint32_t offset = i * kContextSize;
    if (!page.Knows(offset, kContextSize)) {
      CountUnknown(page, name, offset, kContextSize, kContextSize);
      continue;
    }
    ++accounting_.visited;
    const auto raw = page.Words<4>(offset);
    const EntryVerdict verdict = Classify(rules_, EntryKind::kScalableContext, 0, raw);
    if (CountIfEnd(name, i, verdict)) continue;
    ++accounting_.tables;
    Function function;
    function.bdf = {unit_.segment, bus, static_cast<uint8_t>(upper ? i + 0x80 : i)};
    function.root = root;
    function.context = {ToString(EntryKind::kScalableContext), 0, PhysAddr(table.value() + offset),
                        raw[0], raw[1]};
    OnScalableContext(function, raw, verdict);
  }
}

void AttachmentWalk::OnScalableContext(const Function& at, std::span<const uint64_t> raw,
                                       const EntryVerdict& verdict) {
  namespace sc = hw::scalable_context;
  Function function = at;
  function.device_tlb = verdict.device_tlb;
  function.rid_privileged = sc::kRidPriv.Get(raw[1]) != 0 && rules_.rid_privilege != Tri::kNo;
  Selection& selection = function.selection;
  selection.directory = verdict.target.value();
  selection.limit = uint32_t{1} << (sc::kPdts.Get(raw[0]) + 13);
  selection.all = sc::kPaside.Get(raw[0]) != 0;
  const auto rid_pasid = static_cast<uint32_t>(sc::kRidPasid.Get(raw[1]));
  selection.rid_first = rules_.rid_pasid == Tri::kNo ? 0 : rid_pasid;
  selection.rid_second = rules_.rid_pasid == Tri::kUnknown ? 0 : selection.rid_first;
  if (rid_pasid != 0 && rules_.rid_pasid == Tri::kUnknown) {
    sink_.Note("walk.doubtful",
               "{}: context of {}: whether RID_PASID {:#x} is honoured is not known: both it and "
               "PASID 0 are taken for requests without PASID",
               unit_.name, ToString(function.bdf), rid_pasid);
  }
  if (selection.rid_first >= selection.limit) {
    sink_.Note("walk.blocked",
               "{}: context of {}: RID_PASID {:#x} is beyond the directory's {:#x} (SCT.9)",
               unit_.name, ToString(function.bdf), selection.rid_first, selection.limit);
  }
  if (const PasidLeaves leaves = ReadDirectory(selection.Key())) ShowPasids(function, *leaves);
}

bool AttachmentWalk::Afford(uint64_t cost) {
  if (pasid_budget_spent_) return false;
  if (budget_.Spend(cost)) return true;
  pasid_budget_spent_ = true;
  sink_.Incomplete("walk.budget",
                   "{}: PASID tables have more entries than are looked at: the rest is left out",
                   unit_.name);
  return false;
}

AttachmentWalk::PasidLeaves AttachmentWalk::ReadDirectory(const Selection& selection) {
  const auto known = directories_.find(selection);
  if (known != directories_.end()) return known->second;
  if (pasid_budget_spent_) return nullptr;

  auto leaves = std::make_shared<std::vector<PasidLeaf>>();
  const uint32_t entries = selection.limit / kPasidsPerTable;
  TablePage page;
  std::string name;
  for (uint32_t i = 0; i < entries; ++i) {
    const uint32_t offset = i * 8 % TablePage::kSize;
    if (offset == 0) {
      if (!Afford(kPageCost)) break;
      const PhysAddr base(selection.directory + uint64_t{i} * 8);
      page = TablePage(session_, base);
      name = NameOf("PASID directory", base);
      if (page.unknown()) {
        const uint32_t here = std::min(entries - i, TablePage::kSize / 8);
        CountUnknown(page, name, 0, here * 8, 8);
        (void)budget_.Spend(here);
        i += here - 1;
        continue;
      }
    }
    if (!Afford(1)) break;
    if (!page.Knows(offset, 8)) {
      CountUnknown(page, name, offset, 8, 8);
      continue;
    }
    ++accounting_.visited;
    const auto raw = page.Words<1>(offset);
    if (raw[0] == 0) {
      ++accounting_.not_present;
      continue;
    }
    (void)budget_.Spend(kDirectoryEntryCost);
    const EntryVerdict verdict = Classify(rules_, EntryKind::kPasidDirectory, 0, raw);
    if (CountIfEnd(name, offset / 8, verdict)) continue;
    ++accounting_.tables;
    PasidLeaf link;
    link.directory_entry = PhysAddr(page.address().value() + offset);
    link.directory_raw = raw[0];
    ReadPasidTable(selection, i * kPasidsPerTable, link, verdict.target, *leaves);
  }
  remembered_ += leaves->size();
  if (remembered_ <= kMaxRememberedEntries) directories_.emplace(selection, leaves);
  return leaves;
}

void AttachmentWalk::ReadPasidTable(const Selection& selection, uint32_t first_pasid,
                                    const PasidLeaf& link, PhysAddr table,
                                    std::vector<PasidLeaf>& leaves) {
  if (!Afford(kPageCost + kPasidsPerTable)) return;
  const TablePage page(session_, table);
  const std::string name = NameOf("PASID table", table);
  if (page.unknown()) return CountUnknown(page, name, 0, TablePage::kSize, kPasidEntrySize);
  for (uint32_t i = 0; i < kPasidsPerTable; ++i) {
    const uint32_t offset = i * kPasidEntrySize;
    if (!page.Knows(offset, kPasidEntrySize)) {
      CountUnknown(page, name, offset, kPasidEntrySize, kPasidEntrySize);
      continue;
    }
    ++accounting_.visited;
    const auto raw = page.Words<8>(offset);
    if (hw::pasid::kP.Get(raw[0]) == 0) {
      ++accounting_.not_present;
      continue;
    }
    (void)budget_.Spend(kPasidEntryCost);
    const uint32_t pasid = first_pasid + i;
    if (!selection.Selects(pasid)) {
      ++accounting_.dead;
      continue;
    }
    const EntryVerdict verdict = Classify(rules_, EntryKind::kPasidEntry, 0, raw);
    if (CountIfEnd(name, i, verdict)) continue;
    ++accounting_.leaves;
    PasidLeaf leaf = link;
    leaf.pasid = pasid;
    leaf.entry = PhysAddr(table.value() + offset);
    leaf.words = {raw[0], raw[1], raw[2]};
    leaves.push_back(leaf);
  }
}

void AttachmentWalk::ShowPasids(const Function& function, const std::vector<PasidLeaf>& leaves) {
  const Selection& selection = function.selection;
  // First the requests without PASID, under PASID 0; a selected entry 0 stands for both kinds.
  for (const PasidLeaf& leaf : leaves) {
    if (leaf.pasid == selection.rid_first || leaf.pasid == selection.rid_second) {
      ShowPasid(function, leaf, true, selection.all && leaf.pasid == 0);
    }
  }
  if (!selection.all) return;
  for (const PasidLeaf& leaf : leaves) {
    if (stopped_) return;
    const bool shown = leaf.pasid == 0 &&
                       (leaf.pasid == selection.rid_first || leaf.pasid == selection.rid_second);
    if (!shown) ShowPasid(function, leaf, false, true);
  }
}

void AttachmentWalk::ShowPasid(const Function& function, const PasidLeaf& leaf, bool without_pasid,
                               bool with_pasid) {
  namespace pe = hw::pasid;
  const std::array<uint64_t, 8> raw = {leaf.words[0], leaf.words[1], leaf.words[2]};
  const EntryVerdict verdict = Classify(rules_, EntryKind::kPasidEntry, 0, raw);
  Attachment attachment;
  attachment.bdf = function.bdf;
  attachment.pasid = Pasid{without_pasid ? 0 : leaf.pasid};
  attachment.without_pasid = without_pasid;
  attachment.device_tlb = function.device_tlb;
  AddressSpace& space = attachment.space;
  space.did = verdict.did;
  space.pasid_requests = with_pasid;
  const TableRoot second{verdict.target, verdict.levels};
  const TableRoot first{verdict.first_target, verdict.first_levels};
  switch (verdict.outcome) {
    case Outcome::kPassThrough:
      space.stage = Stage::kPassThrough;
      break;
    case Outcome::kSecondStage:
      space.stage = Stage::kSecond;
      space.second = second;
      break;
    case Outcome::kFirstStage:
      space.stage = Stage::kFirst;
      space.first = first;
      break;
    case Outcome::kNested:
      space.stage = Stage::kNested;
      space.first = first;
      space.second = second;
      break;
    default:
      return;
  }
  if (space.first) {
    const bool by_request =
        with_pasid && pe::kSre.Get(raw[2]) != 0 && rules_.supervisor_requests != Tri::kNo;
    space.supervisor_access = by_request || (without_pasid && function.rid_privileged);
    // Means something to supervisor requests only: equal spaces shall compare equal.
    space.write_protect = !space.supervisor_access || pe::kWpe.Get(raw[2]) != 0;
  }
  attachment.path = {
      function.root,
      function.context,
      {ToString(EntryKind::kPasidDirectory), 0, leaf.directory_entry, leaf.directory_raw, 0},
      {ToString(EntryKind::kPasidEntry), 0, leaf.entry, raw[0], raw[1]}};
  Show(attachment);
}

}  // namespace dmaudit
