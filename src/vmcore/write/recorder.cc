// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/recorder.h"

#include <algorithm>

namespace dmaudit {

void EvidenceRecorder::OnRead(PhysAddr address, uint64_t size) {
  if (size == 0) return;
  const uint64_t first = address.value();
  const uint64_t last = size - 1 > UINT64_MAX - first ? UINT64_MAX : first + (size - 1);
  for (uint64_t frame = first / kFrameSize; frame <= last / kFrameSize; ++frame) {
    if (frame != last_frame_) {
      if (masks_.size() >= max_frames_ && !masks_.contains(frame)) {
        overflowed_ = true;
        return;
      }
      last_mask_ = &masks_[frame];
      last_frame_ = frame;
    }
    const uint64_t base = frame * kFrameSize;
    const uint64_t from = std::max(first, base) - base;
    const uint64_t to = std::min(last, base + (kFrameSize - 1)) - base;
    const uint32_t word = static_cast<uint32_t>(from / kWordSize);
    last_mask_->Set(word, static_cast<uint32_t>(to / kWordSize) - word + 1);
  }
}

std::vector<uint64_t> EvidenceRecorder::Frames() const {
  std::vector<uint64_t> frames;
  frames.reserve(masks_.size());
  for (const auto& [frame, mask] : masks_) frames.push_back(frame);
  std::sort(frames.begin(), frames.end());
  return frames;
}

WordMask EvidenceRecorder::WordsOf(uint64_t frame) const {
  const auto it = masks_.find(frame);
  return it == masks_.end() ? WordMask() : it->second;
}

}  // namespace dmaudit
