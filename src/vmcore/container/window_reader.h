// SPDX-License-Identifier: GPL-2.0-or-later
// Small structures out of a file by position, a window at a time: hopping over headers costs one
// read for each that lies apart, and next to nothing for those that lie close together.
#ifndef DMAUDIT_VMCORE_CONTAINER_WINDOW_READER_H_
#define DMAUDIT_VMCORE_CONTAINER_WINDOW_READER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmcore/io/byte_source.h"

namespace dmaudit {

class WindowReader {
 public:
  static constexpr size_t kWindow = 4096;

  // `source` outlives the reader.
  explicit WindowReader(const ByteSource& source) : source_(source) {}

  // The bytes at `at`, at most `size` (itself at most kWindow); fewer at the end of the source and
  // where it cannot be read. Valid until the next call.
  std::span<const std::byte> Get(uint64_t at, size_t size);

 private:
  const ByteSource& source_;
  std::array<std::byte, kWindow> window_{};
  uint64_t begin_ = 0;
  size_t filled_ = 0;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_WINDOW_READER_H_
