// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/session.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/bytes.h"

namespace dmaudit {

MemorySession::MemorySession(const PhysicalMemory& memory, ReadRecorder* recorder,
                             size_t cache_pages)
    : memory_(memory),
      recorder_(recorder),
      cache_pages_(std::max<size_t>(cache_pages, 1)),
      context_(memory.MakeContext()) {}

PageHandle MemorySession::Fetch(PhysAddr base) {
  const auto known = cached_.find(base.value());
  if (known != cached_.end()) {
    recent_.splice(recent_.begin(), recent_, known->second);
    return recent_.front();
  }
  auto page = std::make_shared<Page>();
  memory_.ReadPage(base, *context_, *page);
  ++pages_decoded_;
  if (recent_.size() >= cache_pages_) {
    cached_.erase(recent_.back()->base.value());
    recent_.pop_back();
  }
  recent_.push_front(std::move(page));
  cached_[base.value()] = recent_.begin();
  return recent_.front();
}

ReadStatus MemorySession::Read(PhysAddr address, std::span<std::byte> out) {
  if (recorder_ != nullptr && !out.empty()) recorder_->OnRead(address, out.size());
  const uint32_t page_size = memory_.page_size();
  size_t done = 0;
  while (done < out.size()) {
    const std::optional<PhysAddr> at = address.Plus(done);
    if (!at) return {ByteState::kAbsent, PhysAddr(UINT64_MAX)};
    const uint32_t offset = static_cast<uint32_t>(at->OffsetIn(page_size));
    const uint32_t size =
        static_cast<uint32_t>(std::min<size_t>(page_size - offset, out.size() - done));
    const PhysAddr base = at->AlignDown(page_size);
    // A page copied out whole is not asked for again soon: caching it would only push others out.
    const bool bulk = size == page_size && !cached_.contains(base.value());
    if (bulk) {
      ++pages_decoded_;
      if (memory_.ReadTogether(base, *context_, out.subspan(done, size))) {
        done += size;
        continue;
      }
      memory_.ReadPage(base, *context_, bulk_page_);
    }
    const PageHandle cached = bulk ? nullptr : Fetch(base);
    const Page& page = bulk ? bulk_page_ : *cached;
    const PageExtent bad = page.FirstUnreadable(offset, size);
    const uint32_t good = IsReadable(bad.state) ? size : bad.offset - offset;
    std::memcpy(out.data() + done, page.bytes.data() + offset, good);
    if (good < size) return {bad.state, PhysAddr(at->value() + good)};
    done += size;
  }
  return {};
}

ReadStatus MemorySession::ReadU64(PhysAddr address, uint64_t& value) {
  std::array<std::byte, 8> bytes{};
  const ReadStatus status = Read(address, bytes);
  if (status.ok()) value = LoadUnchecked<uint64_t>(bytes, 0);
  return status;
}

ReadStatus MemorySession::ReadU32(PhysAddr address, uint32_t& value) {
  std::array<std::byte, 4> bytes{};
  const ReadStatus status = Read(address, bytes);
  if (status.ok()) value = LoadUnchecked<uint32_t>(bytes, 0);
  return status;
}

PageHandle MemorySession::ReadWholePage(PhysAddr address) {
  const PhysAddr base = address.AlignDown(memory_.page_size());
  if (recorder_ != nullptr) recorder_->OnRead(base, memory_.page_size());
  return Fetch(base);
}

}  // namespace dmaudit
