// SPDX-License-Identifier: GPL-2.0-or-later
// Physical memory out of stretches of a file: ELF vmcores, LiME and raw images.
#ifndef DMAUDIT_VMCORE_CONTAINER_SEGMENT_MEMORY_H_
#define DMAUDIT_VMCORE_CONTAINER_SEGMENT_MEMORY_H_

#include <memory>

#include "vmcore/container/segment_copies.h"
#include "vmcore/container/segment_map.h"
#include "vmcore/io/byte_source.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit {

class SegmentMemory : public PhysicalMemory {
 public:
  static constexpr uint32_t kPageSize = 4096;

  // `copies` may be null.
  SegmentMemory(std::shared_ptr<const ByteSource> source, SegmentMap segments,
                std::unique_ptr<const SegmentCopies> copies = nullptr);

  uint32_t page_size() const override { return kPageSize; }
  std::unique_ptr<DecodeContext> MakeContext() const override;
  void ReadPage(PhysAddr base, DecodeContext& context, Page& page) const override;
  bool ReadTogether(PhysAddr base, DecodeContext& context, std::span<std::byte> out) const override;
  ByteState PageStateHint(PhysAddr base) const override;
  void VisitRam(const std::function<bool(PhysRange)>& visit) const override;
  void VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const override;
  void VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const override;
  void ReportFaults(DiagnosticSink& sink) const override;

 private:
  std::shared_ptr<const ByteSource> source_;
  SegmentMap segments_;
  std::unique_ptr<const SegmentCopies> copies_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_SEGMENT_MEMORY_H_
