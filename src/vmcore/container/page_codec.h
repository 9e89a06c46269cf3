// SPDX-License-Identifier: GPL-2.0-or-later
// The compressors of page data, each bounded by the page it must fill.
#ifndef DMAUDIT_VMCORE_CONTAINER_PAGE_CODEC_H_
#define DMAUDIT_VMCORE_CONTAINER_PAGE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace dmaudit {

enum class PageCodec : uint8_t { kRaw, kZlib, kLzo, kSnappy, kZstd };

// One thread's decompressors, made when first used.
class PageDecoder {
 public:
  PageDecoder();
  ~PageDecoder();
  PageDecoder(const PageDecoder&) = delete;
  PageDecoder& operator=(const PageDecoder&) = delete;

  // True when `stored` decodes to exactly `page.size()` bytes, which are then in `page`. Never
  // writes outside `page`, whose content is unspecified after a failure.
  bool Decode(PageCodec codec, std::span<const std::byte> stored, std::span<std::byte> page);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_PAGE_CODEC_H_
