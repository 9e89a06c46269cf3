// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef DMAUDIT_VMCORE_WRITE_PAGE_COMPRESSOR_H_
#define DMAUDIT_VMCORE_WRITE_PAGE_COMPRESSOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "vmcore/write/kdump_writer.h"

struct ZSTD_CCtx_s;
struct libdeflate_compressor;

namespace dmaudit {

// Compresses the pages of one dump.
class PageCompressor {
 public:
  // kUsage when the codec has no such level.
  static Result<PageCompressor> Make(const KdumpOptions& options, uint32_t page_size);

  // The stored form: smaller than the page, or the page itself when it does not shrink. Valid until
  // the next call.
  std::span<const std::byte> Compress(std::span<const std::byte> page);
  // Bit of this codec in page descriptors and in the header's status; 0 for raw.
  uint32_t flag() const;

  // Forgets the pages before: what follows is packed the same wherever it starts.
  void Restart() { last_size_ = 0; }

 private:
  struct FreeZstd {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  struct FreeDeflate {
    void operator()(libdeflate_compressor* compressor) const;
  };

  using Zstd = std::unique_ptr<ZSTD_CCtx_s, FreeZstd>;

  PageCompressor() = default;

  static Zstd MakeZstd(int level);  // null: out of memory

  StoreCodec codec_ = StoreCodec::kRaw;
  Zstd zstd_;
  Zstd zstd_fast_;        // null unless asked for
  size_t last_size_ = 0;  // what the page before was stored in; 0: none before
  std::unique_ptr<libdeflate_compressor, FreeDeflate> deflate_;
  std::vector<std::byte> work_;  // what LZO needs
  std::vector<std::byte> buffer_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_PAGE_COMPRESSOR_H_
