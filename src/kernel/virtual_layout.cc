// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/virtual_layout.h"

#include <algorithm>

#include "kernel/image_layout.h"

namespace dmaudit {
namespace {

// Documentation/arch/x86/x86_64/mm.rst: where the direct map can lie, end not included, with four
// and with five levels. Its place is random inside by whole entries of level 3 (KASLR).
constexpr uint64_t kDirectMap4 = 0xffff'8880'0000'0000;
constexpr uint64_t kDirectMap4End = 0xffff'ff00'0000'0000;
constexpr uint64_t kDirectMap5 = 0xff11'0000'0000'0000;
constexpr uint64_t kDirectMap5End = 0xfff0'0000'0000'0000;
constexpr uint64_t kDirectMapAlignment = uint64_t{1} << 30;

// The first mapped stretch in first .. end - 1. Empty entries are skipped whole, so this takes at
// most 512 steps for each level of a table that is sane; the limit is for one that is not.
std::optional<MappedStretch> FirstMapped(KernelAddressSpace& space, uint64_t first, uint64_t end) {
  constexpr unsigned kMaxSteps = 1U << 18;
  uint64_t at = first;
  for (unsigned step = 0; step < kMaxSteps && at < end; ++step) {
    const MappedStretch stretch = space.StretchAt(KernelVa(at));
    if (stretch.mapped) return stretch;
    const uint64_t next = stretch.first.value() + stretch.size;
    if (next <= at) return std::nullopt;
    at = next;
  }
  return std::nullopt;
}

// The image is in several segments where pages of it were left out.
void JoinImage(std::optional<DumpInfo::VirtualSegment>& image,
               const DumpInfo::VirtualSegment& segment) {
  if (!image) image = segment;
  const uint64_t base = image->virtual_address - image->range.first.value();
  if (segment.virtual_address - segment.range.first.value() != base) return;
  image->range = {std::min(image->range.first, segment.range.first),
                  std::max(image->range.last, segment.range.last)};
  image->virtual_address = image->range.first.value() + base;
}

}  // namespace

VirtualLayout FindVirtualLayout(MemorySession& session, const PageTableRoot& root) {
  const SearchScope search(session);
  KernelAddressSpace space(session, root);
  VirtualLayout layout;
  const bool five = root.levels == 5;
  if (const auto low = FirstMapped(space, five ? kDirectMap5 : kDirectMap4,
                                   five ? kDirectMap5End : kDirectMap4End)) {
    const Result<PhysAddr> physical = space.Translate(low->first);
    // The first of it shows the first of memory; anything else is another map.
    if (physical && physical->value() < kDirectMapAlignment &&
        (low->first.value() - physical->value()) % kDirectMapAlignment == 0) {
      layout.direct_map = low->first.value() - physical->value();
    }
  }
  const auto text = FirstMapped(space, kImageBase, kImageBase + kMaxImageSize);
  if (!text) return layout;
  const Result<PhysAddr> physical = space.Translate(text->first);
  if (!physical) return layout;
  uint64_t size = 0;
  while (size < kMaxImageSize) {
    const KernelVa next(text->first.value() + size);
    const MappedStretch stretch = space.StretchAt(next);
    const Result<PhysAddr> there = space.Translate(next);
    if (!stretch.mapped || !there || there->value() != physical->value() + size) break;
    size += stretch.size;
  }
  if (const auto range = PhysRange::FromSize(*physical, size); range && size != 0) {
    layout.image = DumpInfo::VirtualSegment{text->first.value(), *range};
  }
  return layout;
}

VirtualLayout VirtualLayoutOf(const DumpInfo& info) {
  VirtualLayout layout;
  bool agree = true;
  for (const DumpInfo::VirtualSegment& segment : info.virtual_segments) {
    if (segment.virtual_address >= kImageBase) {
      JoinImage(layout.image, segment);
      continue;
    }
    const uint64_t base = segment.virtual_address - segment.range.first.value();
    agree = agree && (!layout.direct_map || *layout.direct_map == base);
    layout.direct_map = base;
  }
  if (!agree) layout.direct_map.reset();
  return layout;
}

}  // namespace dmaudit
