// SPDX-License-Identifier: GPL-2.0-or-later
// A ByteSource made of bytes in memory: tests, fuzzers, and containers inside containers.
#ifndef DMAUDIT_VMCORE_IO_MEMORY_SOURCE_H_
#define DMAUDIT_VMCORE_IO_MEMORY_SOURCE_H_

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "vmcore/io/byte_source.h"

namespace dmaudit {

class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  uint64_t size() const override { return bytes_.size(); }
  Result<size_t> ReadAt(FileOffset offset, std::span<std::byte> out) const override {
    if (offset.value() >= bytes_.size()) return size_t{0};
    const size_t from = static_cast<size_t>(offset.value());
    const size_t size = std::min(out.size(), bytes_.size() - from);
    if (size != 0) std::memcpy(out.data(), bytes_.data() + from, size);
    return size;
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_IO_MEMORY_SOURCE_H_
