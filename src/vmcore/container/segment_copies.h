// SPDX-License-Identifier: GPL-2.0-or-later
// SegmentCopies: memory that a file holds at more than one place, and whether the bytes are equal.
#ifndef DMAUDIT_VMCORE_CONTAINER_SEGMENT_COPIES_H_
#define DMAUDIT_VMCORE_CONTAINER_SEGMENT_COPIES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/diagnostics.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// The kernel's image is in the segment of its text and in that of the direct map. All of it is
// compared where it is read, and a few pages of each stretch at the start: a wrong offset, or
// another time, shows there.
class SegmentCopies {
 public:
  // `path` names the file in messages.
  SegmentCopies(std::shared_ptr<const ByteSource> source, std::string path)
      : source_(std::move(source)), path_(std::move(path)) {}

  // `range` is used from `used` on, and is at `other` too. Ranges come by ascending begin; of those
  // with one begin, few.
  void Add(PhysRange range, FileOffset used, FileOffset other);

  // Whether any of `range` has another copy.
  bool AnyIn(PhysRange range) const;
  // Compares `bytes`, which the file has for the addresses from `at` on at the place that is used,
  // with their other copies. Safe to call from several threads.
  void Compare(PhysAddr at, std::span<const std::byte> bytes) const;
  // Compares pages at the start, at the end and evenly in between.
  void CompareSamples() const;

  // `elf.segments-disagree`, and `elf.copies-unknown` where there are too many to keep.
  void ReportFaults(DiagnosticSink& sink) const;

 private:
  struct Copy {
    uint64_t first, last;
    uint64_t used, other;  // in the file
  };
  struct Difference {
    uint64_t at, used, other;
  };
  struct Found {
    std::mutex lock;  // where something differs
    std::optional<Difference> lowest;
  };
  // Each ascending and disjoint.
  static constexpr size_t kLists = 3;
  static constexpr size_t kMaxCopies = size_t{1} << 16;

  // The first of a list that ends at or behind `at`.
  static std::vector<Copy>::const_iterator FirstBehind(const std::vector<Copy>& list, uint64_t at);
  void ComparePart(const Copy& copy, uint64_t first, std::span<const std::byte> bytes) const;

  std::shared_ptr<const ByteSource> source_;
  std::string path_;
  std::array<std::vector<Copy>, kLists> lists_;
  bool too_many_ = false;
  std::unique_ptr<Found> found_ = std::make_unique<Found>();
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_SEGMENT_COPIES_H_
