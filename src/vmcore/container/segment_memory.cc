// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/segment_memory.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace dmaudit {

SegmentMemory::SegmentMemory(std::shared_ptr<const ByteSource> source, SegmentMap segments,
                             std::unique_ptr<const SegmentCopies> copies)
    : source_(std::move(source)), segments_(std::move(segments)), copies_(std::move(copies)) {}

std::unique_ptr<DecodeContext> SegmentMemory::MakeContext() const {
  return std::make_unique<DecodeContext>();
}

void SegmentMemory::ReadPage(PhysAddr base, DecodeContext&, Page& page) const {
  page.Reset(base, kPageSize, ByteState::kAbsent);
  const PhysRange whole{base, PhysAddr(base.value() + (kPageSize - 1))};
  for (size_t i = segments_.FirstAtOrAfter(base); i < segments_.size(); ++i) {
    const SegmentPiece piece = segments_[i];
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
    if (copies_ != nullptr) copies_->Compare(part->first, out.first(good));
  }
}

bool SegmentMemory::ReadTogether(PhysAddr base, DecodeContext&, std::span<std::byte> out) const {
  const size_t index = segments_.FirstAtOrAfter(base);
  const std::optional<PhysRange> wanted = PhysRange::FromSize(base, out.size());
  if (!wanted || index == segments_.size()) return false;
  const SegmentPiece piece = segments_[index];
  if (piece.state != ByteState::kData || !piece.range.Contains(*wanted)) return false;
  if (copies_ != nullptr && copies_->AnyIn(*wanted)) return false;
  const uint64_t at = piece.offset.value() + (base.value() - piece.range.first.value());
  return source_->ReadAt(FileOffset(at), out) == out.size();
}

ByteState SegmentMemory::PageStateHint(PhysAddr base) const {
  return segments_.PageState(base, kPageSize);
}

void SegmentMemory::VisitRam(const std::function<bool(PhysRange)>& visit) const {
  segments_.VisitCovered(visit);
}

void SegmentMemory::VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const {
  segments_.VisitStates(visit);
}

void SegmentMemory::VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const {
  segments_.VisitStored(
      kPageSize, [this](FileOffset place) { return source_->SkipHole(place); }, visit);
}

void SegmentMemory::ReportFaults(DiagnosticSink& sink) const {
  if (copies_ != nullptr) copies_->ReportFaults(sink);
}

}  // namespace dmaudit
