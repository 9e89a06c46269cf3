// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/kdump_count.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "vmcore/container/kdump_memory.h"

namespace dmaudit {
namespace {

constexpr uint64_t kSize = KdumpDescriptor::kSize;
// The first one that has data shows where data begins; an incomplete dump, or damage, may leave out
// some.
constexpr uint64_t kWindow = 4096;
constexpr uint64_t kNoCount = UINT64_MAX;

class Descriptors {
 public:
  Descriptors(const ByteSource& source, const KdumpHeader& header)
      : source_(source), header_(header), begin_(header.descriptors.value()) {}

  // Like one that a writer made. Page data do not look so, nor does a gap.
  bool IsSound(const KdumpDescriptor& descriptor) const {
    return descriptor.offset > begin_ && descriptor.codec() && descriptor.size != 0 &&
           (descriptor.flags == 0 ? descriptor.size == header_.block_size
                                  : descriptor.size <= 2 * header_.block_size);
  }

  // Number `index`; nothing when the file ends before.
  Result<std::optional<KdumpDescriptor>> At(uint64_t index) const {
    std::array<std::byte, kSize> raw{};
    const Result<size_t> got = source_.ReadAt(FileOffset(begin_ + index * kSize), raw);
    if (!got) return tl::unexpected<Error>(got.error());
    if (*got < raw.size()) return std::optional<KdumpDescriptor>();
    return std::optional(KdumpDescriptor::Parse(raw, header_.order));
  }

  // Where data begins, by the first `count`; nothing when none of them has any.
  Result<std::optional<uint64_t>> LowestData(uint64_t count) const {
    std::vector<std::byte> raw(static_cast<size_t>(std::min(count, kWindow) * kSize));
    const Result<size_t> got = source_.ReadAt(FileOffset(begin_), raw);
    if (!got) return tl::unexpected<Error>(got.error());
    std::optional<uint64_t> lowest;
    for (size_t at = 0; *got - at >= kSize; at += kSize) {
      const uint64_t offset =
          KdumpDescriptor::Parse(std::span(raw).subspan(at, kSize), header_.order).offset;
      if (offset > begin_ && (!lowest || offset < *lowest)) lowest = offset;
    }
    return lowest;
  }

  // Whether a stream lacks some of those that LowestData() looks at: they read as zeros.
  bool AnyUnwritten(uint64_t count) const {
    return !source_.IsWritten(FileOffset(begin_), std::min(count, kWindow) * kSize);
  }

  // For how many there is room before `data`, the page of zeros aside; kNoCount when what is there
  // is no whole number of them.
  uint64_t RoomBefore(uint64_t data) const {
    const uint64_t gap = data - begin_;
    if (gap % kSize == 0) return gap / kSize;
    // Blocks are powers of two, so it is one or the other.
    const uint64_t block = header_.block_size;
    if (gap >= block && (gap - block) % kSize == 0) return (gap - block) / kSize;
    return kNoCount;
  }

 private:
  const ByteSource& source_;
  const KdumpHeader& header_;
  uint64_t begin_;
};

}  // namespace

BitCount CompareBitCount(const ByteSource& source, const KdumpHeader& header, uint64_t total,
                         uint64_t own) {
  const Descriptors descriptors(source, header);
  const Result<std::optional<uint64_t>> data = descriptors.LowestData(own);
  if (!data) return BitCount::kUnreadable;
  const uint64_t own_end = header.descriptors.value() + own * kSize;
  const uint64_t begin = data->value_or(own_end);
  const uint64_t room = descriptors.RoomBefore(begin);
  const bool overlaps = begin < own_end;
  // What is where no descriptor should be any more.
  const Result<std::optional<KdumpDescriptor>> next = descriptors.At(std::min(room, own));
  if (!next) return BitCount::kUnreadable;
  const bool sound = *next && descriptors.IsSound(**next) && (*next)->offset >= begin;
  if (overlaps) {
    // One descriptor that points too low is damage of its own.
    return room != kNoCount && !sound ? BitCount::kTooMany : BitCount::kFits;
  }
  if (sound && (begin > own_end || !*data)) return BitCount::kTooFew;
  if (!*data) {
    // Nothing of it was stored, or nothing is left.
    const bool more = own == 0 && !header.split && source.size() > own_end;
    return more ? BitCount::kTooFew : BitCount::kFits;
  }
  if (room == total) return BitCount::kAgrees;
  if (room == kNoCount) return BitCount::kUnclear;
  // In an incomplete dump there is room where nothing was stored. What is no descriptor and no room
  // is the data of a page whose descriptor is damaged.
  const bool unused = *next && (*next)->offset == 0;
  if (!header.split) {
    if (descriptors.AnyUnwritten(own)) return BitCount::kUnreadable;
    return unused ? BitCount::kTooFew : BitCount::kUnclear;
  }
  if (room == own) return BitCount::kFits;
  // Its last pages were not stored, or a bit is too many: the count of the whole dump is wrong.
  const Result<std::optional<KdumpDescriptor>> last = descriptors.At(own - 1);
  if (!last) return BitCount::kUnreadable;
  if (*last && (*last)->offset == 0) return BitCount::kTooMany;
  // A part of another writer may have room for its own descriptors only. For which count it has is
  // the one that takes fewer wrong bits; where both take as many, the one that shows no wrong page.
  const uint64_t off_total = room > total ? room - total : total - room;
  if (!unused || room - own > off_total) return BitCount::kUnclear;
  return descriptors.AnyUnwritten(own) ? BitCount::kUnreadable : BitCount::kTooFew;
}

}  // namespace dmaudit
