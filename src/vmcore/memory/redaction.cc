// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/redaction.h"

#include <libdeflate.h>

#include <algorithm>
#include <iterator>

namespace dmaudit {
namespace {

bool TilesFrame(FrameLayout layout) {
  uint32_t words = 0;
  for (const WordRun& run : layout) {
    if (run.count == 0 || run.count > kWordsPerFrame - words) return false;
    words += run.count;
  }
  return words == kWordsPerFrame;
}

}  // namespace

void WordMask::Set(uint32_t first, uint32_t count) {
  const uint32_t end = first + count;
  while (first < end) {
    const uint32_t bit = first % 64;
    const uint32_t width = std::min(64 - bit, end - first);
    const uint64_t ones = width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
    bits_[first / 64] |= ones << bit;
    first += width;
  }
}

bool WordMask::all() const {
  return std::all_of(bits_.begin(), bits_.end(), [](uint64_t b) { return b == ~uint64_t{0}; });
}

bool WordMask::none() const {
  return std::all_of(bits_.begin(), bits_.end(), [](uint64_t b) { return b == 0; });
}

bool KeepsWords(FrameLayout layout) {
  return std::ranges::any_of(layout,
                             [](const WordRun& run) { return run.state == ByteState::kData; });
}

uint32_t FrameChecksum(std::span<const std::byte> frame) {
  return libdeflate_crc32(0, frame.data(), frame.size());
}

Status RedactionMap::Append(uint64_t first, uint32_t count, FrameLayout layout,
                            std::span<const uint32_t> checksums) {
  const uint64_t end = runs_.empty() ? 0 : runs_.back().first + runs_.back().count;
  if (count == 0) return Fail(ErrorCode::kMalformed, "frame {:#x}: empty run", first);
  if (first < end) {
    return Fail(ErrorCode::kMalformed, "frame {:#x}: not behind frame {:#x}", first, end - 1);
  }
  if (first >= kFrameCount || count > kFrameCount - first) {
    return Fail(ErrorCode::kMalformed, "frame {:#x}: a run of {} leaves the address space", first,
                count);
  }
  if (!TilesFrame(layout)) {
    return Fail(ErrorCode::kMalformed, "frame {:#x}: layout does not tile the {} words of a frame",
                first, kWordsPerFrame);
  }
  if (checksums.size() != (KeepsWords(layout) ? count : 0)) {
    return Fail(ErrorCode::kMalformed, "frame {:#x}: {} checksums of {} frames", first,
                checksums.size(), count);
  }
  if (layout.size() > UINT32_MAX - words_.size() || count > UINT32_MAX - checksums_.size()) {
    return Fail(ErrorCode::kLimit, "frame {:#x}: more frames than can be recorded", first);
  }
  FrameRun run{first, count, static_cast<uint32_t>(layout.size()),
               static_cast<uint32_t>(words_.size()), static_cast<uint32_t>(checksums_.size())};
  checksums_.insert(checksums_.end(), checksums.begin(), checksums.end());
  // Neighbours mostly look alike (tables are kept whole): share their layout, join them if they
  // touch.
  if (!runs_.empty() && std::ranges::equal(LayoutOf(runs_.back()), layout)) {
    if (first == end && count <= UINT32_MAX - runs_.back().count) {
      runs_.back().count += count;
      return {};
    }
    run.layout_start = runs_.back().layout_start;
  } else {
    words_.insert(words_.end(), layout.begin(), layout.end());
  }
  runs_.push_back(run);
  return {};
}

FrameRecord RedactionMap::Find(uint64_t frame) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), frame,
                       [](uint64_t wanted, const FrameRun& run) { return wanted < run.first; });
  if (after == runs_.begin()) return {};
  const FrameRun& run = *std::prev(after);
  if (frame - run.first >= run.count) return {};
  const std::span<const uint32_t> checksums = ChecksumsOf(run);
  return {LayoutOf(run), checksums.empty() ? nullptr : &checksums[frame - run.first]};
}

}  // namespace dmaudit
