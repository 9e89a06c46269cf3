// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes of a file on a device that fails in one place, or of a file that has shrunk.
#ifndef DMAUDIT_TESTS_SUPPORT_FAULTY_SOURCE_H_
#define DMAUDIT_TESTS_SUPPORT_FAULTY_SOURCE_H_

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "vmcore/io/byte_source.h"

namespace dmaudit::test {

class FaultySource : public ByteSource {
 public:
  enum class Fault {
    kNone,
    kFails,  // reads that touch the place fail
    kEnds,   // reads end there; size() is what it was
  };

  explicit FaultySource(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  // From now on bytes first .. end - 1 cannot be read.
  void Break(Fault fault, uint64_t first, uint64_t end) {
    fault_ = fault;
    first_ = first;
    end_ = end;
  }

  uint64_t size() const override { return bytes_.size(); }
  Result<size_t> ReadAt(FileOffset offset, std::span<std::byte> out) const override {
    const uint64_t from = offset.value();
    if (from >= bytes_.size()) return size_t{0};
    uint64_t to = from + std::min<uint64_t>(out.size(), bytes_.size() - from);
    // What a read leaves behind the bytes that it gives is not to be used.
    std::fill(out.begin(), out.end(), std::byte{0xee});
    if (fault_ == Fault::kFails && from < end_ && first_ < to) {
      return Fail(ErrorCode::kIo, "dump: reading at {:#x}: bad sector", first_);
    }
    if (fault_ == Fault::kEnds && to > first_) to = std::max(from, first_);
    if (from < to) std::memcpy(out.data(), bytes_.data() + from, static_cast<size_t>(to - from));
    return static_cast<size_t>(to - from);
  }

 private:
  std::vector<std::byte> bytes_;
  Fault fault_ = Fault::kNone;
  uint64_t first_ = 0;
  uint64_t end_ = 0;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_FAULTY_SOURCE_H_
