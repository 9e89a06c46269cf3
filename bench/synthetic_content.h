// SPDX-License-Identifier: GPL-2.0-or-later
// A real dump made larger: more RAM, more pages, pages with other bytes.
#ifndef DMAUDIT_BENCH_SYNTHETIC_CONTENT_H_
#define DMAUDIT_BENCH_SYNTHETIC_CONTENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmcore/memory/physical_memory.h"
#include "vmcore/write/kdump_writer.h"

namespace dmaudit::bench {

inline constexpr uint64_t kPage = 4096;

// The pages of `base` from which bytes can be read, and what is added to them. Bytes of the base
// that are not known are written as zeros: such a dump is for timing and says nothing of a machine.
class SyntheticContent : public KdumpContent {
 public:
  // `base` outlives the content and has pages of 4 KiB.
  explicit SyntheticContent(const PhysicalMemory& base);

  // The first byte behind the RAM of the base, rounded up to 4 GiB.
  uint64_t end_of_base() const { return end_of_base_; }

  // More RAM behind everything there is so far.
  void AddRam(PhysRange range) { more_ram_.push_back(range); }
  // Every `stride`-th page of `range`, inside RAM that was added, is stored and zero.
  void AddZeroPages(PhysRange range, uint64_t stride) { zero_pages_ = {range, stride}; }
  // The bytes of a page to change: those of the base, or zeros where it has none. Valid until the
  // content goes.
  std::span<std::byte> Change(PhysAddr page);

  void VisitRam(const std::function<bool(PhysRange)>& visit) const override;
  void VisitPages(const std::function<bool(const PageRun&)>& visit) const override;
  std::unique_ptr<PageFiller> MakeFiller() const override;
  // The page at `base`, which VisitPages names; for one thread.
  void FillPage(PhysAddr base, std::span<std::byte> out) { Copy(base, *context_, page_, out); }

  // Bases of the base's pages, ascending.
  const std::vector<uint64_t>& base_pages() const { return base_pages_; }

 private:
  struct Stride {
    PhysRange range;
    uint64_t stride;
  };

  class Filler;

  bool HasBytes(PhysAddr page);
  void Copy(PhysAddr base, DecodeContext& context, Page& page, std::span<std::byte> out) const;

  const PhysicalMemory& base_;
  std::unique_ptr<DecodeContext> context_;
  Page page_;
  uint64_t end_of_base_ = 0;
  std::vector<uint64_t> base_pages_;
  std::vector<PhysRange> more_ram_;
  std::optional<Stride> zero_pages_;
  std::map<uint64_t, std::vector<std::byte>> changed_;
};

}  // namespace dmaudit::bench

#endif  // DMAUDIT_BENCH_SYNTHETIC_CONTENT_H_
