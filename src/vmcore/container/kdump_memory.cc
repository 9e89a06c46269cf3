// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/kdump_memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "base/bytes.h"

namespace dmaudit {
namespace {

// page_desc.flags; 0 is a raw page.
constexpr uint32_t kFlagZlib = 0x1;
constexpr uint32_t kFlagLzo = 0x2;
constexpr uint32_t kFlagSnappy = 0x4;
constexpr uint32_t kFlagZstd = 0x20;

// Descriptors are read in groups that fill about a page: neighbours are usually wanted next.
constexpr uint64_t kGroup = 170;
// When all of them are wanted: 64 KiB at a time.
constexpr uint64_t kBulkGroup = 2730;

}  // namespace

KdumpDescriptor KdumpDescriptor::Parse(std::span<const std::byte> raw) {
  return {LoadUnchecked<uint64_t>(raw, 0), LoadUnchecked<uint32_t>(raw, 8),
          LoadUnchecked<uint32_t>(raw, 12)};
}

std::optional<PageCodec> KdumpDescriptor::codec() const {
  switch (flags) {
    case 0:
      return PageCodec::kRaw;
    case kFlagZlib:
      return PageCodec::kZlib;
    case kFlagLzo:
      return PageCodec::kLzo;
    case kFlagSnappy:
      return PageCodec::kSnappy;
    case kFlagZstd:
      return PageCodec::kZstd;
    default:
      return std::nullopt;
  }
}

class KdumpMemory::Context : public DecodeContext {
 public:
  PageDecoder decoder;
  std::vector<std::byte> stored;  // compressed bytes of one page
  std::vector<std::byte> group;   // descriptors group_index * kGroup ...
  uint64_t group_index = UINT64_MAX;
};

KdumpMemory::KdumpMemory(std::shared_ptr<const ByteSource> source, uint32_t page_size,
                         std::unique_ptr<const PageBitmap> ram, PageBitmap stored,
                         FileOffset descriptors)
    : source_(std::move(source)),
      page_size_(page_size),
      page_shift_(static_cast<unsigned>(std::countr_zero(page_size))),
      ram_(std::move(ram)),
      stored_(std::move(stored)),
      descriptors_(descriptors) {}

std::unique_ptr<DecodeContext> KdumpMemory::MakeContext() const {
  return std::make_unique<Context>();
}

ByteState KdumpMemory::FrameState(uint64_t frame) const {
  if (stored_.Test(frame)) return ByteState::kData;
  return ram_ != nullptr && ram_->Test(frame) ? ByteState::kExcluded : ByteState::kAbsent;
}

ByteState KdumpMemory::PageStateHint(PhysAddr base) const {
  const uint64_t frame = base.value() >> page_shift_;
  const ByteState state = FrameState(frame);
  if (state != ByteState::kData) return state;
  std::array<std::byte, KdumpDescriptor::kSize> raw{};
  const Result<size_t> got = source_->ReadAt(
      FileOffset(descriptors_.value() + stored_.Rank(frame) * KdumpDescriptor::kSize), raw);
  if (!got) return ByteState::kCorrupt;
  return *got < raw.size() ? ByteState::kTruncated : Judge(KdumpDescriptor::Parse(raw));
}

ByteState KdumpMemory::Judge(const KdumpDescriptor& descriptor) const {
  if (descriptor.offset == 0) return ByteState::kLost;
  // Writers store a page raw when compressing does not shrink it; twice the page leaves room for
  // the worst case of every codec.
  const std::optional<PageCodec> codec = descriptor.codec();
  if (!codec || descriptor.offset < data_start() || descriptor.size == 0 ||
      descriptor.size > 2 * page_size_ ||
      (*codec == PageCodec::kRaw && descriptor.size != page_size_)) {
    return ByteState::kCorrupt;
  }
  const uint64_t end = source_->size();
  const bool whole = descriptor.offset <= end && descriptor.size <= end - descriptor.offset;
  return whole ? ByteState::kData : ByteState::kTruncated;
}

ByteState KdumpMemory::ReadDescriptor(uint64_t index, Context& context,
                                      KdumpDescriptor& descriptor) const {
  if (context.group_index != index / kGroup) {
    context.group_index = UINT64_MAX;
    const uint64_t first = index / kGroup * kGroup;
    const uint64_t count = std::min(kGroup, stored_.count() - first);
    context.group.resize(static_cast<size_t>(count * KdumpDescriptor::kSize));
    const Result<size_t> got = source_->ReadAt(
        FileOffset(descriptors_.value() + first * KdumpDescriptor::kSize), context.group);
    if (!got) return ByteState::kCorrupt;
    context.group.resize(*got);
    context.group_index = index / kGroup;
  }
  const auto raw =
      SubSpan(context.group, index % kGroup * KdumpDescriptor::kSize, KdumpDescriptor::kSize);
  if (!raw) return ByteState::kTruncated;
  descriptor = KdumpDescriptor::Parse(*raw);
  return ByteState::kData;
}

void KdumpMemory::ReadPage(PhysAddr base, DecodeContext& context, Page& page) const {
  const uint64_t frame = base.value() >> page_shift_;
  const ByteState state = FrameState(frame);
  page.Reset(base, page_size_, state);
  if (state != ByteState::kData) return;
  // The only contexts this class is given are its own.
  Context& own = static_cast<Context&>(context);
  const auto unreadable = [&](ByteState why) { page.Reset(base, page_size_, why); };

  KdumpDescriptor descriptor;
  const ByteState found = ReadDescriptor(stored_.Rank(frame), own, descriptor);
  if (found != ByteState::kData) return unreadable(found);
  const ByteState judged = Judge(descriptor);
  const std::optional<PageCodec> codec = descriptor.codec();
  // The start of a raw page that is cut is data all the same.
  if (judged != ByteState::kData &&
      !(judged == ByteState::kTruncated && codec == PageCodec::kRaw)) {
    return unreadable(judged);
  }
  if (*codec == PageCodec::kRaw) {
    const Result<size_t> got = source_->ReadAt(FileOffset(descriptor.offset), page.bytes);
    if (!got) return unreadable(ByteState::kCorrupt);
    const uint32_t size = static_cast<uint32_t>(*got);
    if (size < page_size_) page.SetState(size, page_size_ - size, ByteState::kTruncated);
    return;
  }
  own.stored.resize(descriptor.size);
  const Result<size_t> got = source_->ReadAt(FileOffset(descriptor.offset), own.stored);
  if (!got) return unreadable(ByteState::kCorrupt);
  if (*got < own.stored.size()) return unreadable(ByteState::kTruncated);
  if (!own.decoder.Decode(*codec, own.stored, page.bytes)) unreadable(ByteState::kCorrupt);
}

void KdumpMemory::VisitRam(const std::function<bool(PhysRange)>& visit) const {
  const PageBitmap& described = ram_ != nullptr ? *ram_ : stored_;
  described.VisitRuns([&](uint64_t first, uint64_t last) {
    return visit({PhysAddr(first << page_shift_),
                  PhysAddr((last << page_shift_) | (uint64_t{page_size_} - 1))});
  });
}

void KdumpMemory::VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const {
  std::vector<std::byte> group;
  uint64_t index = 0;  // of the next page
  uint64_t end = 0;    // descriptors below are in `group`, the last of them at its end
  stored_.VisitRuns([&](uint64_t first, uint64_t last) {
    for (uint64_t frame = first;; ++frame, ++index) {
      if (index == end) {
        const uint64_t count = std::min(kBulkGroup, stored_.count() - index);
        group.resize(static_cast<size_t>(count * KdumpDescriptor::kSize));
        const Result<size_t> got = source_->ReadAt(
            FileOffset(descriptors_.value() + index * KdumpDescriptor::kSize), group);
        // Pages whose descriptor is beyond the end of the file are not readable.
        if (!got || *got < KdumpDescriptor::kSize) return false;
        end = index + *got / KdumpDescriptor::kSize;
        group.resize(static_cast<size_t>((end - index) * KdumpDescriptor::kSize));
      }
      const size_t from_end = static_cast<size_t>((end - index) * KdumpDescriptor::kSize);
      const KdumpDescriptor descriptor = KdumpDescriptor::Parse(std::span(group).last(from_end));
      // Offset 0: never written.
      if (descriptor.offset != 0 && !visit(PhysAddr(frame << page_shift_), descriptor.size)) {
        return false;
      }
      if (frame == last) break;
    }
    ++index;
    return true;
  });
}

}  // namespace dmaudit
