// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/kdump_memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "base/bytes.h"
#include "vmcore/memory/state_joiner.h"

namespace dmaudit {
namespace {

// page_desc.flags; 0 is a raw page.
constexpr uint32_t kFlagZlib = 0x1;
constexpr uint32_t kFlagLzo = 0x2;
constexpr uint32_t kFlagSnappy = 0x4;
constexpr uint32_t kFlagZstd = 0x20;

// Descriptors are read in groups that fill about a page: neighbours are usually wanted next.
constexpr uint64_t kGroup = 170;
// 4 MiB at most, the descriptors of 680 MiB of stored pages.
constexpr uint64_t kHeldGroups = 1024;
// When all of them are wanted: 64 KiB at a time.
constexpr uint64_t kBulkGroup = 2730;

}  // namespace

KdumpDescriptor KdumpDescriptor::Parse(std::span<const std::byte> raw, ByteOrder order) {
  return {LoadUnchecked<uint64_t>(raw, 0, order), LoadUnchecked<uint32_t>(raw, 8, order),
          LoadUnchecked<uint32_t>(raw, 12, order)};
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

  // The last page of zeros that was read. Most of the memory of a machine is zeros, and a dump has
  // them as one page to which all descriptors point, or as as many equal ones: they need not be
  // unpacked again.
  struct {
    const Part* part = nullptr;
    KdumpDescriptor descriptor;
    std::vector<std::byte> stored;
  } zeros;

  // Descriptors index * kGroup ... of a part.
  struct Group {
    const Part* part = nullptr;
    uint64_t index = 0;
    std::vector<std::byte> bytes;
  };
  // Pages that are read in no order would otherwise cost a second read of the file each. A group
  // has one place; memory is taken for those that are used.
  std::array<Group, kHeldGroups> groups;
};

KdumpMemory::KdumpMemory(KdumpPages pages, const std::vector<KdumpPart>& parts)
    : pages_(std::move(pages)),
      page_shift_(static_cast<unsigned>(std::countr_zero(pages_.page_size))) {
  for (const KdumpPart& given : parts) {
    Part part{given};
    part.rank = pages_.stored.Rank(part.start);
    part.count = pages_.stored.Rank(part.limit) - part.rank;
    part.data_start = part.descriptors.value() + part.count * KdumpDescriptor::kSize;
    parts_.push_back(std::move(part));
  }
}

std::unique_ptr<DecodeContext> KdumpMemory::MakeContext() const {
  return std::make_unique<Context>();
}

ByteState KdumpMemory::FrameState(uint64_t frame) const {
  if (pages_.stored.Test(frame)) return ByteState::kData;
  if (frame >= pages_.frames) return ByteState::kAbsent;
  if (frame < RamKnown() && (pages_.ram == nullptr || !pages_.ram->Test(frame))) {
    return ByteState::kAbsent;
  }
  // A bitmap that is cut does not say what is behind.
  return frame < std::min(RamKnown(), pages_.stored.known()) ? ByteState::kExcluded
                                                             : pages_.behind_bitmap;
}

const KdumpMemory::Part* KdumpMemory::FindPart(uint64_t frame) const {
  const auto it = std::partition_point(parts_.begin(), parts_.end(),
                                       [frame](const Part& part) { return part.end <= frame; });
  return it != parts_.end() && it->first <= frame ? &*it : nullptr;
}

ByteState KdumpMemory::PageStateHint(PhysAddr base) const {
  const uint64_t frame = base.value() >> page_shift_;
  const ByteState state = FrameState(frame);
  if (state != ByteState::kData) return state;
  const Part* part = FindPart(frame);
  if (part == nullptr) return ByteState::kLost;
  if (frame >= part->doubtful_from) return ByteState::kCorrupt;
  const uint64_t index = pages_.stored.Rank(frame) - part->rank;
  KdumpDescriptor descriptor;
  const ByteState found = ReadOneDescriptor(*part, index, descriptor);
  return found == ByteState::kData ? Judge(*part, index, descriptor).state : found;
}

KdumpMemory::Judgement KdumpMemory::Judge(const Part& part, uint64_t index,
                                          const KdumpDescriptor& descriptor) const {
  // Half a descriptor would lead to the data of another page.
  const FileOffset place(part.descriptors.value() + index * KdumpDescriptor::kSize);
  const bool whole = part.source->IsWritten(place, KdumpDescriptor::kSize);
  if (!whole || descriptor.offset == 0) return {ByteState::kLost};
  // Writers store a page raw when compressing does not shrink it; twice the page leaves room for
  // the worst case of every codec.
  const std::optional<PageCodec> codec = descriptor.codec();
  if (!codec || descriptor.offset < part.data_start || descriptor.size == 0 ||
      descriptor.size > 2 * pages_.page_size ||
      (*codec == PageCodec::kRaw && descriptor.size != pages_.page_size)) {
    return {ByteState::kCorrupt};
  }
  Judgement judged{ByteState::kData, descriptor.size};
  const uint64_t end = part.source->size();
  const uint64_t left = end - std::min(descriptor.offset, end);
  if (descriptor.size > left) judged = {ByteState::kTruncated, static_cast<uint32_t>(left)};
  const FileOffset first = FileOffset(descriptor.offset);
  const uint64_t readable =
      part.source->FirstUnreadable(first, judged.known).value() - first.value();
  if (readable < judged.known) judged = {ByteState::kTruncated, static_cast<uint32_t>(readable)};
  const uint64_t written = part.source->FirstUnwritten(first, judged.known).value() - first.value();
  if (written < judged.known) judged = {ByteState::kLost, static_cast<uint32_t>(written)};
  // Of what is packed, all is needed.
  if (judged.state != ByteState::kData && *codec != PageCodec::kRaw) judged.known = 0;
  return judged;
}

ByteState KdumpMemory::ReadOneDescriptor(const Part& part, uint64_t index,
                                         KdumpDescriptor& descriptor) const {
  std::array<std::byte, KdumpDescriptor::kSize> raw{};
  const Result<size_t> got = part.source->ReadAt(
      FileOffset(part.descriptors.value() + index * KdumpDescriptor::kSize), raw);
  if (!got) return ByteState::kCorrupt;
  if (*got < raw.size()) return ByteState::kTruncated;
  descriptor = KdumpDescriptor::Parse(raw, pages_.order);
  return ByteState::kData;
}

ByteState KdumpMemory::ReadDescriptor(const Part& part, uint64_t index, Context& context,
                                      KdumpDescriptor& descriptor) const {
  const uint64_t number = index / kGroup;
  Context::Group& group = context.groups[static_cast<size_t>(number % kHeldGroups)];
  if (group.part != &part || group.index != number) {
    group.part = nullptr;
    const uint64_t first = number * kGroup;
    const uint64_t count = std::min(kGroup, part.count - first);
    group.bytes.resize(static_cast<size_t>(count * KdumpDescriptor::kSize));
    const Result<size_t> got = part.source->ReadAt(
        FileOffset(part.descriptors.value() + first * KdumpDescriptor::kSize), group.bytes);
    if (!got) return ByteState::kCorrupt;
    group.bytes.resize(*got);
    group.index = number;
    group.part = &part;
  }
  const auto raw =
      SubSpan(group.bytes, index % kGroup * KdumpDescriptor::kSize, KdumpDescriptor::kSize);
  // A stream that was cut may have it, and lack one before it.
  if (!raw) return ReadOneDescriptor(part, index, descriptor);
  descriptor = KdumpDescriptor::Parse(*raw, pages_.order);
  return ByteState::kData;
}

void KdumpMemory::ReadPage(PhysAddr base, DecodeContext& context, Page& page) const {
  const uint64_t frame = base.value() >> page_shift_;
  const uint32_t page_size = pages_.page_size;
  const ByteState state = FrameState(frame);
  page.Reset(base, page_size, state);
  if (state != ByteState::kData) return;
  // The only contexts this class is given are its own.
  Context& own = static_cast<Context&>(context);
  const auto unreadable = [&](ByteState why) { page.Reset(base, page_size, why); };

  const Part* part = FindPart(frame);
  if (part == nullptr) return unreadable(ByteState::kLost);
  if (frame >= part->doubtful_from) return unreadable(ByteState::kCorrupt);
  KdumpDescriptor descriptor;
  const uint64_t index = pages_.stored.Rank(frame) - part->rank;
  const ByteState found = ReadDescriptor(*part, index, own, descriptor);
  if (found != ByteState::kData) return unreadable(found);
  const Judgement judged = Judge(*part, index, descriptor);
  if (judged.known == 0) return unreadable(judged.state);
  // Reset() has zeroed the page.
  if (part == own.zeros.part && descriptor == own.zeros.descriptor) return;
  const PageCodec codec = *descriptor.codec();
  if (codec == PageCodec::kRaw) {
    const Result<size_t> got = part->source->ReadAt(FileOffset(descriptor.offset),
                                                    std::span(page.bytes).first(judged.known));
    if (!got) return unreadable(ByteState::kCorrupt);
    const uint32_t size = static_cast<uint32_t>(*got);
    if (size < page_size) {
      page.SetState(size, page_size - size,
                    size < judged.known ? ByteState::kTruncated : judged.state);
    } else if (IsAllZero(page.bytes)) {
      own.zeros = {part, descriptor, {}};
    }
    return;
  }
  own.stored.resize(descriptor.size);
  const Result<size_t> got = part->source->ReadAt(FileOffset(descriptor.offset), own.stored);
  if (!got) return unreadable(ByteState::kCorrupt);
  if (*got < own.stored.size()) return unreadable(ByteState::kTruncated);
  if (descriptor.flags == own.zeros.descriptor.flags && own.stored == own.zeros.stored) return;
  if (!own.decoder.Decode(codec, own.stored, page.bytes)) return unreadable(ByteState::kCorrupt);
  if (IsAllZero(page.bytes)) own.zeros = {part, descriptor, own.stored};
}

// The descriptors of stored frames, which come ascending, read many at a time.
class KdumpMemory::DescriptorStream {
 public:
  explicit DescriptorStream(const KdumpMemory& memory) : memory_(memory) {}

  struct Step {
    uint64_t last = 0;  // the frames from the one asked for to this are alike,
    Judgement judged;
    uint32_t stored_size = 0;  // or it is one, and this is what its descriptor says
  };
  // What is known of stored frames first .. last: of as many from `first` on as are alike.
  Step At(uint64_t first, uint64_t last) {
    while (part_ < memory_.parts_.size() && first >= memory_.parts_[part_].end) {
      ++part_;
      begin_ = end_ = 0;
    }
    if (part_ == memory_.parts_.size()) return {last, {ByteState::kLost}};
    const Part& part = memory_.parts_[part_];
    if (first < part.first) return {std::min(last, part.first - 1), {ByteState::kLost}};
    if (first >= part.doubtful_from) return {std::min(last, part.end - 1), {ByteState::kCorrupt}};
    if (first != frame_ + 1 || begin_ == end_) {
      index_ = memory_.pages_.stored.Rank(first) - part.rank;
    } else {
      ++index_;
    }
    frame_ = first;
    if (index_ < begin_ || index_ >= end_) {
      const uint64_t count = std::min(kBulkGroup, part.count - index_);
      group_.resize(static_cast<size_t>(count * KdumpDescriptor::kSize));
      const Result<size_t> got = part.source->ReadAt(
          FileOffset(part.descriptors.value() + index_ * KdumpDescriptor::kSize), group_);
      begin_ = index_;
      end_ = index_ + (got ? *got / KdumpDescriptor::kSize : 0);
      if (begin_ == end_) {
        if (IsInGap(part)) return {first, {ByteState::kTruncated}};
        // What is behind the end of a file, or cannot be read, is so to its end.
        return {std::min({last, part.end - 1, part.doubtful_from - 1}),
                {got ? ByteState::kTruncated : ByteState::kCorrupt}};
      }
    }
    const KdumpDescriptor descriptor = KdumpDescriptor::Parse(
        std::span(group_).subspan(static_cast<size_t>((index_ - begin_) * KdumpDescriptor::kSize),
                                  KdumpDescriptor::kSize),
        memory_.pages_.order);
    return {first, memory_.Judge(part, index_, descriptor), descriptor.size};
  }

 private:
  // Whether a stream was cut before the descriptor at hand came, and has others that lie behind.
  bool IsInGap(const Part& part) const {
    const FileOffset place(part.descriptors.value() + index_ * KdumpDescriptor::kSize);
    const FileOffset end(place.value() + KdumpDescriptor::kSize);
    return end.value() <= part.source->size() &&
           part.source->FirstUnreadable(place, KdumpDescriptor::kSize) < end;
  }

  const KdumpMemory& memory_;
  std::vector<std::byte> group_;
  size_t part_ = 0;     // that the frame at hand may be in
  uint64_t begin_ = 0;  // descriptors begin_ .. end_ - 1 of that part are in `group_`
  uint64_t end_ = 0;
  uint64_t frame_ = 0;  // the last one asked for, whose descriptor is number index_
  uint64_t index_ = 0;
};

void KdumpMemory::VisitFrames(const std::function<bool(uint64_t, uint64_t, bool)>& visit) const {
  const PageBitmap none;
  PageBitmap::RunCursor stored_runs(pages_.stored);
  PageBitmap::RunCursor ram_runs(pages_.ram != nullptr ? *pages_.ram : none);
  PageBitmap::Run stored;
  PageBitmap::Run ram;
  uint64_t unknown = RamKnown();
  const auto next_ram = [&] {
    if (ram_runs.Next(ram)) return true;
    if (unknown >= pages_.frames) return false;
    ram = {unknown, pages_.frames - 1};
    unknown = pages_.frames;
    return true;
  };
  bool any_stored = stored_runs.Next(stored);
  bool any_ram = next_ram();
  while (any_stored || any_ram) {
    if (any_ram && (!any_stored || ram.first < stored.first)) {
      const uint64_t last = any_stored ? std::min(ram.last, stored.first - 1) : ram.last;
      if (!visit(ram.first, last, false)) return;
      ram.first = last + 1;
    } else {
      if (!visit(stored.first, stored.last, true)) return;
      while (any_ram && ram.last <= stored.last) any_ram = next_ram();
      ram.first = std::max(ram.first, stored.last + 1);
      any_stored = stored_runs.Next(stored);
    }
    if (any_ram && ram.first > ram.last) any_ram = next_ram();
  }
}

void KdumpMemory::VisitRam(const std::function<bool(PhysRange)>& visit) const {
  // One bitmap says it all: where a terabyte is RAM, that is one run of it and millions of the
  // other.
  if (RamKnown() >= pages_.frames && (pages_.ram == nullptr || pages_.ram_has_stored)) {
    const PageBitmap& described = pages_.ram != nullptr ? *pages_.ram : pages_.stored;
    described.VisitRuns([&](uint64_t first, uint64_t last) { return visit(RangeOf(first, last)); });
    return;
  }
  RangeJoiner joined(visit);
  VisitFrames(
      [&](uint64_t first, uint64_t last, bool) { return joined.Add(RangeOf(first, last)); });
  joined.Finish();
}

void KdumpMemory::VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const {
  StateJoiner joined(visit);
  const uint64_t known = std::min(RamKnown(), pages_.stored.known());
  const auto add_not_stored = [&](uint64_t first, uint64_t last) {
    const uint64_t behind = std::clamp(known, first, last + 1);
    return (first == behind || joined.Add(RangeOf(first, behind - 1), ByteState::kExcluded)) &&
           (behind > last || joined.Add(RangeOf(behind, last), pages_.behind_bitmap));
  };
  const auto add_stored = [&](uint64_t first, uint64_t last, const Judgement& judged) {
    PhysRange range = RangeOf(first, last);
    if (judged.state != ByteState::kData && judged.known != 0) {
      const PhysAddr rest(range.first.value() + judged.known);
      if (!joined.Add({range.first, PhysAddr(rest.value() - 1)}, ByteState::kData)) return false;
      range.first = rest;
    }
    return joined.Add(range, judged.state);
  };
  DescriptorStream descriptors(*this);
  VisitFrames([&](uint64_t first, uint64_t last, bool stored) {
    if (!stored) return add_not_stored(first, last);
    for (uint64_t frame = first; frame <= last;) {
      const DescriptorStream::Step step = descriptors.At(frame, last);
      if (!add_stored(frame, step.last, step.judged)) return false;
      frame = step.last + 1;
    }
    return true;
  });
  joined.Finish();
}

void KdumpMemory::VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const {
  DescriptorStream descriptors(*this);
  pages_.stored.VisitRuns([&](uint64_t first, uint64_t last) {
    for (uint64_t frame = first; frame <= last;) {
      const DescriptorStream::Step step = descriptors.At(frame, last);
      const bool any = step.judged.state != ByteState::kLost || step.judged.known != 0;
      if (step.stored_size != 0 && any &&
          !visit(PhysAddr(frame << page_shift_), step.stored_size)) {
        return false;
      }
      frame = step.last + 1;
    }
    return true;
  });
}

}  // namespace dmaudit
