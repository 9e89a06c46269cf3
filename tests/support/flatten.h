// SPDX-License-Identifier: GPL-2.0-or-later
// Flattened streams for tests.
#ifndef DMAUDIT_TESTS_SUPPORT_FLATTEN_H_
#define DMAUDIT_TESTS_SUPPORT_FLATTEN_H_

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace dmaudit::test {

class FlatStream {
 public:
  FlatStream() : bytes_(4096) {
    const std::string_view signature = "makedumpfile";
    std::copy(AsBytes(signature).begin(), AsBytes(signature).end(), bytes_.begin());
    StoreUnchecked<uint64_t>(bytes_, 16, 1, ByteOrder::kBig);
    StoreUnchecked<uint64_t>(bytes_, 24, 1, ByteOrder::kBig);
  }

  FlatStream& Header(int64_t offset, int64_t size) {
    std::vector<std::byte> header(16);
    StoreUnchecked<uint64_t>(header, 0, static_cast<uint64_t>(offset), ByteOrder::kBig);
    StoreUnchecked<uint64_t>(header, 8, static_cast<uint64_t>(size), ByteOrder::kBig);
    bytes_.insert(bytes_.end(), header.begin(), header.end());
    return *this;
  }
  FlatStream& Record(uint64_t offset, std::span<const std::byte> content) {
    Header(static_cast<int64_t>(offset), static_cast<int64_t>(content.size()));
    bytes_.insert(bytes_.end(), content.begin(), content.end());
    return *this;
  }
  FlatStream& End() { return Header(-1, -1); }

  std::vector<std::byte>& bytes() { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// `file` in records of `size` bytes, in an order that `seed` shuffles (0: ascending), with its end
// record.
inline std::vector<std::byte> Flatten(std::span<const std::byte> file, size_t size,
                                      uint64_t seed = 0) {
  std::vector<size_t> starts;
  for (size_t at = 0; at < file.size(); at += size) starts.push_back(at);
  for (size_t i = starts.size(); seed != 0 && i > 1; --i) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    std::swap(starts[i - 1], starts[static_cast<size_t>((seed >> 33) % i)]);
  }
  FlatStream stream;
  for (const size_t at : starts) {
    stream.Record(at, file.subspan(at, std::min(size, file.size() - at)));
  }
  return std::move(stream.End().bytes());
}

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_FLATTEN_H_
