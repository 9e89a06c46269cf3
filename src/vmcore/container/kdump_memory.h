// SPDX-License-Identifier: GPL-2.0-or-later
// Physical memory out of the bitmaps, page descriptors and page data of a kdump-compressed dump.
#ifndef DMAUDIT_VMCORE_CONTAINER_KDUMP_MEMORY_H_
#define DMAUDIT_VMCORE_CONTAINER_KDUMP_MEMORY_H_

#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "vmcore/container/page_bitmap.h"
#include "vmcore/container/page_codec.h"
#include "vmcore/io/byte_source.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

// page_desc: where one stored page is and how it is packed.
struct KdumpDescriptor {
  static constexpr uint64_t kSize = 24;

  uint64_t offset = 0;  // 0: the writer never got to this page
  uint32_t size = 0;
  uint32_t flags = 0;

  static KdumpDescriptor Parse(std::span<const std::byte> raw, ByteOrder order);
  // Nothing when the flags name no codec or several.
  std::optional<PageCodec> codec() const;
  friend bool operator==(const KdumpDescriptor&, const KdumpDescriptor&) = default;
};

// What the bitmaps and headers of a dump say about all of its pages. The parts of a split dump all
// say the same.
struct KdumpPages {
  uint32_t page_size = 0;
  ByteOrder order = ByteOrder::kLittle;
  uint64_t frames = 0;  // page frames are below this
  // Null when the dump has one bitmap only: what is stored is then all that is described.
  std::unique_ptr<const PageBitmap> ram;
  PageBitmap stored;
  bool ram_has_stored = false;  // known: every frame of `stored` is one of `ram`
  // Of the frames behind what is known() of a bitmap.
  ByteState behind_bitmap = ByteState::kTruncated;
};

// Where the pages of frames first .. end - 1 are: the n-th frame that is stored, counted from
// `start` on, has the n-th descriptor of `source`.
struct KdumpPart {
  std::shared_ptr<const ByteSource> source;
  FileOffset descriptors;
  uint64_t start = 0;
  uint64_t limit = 0;  // the file has descriptors for the stored frames of start .. limit - 1
  uint64_t first = 0;  // start <= first < end <= limit
  uint64_t end = 0;
  // The pages of frames from here on may have the descriptors of others, and are corrupt.
  uint64_t doubtful_from = UINT64_MAX;
};

class KdumpMemory : public PhysicalMemory {
 public:
  // `parts` are ascending and disjoint. Stored pages that are in none of them are lost.
  KdumpMemory(KdumpPages pages, const std::vector<KdumpPart>& parts);

  uint32_t page_size() const override { return pages_.page_size; }
  std::unique_ptr<DecodeContext> MakeContext() const override;
  void ReadPage(PhysAddr base, DecodeContext& context, Page& page) const override;
  ByteState PageStateHint(PhysAddr base) const override;
  // What either bitmap has: they should agree, and where they do not, nothing is to be missed. So
  // is what a bitmap that is cut may have had.
  void VisitRam(const std::function<bool(PhysRange)>& visit) const override;
  void VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const override;
  void VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const override;

 private:
  class Context;
  class DescriptorStream;

  struct Part : KdumpPart {
    uint64_t rank = 0;        // stored frames below `start`
    uint64_t count = 0;       // descriptors
    uint64_t data_start = 0;  // right behind the descriptors
  };

  // What a descriptor is good for.
  struct Judgement {
    // kData when it can be followed, and all of its data is in the file.
    ByteState state = ByteState::kLost;
    // How many bytes of its data can be used. The start of a raw page that is cut, or whose end is
    // lost, is known.
    uint32_t known = 0;
  };

  // Of the frames from here on, it is not known whether they are RAM.
  uint64_t RamKnown() const {
    return (pages_.ram != nullptr ? *pages_.ram : pages_.stored).known();
  }
  // By the bitmaps alone.
  ByteState FrameState(uint64_t frame) const;
  // Ascending and disjoint runs of frames of either bitmap, and of those that may be RAM because
  // the bitmap that says so is cut; and whether the second one has them. Until `visit` gives false.
  void VisitFrames(
      const std::function<bool(uint64_t first, uint64_t last, bool stored)>& visit) const;
  PhysRange RangeOf(uint64_t first, uint64_t last) const {
    return {PhysAddr(first << page_shift_),
            PhysAddr((last << page_shift_) | (uint64_t{pages_.page_size} - 1))};
  }
  // The part that has the page, or null.
  const Part* FindPart(uint64_t frame) const;
  // Of descriptor number `index` of a part.
  Judgement Judge(const Part& part, uint64_t index, const KdumpDescriptor& descriptor) const;
  // Gives kData, or why there is no descriptor.
  ByteState ReadOneDescriptor(const Part& part, uint64_t index, KdumpDescriptor& descriptor) const;
  // The same, a group of them at a time.
  ByteState ReadDescriptor(const Part& part, uint64_t index, Context& context,
                           KdumpDescriptor& descriptor) const;

  KdumpPages pages_;
  unsigned page_shift_;
  std::vector<Part> parts_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_KDUMP_MEMORY_H_
