// SPDX-License-Identifier: GPL-2.0-or-later
// What a distilled dump keeps of the original, word by word, and what it knows of the rest.
#ifndef DMAUDIT_VMCORE_MEMORY_REDACTION_H_
#define DMAUDIT_VMCORE_MEMORY_REDACTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "vmcore/memory/byte_state.h"

namespace dmaudit {

// Redaction works on 4 KiB frames whatever the page size of the dump, in words of 8 bytes: the unit
// of table entries and of kernel pointers.
inline constexpr uint32_t kFrameSize = 4096;
inline constexpr uint32_t kWordSize = 8;
inline constexpr uint32_t kWordsPerFrame = kFrameSize / kWordSize;
// Frames of a 64-bit address space.
inline constexpr uint64_t kFrameCount = uint64_t{1} << 52;
// What a removed byte holds in the file. Never zero: to a reader that does not know the note, zero
// would be a statement. makedumpfile fills erased bytes with the same letter.
inline constexpr std::byte kRedactedByte{'X'};

// One bit for each word of a frame.
class WordMask {
 public:
  // Words first .. first + count - 1, inside the frame.
  void Set(uint32_t first, uint32_t count);
  bool Test(uint32_t word) const { return (bits_[word / 64] >> (word % 64) & 1) != 0; }
  bool all() const;
  bool none() const;
  friend bool operator==(const WordMask&, const WordMask&) = default;

 private:
  std::array<uint64_t, kWordsPerFrame / 64> bits_{};
};

// `count` neighbouring words. kData: kept, the stored bytes count. kRedacted: removed. Any other
// state: what the original dump said of them.
struct WordRun {
  uint16_t count = 0;
  ByteState state = ByteState::kRedacted;
  friend bool operator==(const WordRun&, const WordRun&) = default;
};

// Runs that tile the words of one frame, first word first.
using FrameLayout = std::span<const WordRun>;
// Whether any word is kData.
bool KeepsWords(FrameLayout layout);

// CRC-32 of a frame as it is stored, filler included.
uint32_t FrameChecksum(std::span<const std::byte> frame);

// What is known of one frame.
struct FrameRecord {
  FrameLayout layout;                  // empty: the frame was not kept
  const uint32_t* checksum = nullptr;  // of the stored frame; null when no word of it is kept
};

// Ascending runs of frames with the layout they share. Frames in no run were not kept at all.
class RedactionMap {
 public:
  struct FrameRun {
    uint64_t first = 0;  // frame number: address / kFrameSize
    uint32_t count = 0;
    uint32_t layout_size = 0;
    uint32_t layout_start = 0;    // index of the first WordRun
    uint32_t checksum_start = 0;  // index of the first frame's checksum, if it has one
  };

  // Adds frames first .. first + count - 1 behind all earlier ones. `checksums` holds one for each
  // frame when the layout keeps words, none otherwise: a damaged dump could show the filler of one
  // frame where words of another were kept, and filler looks like entries that are not present. An
  // error when the frames are not behind, when there are none, when they leave the address space,
  // when the layout does not tile a frame, or when there are more or fewer checksums.
  Status Append(uint64_t first, uint32_t count, FrameLayout layout,
                std::span<const uint32_t> checksums);

  FrameRecord Find(uint64_t frame) const;

  std::span<const FrameRun> runs() const { return runs_; }
  FrameLayout LayoutOf(const FrameRun& run) const {
    return FrameLayout(words_).subspan(run.layout_start, run.layout_size);
  }
  // Empty when the layout keeps no word.
  std::span<const uint32_t> ChecksumsOf(const FrameRun& run) const {
    return std::span(checksums_)
        .subspan(run.checksum_start, KeepsWords(LayoutOf(run)) ? run.count : 0);
  }

 private:
  std::vector<FrameRun> runs_;
  std::vector<WordRun> words_;
  std::vector<uint32_t> checksums_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_MEMORY_REDACTION_H_
