// SPDX-License-Identifier: GPL-2.0-or-later
// Which words of physical memory a verdict rests on.
#ifndef DMAUDIT_VMCORE_WRITE_RECORDER_H_
#define DMAUDIT_VMCORE_WRITE_RECORDER_H_

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "vmcore/memory/redaction.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// Keeps one bit for each word of which at least one byte was read. Like the session it listens to,
// for one thread.
class EvidenceRecorder : public ReadRecorder {
 public:
  // 4 GiB of evidence, about 100 MiB of masks: far beyond the tables of any machine seen.
  static constexpr size_t kMaxFrames = size_t{1} << 20;

  explicit EvidenceRecorder(size_t max_frames = kMaxFrames) : max_frames_(max_frames) {}

  // Reads that leave the address space are recorded up to its end.
  void OnRead(PhysAddr address, uint64_t size) override;

  // True when reads were dropped because of the limit: what is recorded is not all evidence.
  bool overflowed() const { return overflowed_; }
  size_t frame_count() const { return masks_.size(); }
  // Frame numbers (address / kFrameSize), ascending.
  std::vector<uint64_t> Frames() const;
  // The words read of a frame; none for a frame without a read.
  WordMask WordsOf(uint64_t frame) const;

 private:
  size_t max_frames_;
  std::unordered_map<uint64_t, WordMask> masks_;
  // Tables are read entry after entry: the mask of the frame before saves most lookups.
  uint64_t last_frame_ = UINT64_MAX;
  WordMask* last_mask_ = nullptr;
  bool overflowed_ = false;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_RECORDER_H_
