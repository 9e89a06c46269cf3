// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/attachment_walk.h"

#include <fmt/format.h>

namespace dmaudit {
namespace {

constexpr uint32_t kRootEntrySize = 16;
constexpr uint32_t kLegacyContextSize = 16;

}  // namespace

std::string AttachmentWalk::NameOf(std::string_view kind, PhysAddr table) const {
  return fmt::format("{}: {} {:#x}", unit_.name, kind, table.value());
}

void AttachmentWalk::CountUnknown(const TablePage& page, const std::string& name, uint32_t offset,
                                  uint32_t size, uint32_t entry_size) {
  accounting_.visited += size / entry_size;
  accounting_.unreadable += size / entry_size;
  page.ReportUnknown(sink_, name, offset, size);
}

void AttachmentWalk::Report(const std::string& name, uint64_t index, const EntryVerdict& verdict) {
  if (verdict.reason.empty()) return;
  const bool refused =
      verdict.outcome == Outcome::kUnsupported || verdict.outcome == Outcome::kRejected;
  if (!refused && !verdict.unsure) return;
  const std::string_view id = !refused                  ? "walk.doubtful"
                              : verdict.reserved_bits() ? "walk.reserved-bits"
                                                        : "walk.unsupported";
  const Effect effect =
      verdict.outcome == Outcome::kUnsupported ? Effect::kIncomplete : Effect::kNote;
  if (sink_.OnlyCounts(id, effect)) return;
  sink_.Report(id, effect,
               fmt::format("{}: entry {:#x}: {}{}", name, index, Explain(verdict),
                           refused ? "" : ", taken as valid, which is not certain"));
}

bool AttachmentWalk::CountIfEnd(const std::string& name, uint64_t index,
                                const EntryVerdict& verdict) {
  Report(name, index, verdict);
  switch (verdict.outcome) {
    case Outcome::kNotPresent:
      ++accounting_.not_present;
      return true;
    case Outcome::kRejected:
    case Outcome::kUnsupported:
      ++accounting_.rejected;
      return true;
    default:
      return false;
  }
}

void AttachmentWalk::Show(Attachment& attachment) {
  if (stopped_) return;
  if (attachments_ == kMaxAttachments) {
    sink_.Incomplete("walk.budget", "{}: more than {} attachments: the rest is left out",
                     unit_.name, kMaxAttachments);
    stopped_ = true;
    return;
  }
  ++attachments_;
  attachment.address_width = static_cast<uint8_t>(rules_.InputBits(attachment.space));
  if (!visit_(attachment)) stopped_ = true;
}

void AttachmentWalk::WalkLegacy(PhysAddr root) {
  const TablePage page(session_, root);
  const std::string name = NameOf("root table", root);
  for (uint32_t bus = 0; bus < 256 && !stopped_; ++bus) {
    const uint32_t offset = bus * kRootEntrySize;
    if (!page.Knows(offset, kRootEntrySize)) {
      CountUnknown(page, name, offset, kRootEntrySize, kRootEntrySize);
      continue;
    }
    ++accounting_.visited;
    const auto raw = page.Words<2>(offset);
    const EntryVerdict verdict = Classify(rules_, EntryKind::kLegacyRoot, 0, raw);
    if (CountIfEnd(name, bus, verdict)) continue;
    ++accounting_.tables;
    const EntryRef ref{ToString(EntryKind::kLegacyRoot), 0, PhysAddr(root.value() + offset), raw[0],
                       raw[1]};
    LegacyContextTable(static_cast<uint8_t>(bus), ref, verdict.target);
  }
}

void AttachmentWalk::LegacyContextTable(uint8_t bus, const EntryRef& root, PhysAddr table) {
  const TablePage page(session_, table);
  const std::string name = NameOf("context table", table);
  if (page.unknown()) {
    return CountUnknown(page, name, 0, TablePage::kSize, kLegacyContextSize);
  }
  for (uint32_t devfn = 0; devfn < 256 && !stopped_; ++devfn) {
    const uint32_t offset = devfn * kLegacyContextSize;
    if (!page.Knows(offset, kLegacyContextSize)) {
      CountUnknown(page, name, offset, kLegacyContextSize, kLegacyContextSize);
      continue;
    }
    ++accounting_.visited;
    const auto raw = page.Words<2>(offset);
    const EntryVerdict verdict = Classify(rules_, EntryKind::kLegacyContext, 0, raw);
    if (CountIfEnd(name, devfn, verdict)) continue;
    ++accounting_.leaves;
    Attachment attachment;
    attachment.bdf = {unit_.segment, bus, static_cast<uint8_t>(devfn)};
    attachment.device_tlb = verdict.device_tlb;
    attachment.space.did = verdict.did;
    if (verdict.outcome == Outcome::kPassThrough) {
      attachment.space.stage = Stage::kPassThrough;
    } else {
      attachment.space.stage = Stage::kSecond;
      attachment.space.second = TableRoot{verdict.target, verdict.levels};
    }
    attachment.path = {
        root,
        {ToString(EntryKind::kLegacyContext), 0, PhysAddr(table.value() + offset), raw[0], raw[1]}};
    Show(attachment);
  }
}

}  // namespace dmaudit
