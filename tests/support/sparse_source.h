// SPDX-License-Identifier: GPL-2.0-or-later
// A huge, mostly empty ByteSource that knows its holes, counts what is read and can fail.
#ifndef DMAUDIT_TESTS_SUPPORT_SPARSE_SOURCE_H_
#define DMAUDIT_TESTS_SUPPORT_SPARSE_SOURCE_H_

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "vmcore/io/byte_source.h"

namespace dmaudit::test {

class SparseSource : public ByteSource {
 public:
  explicit SparseSource(uint64_t size) : size_(size) {}

  // Extents must not overlap.
  void Write(uint64_t offset, std::vector<std::byte> bytes) { data_[offset] = std::move(bytes); }
  // From now on, reads that touch `offset` fail.
  void FailAt(uint64_t offset) { bad_ = offset; }

  uint64_t bytes_read() const { return bytes_read_; }

  uint64_t size() const override { return size_; }
  Result<size_t> ReadAt(FileOffset offset, std::span<std::byte> out) const override {
    const uint64_t from = offset.value();
    if (from >= size_) return size_t{0};
    const uint64_t to = from + std::min<uint64_t>(out.size(), size_ - from);
    if (bad_ && *bad_ >= from && *bad_ < to) {
      // What a failed read leaves behind is not to be used.
      std::fill(out.begin(), out.end(), std::byte{0xee});
      return Fail(ErrorCode::kIo, "reading at {:#x}: bad sector", *bad_);
    }
    std::fill(out.begin(), out.end(), std::byte{0});
    for (const auto& [at, bytes] : data_) {
      const uint64_t low = std::max(from, at);
      const uint64_t high = std::min(to, at + bytes.size());
      if (low < high) {
        std::memcpy(out.data() + (low - from), bytes.data() + (low - at), high - low);
      }
    }
    bytes_read_ += to - from;
    return static_cast<size_t>(to - from);
  }
  FileOffset SkipHole(FileOffset offset) const override {
    for (const auto& [at, bytes] : data_) {
      if (at + bytes.size() > offset.value()) return FileOffset(std::max(at, offset.value()));
    }
    return FileOffset(std::max(size_, offset.value()));
  }

 private:
  uint64_t size_;
  std::map<uint64_t, std::vector<std::byte>> data_;
  std::optional<uint64_t> bad_;
  mutable std::atomic<uint64_t> bytes_read_ = 0;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_SPARSE_SOURCE_H_
