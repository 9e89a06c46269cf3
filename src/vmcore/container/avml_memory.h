// SPDX-License-Identifier: GPL-2.0-or-later
// Physical memory out of the snappy streams of an AVML image.
#ifndef DMAUDIT_VMCORE_CONTAINER_AVML_MEMORY_H_
#define DMAUDIT_VMCORE_CONTAINER_AVML_MEMORY_H_

#include <memory>
#include <vector>

#include "vmcore/container/segment_map.h"
#include "vmcore/io/byte_source.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

struct AvmlBlock {
  uint64_t start = 0;   // place of its first byte among the decoded bytes of all blocks
  uint64_t stream = 0;  // file positions: first byte of the stream, and behind its last
  uint64_t end = 0;
  uint64_t size = 0;        // decoded bytes, by the range of its header; 0: 2^64
  bool ends_early = false;  // the end of the file or damage is where the stream ends
};

class AvmlMemory : public PhysicalMemory {
 public:
  static constexpr uint32_t kPageSize = 4096;

  // The offsets of `pieces` count in decoded bytes of all blocks, which are in ascending order.
  AvmlMemory(std::shared_ptr<const ByteSource> source, std::vector<AvmlBlock> blocks,
             SegmentMap pieces);

  uint32_t page_size() const override { return kPageSize; }
  std::unique_ptr<DecodeContext> MakeContext() const override;
  void ReadPage(PhysAddr base, DecodeContext& context, Page& page) const override;
  ByteState PageStateHint(PhysAddr base) const override;
  void VisitRam(const std::function<bool(PhysRange)>& visit) const override;
  void VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const override;
  void VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const override;

 private:
  std::shared_ptr<const ByteSource> source_;
  std::vector<AvmlBlock> blocks_;
  SegmentMap pieces_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_AVML_MEMORY_H_
