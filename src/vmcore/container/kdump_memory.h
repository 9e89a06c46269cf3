// SPDX-License-Identifier: GPL-2.0-or-later
// Physical memory out of the bitmaps, page descriptors and page data of a kdump-compressed dump.
#ifndef DMAUDIT_VMCORE_CONTAINER_KDUMP_MEMORY_H_
#define DMAUDIT_VMCORE_CONTAINER_KDUMP_MEMORY_H_

#include <memory>
#include <optional>

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

  static KdumpDescriptor Parse(std::span<const std::byte> raw);
  // Nothing when the flags name no codec or several.
  std::optional<PageCodec> codec() const;
};

class KdumpMemory : public PhysicalMemory {
 public:
  // `ram` is null when the dump has one bitmap only: what is stored is then all that is described.
  KdumpMemory(std::shared_ptr<const ByteSource> source, uint32_t page_size,
              std::unique_ptr<const PageBitmap> ram, PageBitmap stored, FileOffset descriptors);

  uint32_t page_size() const override { return page_size_; }
  std::unique_ptr<DecodeContext> MakeContext() const override;
  void ReadPage(PhysAddr base, DecodeContext& context, Page& page) const override;
  ByteState PageStateHint(PhysAddr base) const override;
  void VisitRam(const std::function<bool(PhysRange)>& visit) const override;
  void VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const override;

 private:
  class Context;

  // Where page data may start: right behind the descriptors.
  uint64_t data_start() const {
    return descriptors_.value() + stored_.count() * KdumpDescriptor::kSize;
  }
  // By the bitmaps alone.
  ByteState FrameState(uint64_t frame) const;
  // Whether a descriptor can be followed, and all of its data is in the file.
  ByteState Judge(const KdumpDescriptor& descriptor) const;
  ByteState ReadDescriptor(uint64_t index, Context& context, KdumpDescriptor& descriptor) const;

  std::shared_ptr<const ByteSource> source_;
  uint32_t page_size_;
  unsigned page_shift_;
  std::unique_ptr<const PageBitmap> ram_;
  PageBitmap stored_;
  FileOffset descriptors_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_KDUMP_MEMORY_H_
