// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/page_digest.h"

#include <libdeflate.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <vector>

#include "base/ordered_work.h"

namespace dmaudit {
namespace {

// 1 MiB of 4 KiB pages: enough to read ahead in page directories, little enough to hold.
constexpr size_t kPagesPerJob = 256;

struct Entry {
  PageDigest digest;
  bool announced = false;  // as data: to be decoded
  bool decode = false;
};

using Job = std::vector<Entry>;

void Decode(const PhysicalMemory& memory, DecodeContext& context, Page& page, PageDigest& digest) {
  const uint32_t size = memory.page_size();
  memory.ReadPage(PhysAddr(digest.frame * size), context, page);
  digest.known = 0;
  bool zero = true;
  for (const PageExtent& extent : page.extents) {
    if (IsReadable(extent.state)) digest.known += extent.size;
    zero = zero && extent.state == ByteState::kZero;
  }
  digest.state = zero ? ByteState::kZero : page.FirstUnreadable(0, size).state;
  if (digest.readable()) digest.crc32 = libdeflate_crc32(0, page.bytes.data(), size);
}

}  // namespace

DigestSummary VisitPageDigests(const PhysicalMemory& memory, unsigned threads, uint64_t max_unknown,
                               const std::function<bool(const PageDigest&)>& visit) {
  const uint32_t size = memory.page_size();
  const unsigned shift = static_cast<unsigned>(std::countr_zero(size));
  DigestSummary summary;

  const auto make_worker = [&]() -> OrderedWork<Job>::Worker {
    // std::function copies what it holds.
    const std::shared_ptr<DecodeContext> context = memory.MakeContext();
    return [&memory, context, page = Page()](Job& job) mutable {
      for (Entry& entry : job) {
        if (entry.decode) Decode(memory, *context, page, entry.digest);
      }
    };
  };
  OrderedWork<Job> work(threads, make_worker, [&](Job& job) {
    for (const Entry& entry : job) {
      ++summary.pages;
      if (entry.announced && !entry.digest.readable()) ++summary.not_whole;
      if (!visit(entry.digest)) return false;
    }
    return true;
  });

  Job* job = &work.Next();
  job->clear();
  uint64_t next = 0;  // frames below have been dealt with
  memory.VisitStates([&](PhysRange range, ByteState state) {
    const uint64_t last = range.last.value() >> shift;
    for (uint64_t frame = std::max(next, range.first.value() >> shift); frame <= last; ++frame) {
      next = frame + 1;
      const PhysAddr base(frame << shift);
      const bool whole = range.Contains(PhysRange{base, PhysAddr(base.value() + (size - 1))});
      const bool known_unknown = whole && !IsReadable(state);
      if (known_unknown && max_unknown == 0) {
        // Nothing but the frame at the end of the range can still be another range's too.
        const uint64_t rest = last - frame;
        summary.left_out += std::max<uint64_t>(rest, 1);
        if (rest > 1) frame = last - 1;
        next = frame + 1;
        continue;
      }
      if (known_unknown) --max_unknown;
      Entry& entry = job->emplace_back();
      entry.digest.frame = frame;
      entry.digest.state = state;
      entry.announced = whole && IsReadable(state);
      entry.decode = !known_unknown;
      if (job->size() < kPagesPerJob) continue;
      if (!work.Submit()) return false;
      job = &work.Next();
      job->clear();
    }
    return true;
  });
  if (!job->empty()) work.Submit();
  work.Finish();
  return summary;
}

}  // namespace dmaudit
