// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/segment_copies.h"

#include <algorithm>

namespace dmaudit {
namespace {

constexpr uint64_t kPage = 4096;
// Cheap enough for every start.
constexpr uint64_t kSamplesPerStretch = 16;
constexpr unsigned kMaxSamples = 256;

}  // namespace

void SegmentCopies::Add(PhysRange range, FileOffset used, FileOffset other) {
  const Copy copy{range.first.value(), range.last.value(), used.value(), other.value()};
  for (std::vector<Copy>& list : lists_) {
    if (list.empty()) {
      list.push_back(copy);
      return;
    }
    Copy& back = list.back();
    if (back.last >= copy.first) continue;
    const uint64_t distance = copy.first - back.first;
    if (back.last + 1 == copy.first && back.used + distance == copy.used &&
        back.other + distance == copy.other) {
      back.last = copy.last;
      return;
    }
    if (list.size() == kMaxCopies) break;
    list.push_back(copy);
    return;
  }
  too_many_ = true;
}

std::vector<SegmentCopies::Copy>::const_iterator SegmentCopies::FirstBehind(
    const std::vector<Copy>& list, uint64_t at) {
  return std::partition_point(list.begin(), list.end(),
                              [at](const Copy& copy) { return copy.last < at; });
}

bool SegmentCopies::AnyIn(PhysRange range) const {
  return std::any_of(lists_.begin(), lists_.end(), [&](const std::vector<Copy>& list) {
    const auto copy = FirstBehind(list, range.first.value());
    return copy != list.end() && copy->first <= range.last.value();
  });
}

void SegmentCopies::Compare(PhysAddr at, std::span<const std::byte> bytes) const {
  if (bytes.empty()) return;
  const uint64_t first = at.value();
  const uint64_t last = first + (bytes.size() - 1);
  for (const std::vector<Copy>& list : lists_) {
    for (auto copy = FirstBehind(list, first); copy != list.end() && copy->first <= last; ++copy) {
      const uint64_t from = std::max(copy->first, first);
      const uint64_t to = std::min(copy->last, last);
      ComparePart(
          *copy, from,
          bytes.subspan(static_cast<size_t>(from - first), static_cast<size_t>(to - from + 1)));
    }
  }
}

void SegmentCopies::ComparePart(const Copy& copy, uint64_t first,
                                std::span<const std::byte> bytes) const {
  std::array<std::byte, kPage> other{};
  while (!bytes.empty()) {
    const size_t want = std::min(bytes.size(), other.size());
    const uint64_t skip = first - copy.first;
    const Result<size_t> got =
        source_->ReadAt(FileOffset(copy.other + skip), std::span(other).first(want));
    // A copy that cannot be had does not contradict.
    const std::span<const std::byte> mine = bytes.first(got ? *got : 0);
    const auto differ = std::mismatch(mine.begin(), mine.end(), other.begin()).first;
    if (differ != mine.end()) {
      const uint64_t into = skip + static_cast<uint64_t>(differ - mine.begin());
      const Difference difference{copy.first + into, copy.used + into, copy.other + into};
      const std::scoped_lock guard(found_->lock);
      if (!found_->lowest || difference.at < found_->lowest->at) found_->lowest = difference;
      return;
    }
    bytes = bytes.subspan(want);
    first += want;
  }
}

void SegmentCopies::CompareSamples() const {
  unsigned samples = 0;
  std::array<std::byte, kPage> used{};
  for (const std::vector<Copy>& list : lists_) {
    for (const Copy& copy : list) {
      const uint64_t pages = (copy.last - copy.first) / kPage + 1;
      const uint64_t count = std::min(pages, kSamplesPerStretch);
      for (uint64_t i = 0; i < count; ++i) {
        if (samples++ == kMaxSamples) return;
        // The last sample is the last page; neither product nor sum can leave 64 bits: there are
        // at most 2^52 pages.
        const uint64_t skip = (count == 1 ? 0 : (pages - 1) * i / (count - 1)) * kPage;
        const size_t size =
            static_cast<size_t>(std::min<uint64_t>(copy.last - copy.first - skip + 1, used.size()));
        const Result<size_t> got =
            source_->ReadAt(FileOffset(copy.used + skip), std::span(used).first(size));
        ComparePart(copy, copy.first + skip, std::span(used).first(got ? *got : 0));
      }
    }
  }
}

void SegmentCopies::ReportFaults(DiagnosticSink& sink) const {
  if (too_many_) {
    sink.Incomplete("elf.copies-unknown",
                    "{}: more stretches of memory are in the file at several places than are kept: "
                    "not all copies are compared",
                    path_);
  }
  const std::scoped_lock guard(found_->lock);
  if (!found_->lowest) return;
  sink.Incomplete("elf.segments-disagree",
                  "{}: memory at {:#x} is in the file at {:#x} and at {:#x} with different bytes, "
                  "the first is used",
                  path_, found_->lowest->at, found_->lowest->used, found_->lowest->other);
}

}  // namespace dmaudit
