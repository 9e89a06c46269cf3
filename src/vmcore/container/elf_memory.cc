// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/elf_memory.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "vmcore/memory/state_joiner.h"

namespace dmaudit {

ElfMemory::ElfMemory(std::shared_ptr<const ByteSource> source, SegmentMap segments)
    : source_(std::move(source)), segments_(std::move(segments)) {}

std::unique_ptr<DecodeContext> ElfMemory::MakeContext() const {
  return std::make_unique<DecodeContext>();
}

void ElfMemory::ReadPage(PhysAddr base, DecodeContext&, Page& page) const {
  page.Reset(base, kPageSize, ByteState::kAbsent);
  const PhysRange whole{base, PhysAddr(base.value() + (kPageSize - 1))};
  const auto pieces = segments_.pieces();
  for (size_t i = segments_.FirstAtOrAfter(base); i < pieces.size(); ++i) {
    const SegmentPiece& piece = pieces[i];
    const std::optional<PhysRange> part = piece.range.Intersect(whole);
    if (!part) break;
    const uint32_t offset = static_cast<uint32_t>(part->first.value() - base.value());
    const uint32_t size = static_cast<uint32_t>(part->size());
    page.SetState(offset, size, piece.state);
    if (piece.state != ByteState::kData) continue;
    const auto out = std::span(page.bytes).subspan(offset, size);
    const uint64_t at = piece.offset.value() + (part->first.value() - piece.range.first.value());
    const Result<size_t> got = source_->ReadAt(FileOffset(at), out);
    const uint32_t good = got ? static_cast<uint32_t>(*got) : 0;
    if (good < size) {
      std::fill(out.begin() + good, out.end(), std::byte{0});
      page.SetState(offset + good, size - good, got ? ByteState::kTruncated : ByteState::kCorrupt);
    }
  }
}

ByteState ElfMemory::PageStateHint(PhysAddr base) const {
  const auto pieces = segments_.pieces();
  uint64_t at = base.value();
  const uint64_t last = base.value() + (kPageSize - 1);
  for (size_t i = segments_.FirstAtOrAfter(base); i < pieces.size(); ++i) {
    const SegmentPiece& piece = pieces[i];
    if (piece.range.first.value() > at) break;
    if (!IsReadable(piece.state)) return piece.state;
    if (piece.range.last.value() >= last) return ByteState::kData;
    at = piece.range.last.value() + 1;
  }
  return ByteState::kAbsent;
}

void ElfMemory::VisitRam(const std::function<bool(PhysRange)>& visit) const {
  std::optional<PhysRange> open;
  for (const SegmentPiece& piece : segments_.pieces()) {
    if (open && open->last.value() + 1 == piece.range.first.value()) {
      open->last = piece.range.last;
      continue;
    }
    if (open && !visit(*open)) return;
    open = piece.range;
  }
  if (open) visit(*open);
}

void ElfMemory::VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const {
  StateJoiner joined(visit);
  for (const SegmentPiece& piece : segments_.pieces()) {
    if (!joined.Add(piece.range, piece.state)) return;
  }
  joined.Finish();
}

void ElfMemory::VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const {
  std::optional<PhysAddr> seen;
  for (const SegmentPiece& piece : segments_.pieces()) {
    if (piece.state != ByteState::kData) continue;
    const PhysAddr last = piece.range.last.AlignDown(kPageSize);
    for (PhysAddr page = piece.range.first.AlignDown(kPageSize);;
         page = PhysAddr(page.value() + kPageSize)) {
      const PhysRange whole{page, PhysAddr(page.value() + (kPageSize - 1))};
      // Pieces that meet inside a page show it twice.
      const bool stored =
          seen != page && (piece.range.Contains(whole) || IsReadable(PageStateHint(page)));
      seen = page;
      if (stored && !visit(page, kPageSize)) return;
      if (page == last) break;
    }
  }
}

}  // namespace dmaudit
