// SPDX-License-Identifier: GPL-2.0-or-later
// The lockless ring buffer of printk (struct printk_ringbuffer, 5.10 and later): a ring of
// descriptors, an array of record headers with the same indices, and a ring of text blocks.
#include <algorithm>
#include <array>
#include <vector>

#include "kernel/log_internal.h"

namespace dmaudit::log_internal {
namespace {

constexpr size_t kWord = sizeof(uint64_t);  // unsigned long of x86-64

// A descriptor's state word: the state in the two top bits, the id below.
constexpr unsigned kStateShift = 62;
constexpr uint64_t kIdMask = (uint64_t{1} << kStateShift) - 1;
enum class DescriptorState : uint8_t { kReserved, kCommitted, kFinalized, kReusable };

// Logical positions with bit 0 set stand for blocks that do not exist.
constexpr uint64_t kEmptyLine = 3;

struct Layout {
  size_t ringbuffer_size;
  size_t count_bits, descriptors, infos, head_id, tail_id;  // in printk_ringbuffer
  size_t text_size_bits, text_data;                         // in printk_ringbuffer
  size_t descriptor_size, state_word, begin, next;          // in prb_desc
  size_t info_size, sequence, nanoseconds, text_length;     // in printk_info
};

Result<Layout> DescribeLayout(const Vmcoreinfo& vmcoreinfo) {
  std::optional<Error> error;
  const auto take = [&error](Result<size_t> value) -> size_t {
    if (value) return *value;
    if (!error) error = value.error();
    return 0;
  };
  const auto describe = [&](std::string_view type) -> std::optional<Structure> {
    Result<Structure> structure = Structure::Describe(vmcoreinfo, type);
    if (structure) return *structure;
    if (!error) error = structure.error();
    return std::nullopt;
  };
  const auto ringbuffer = describe("printk_ringbuffer");
  const auto descriptor_ring = describe("prb_desc_ring");
  const auto descriptor = describe("prb_desc");
  const auto position = describe("prb_data_blk_lpos");
  const auto data_ring = describe("prb_data_ring");
  const auto info = describe("printk_info");
  if (error) return tl::unexpected<Error>(*error);

  // The words of atomic_long_t members lie where the counter of that type does.
  const uint64_t counter = vmcoreinfo.Offset("atomic_long_t.counter").value_or(0);
  if (counter > kMaxStructureSize) {
    return Fail(ErrorCode::kMalformed, "VMCOREINFO: OFFSET(atomic_long_t.counter) is {}", counter);
  }
  const size_t atomic = static_cast<size_t>(counter);

  // Members of members: the outer offset is checked against the inner structure's size, the inner
  // one against its own width, so the sum stays inside.
  Layout layout{};
  layout.ringbuffer_size = ringbuffer->size();
  const size_t ring = take(ringbuffer->Member("desc_ring", descriptor_ring->size()));
  layout.count_bits = ring + take(descriptor_ring->Member("count_bits", sizeof(uint32_t)));
  layout.descriptors = ring + take(descriptor_ring->Member("descs", kWord));
  layout.infos = ring + take(descriptor_ring->Member("infos", kWord));
  layout.head_id = ring + atomic + take(descriptor_ring->Member("head_id", atomic + kWord));
  layout.tail_id = ring + atomic + take(descriptor_ring->Member("tail_id", atomic + kWord));
  const size_t text = take(ringbuffer->Member("text_data_ring", data_ring->size()));
  layout.text_size_bits = text + take(data_ring->Member("size_bits", sizeof(uint32_t)));
  layout.text_data = text + take(data_ring->Member("data", kWord));
  layout.descriptor_size = descriptor->size();
  layout.state_word = atomic + take(descriptor->Member("state_var", atomic + kWord));
  const size_t block = take(descriptor->Member("text_blk_lpos", position->size()));
  layout.begin = block + take(position->Member("begin", kWord));
  layout.next = block + take(position->Member("next", kWord));
  layout.info_size = info->size();
  layout.sequence = take(info->Member("seq", sizeof(uint64_t)));
  layout.nanoseconds = take(info->Member("ts_nsec", sizeof(uint64_t)));
  layout.text_length = take(info->Member("text_len", sizeof(uint16_t)));
  if (error) return tl::unexpected<Error>(*error);
  return layout;
}

// Where a text block lies, its id word included.
struct Block {
  uint64_t offset;
  uint64_t size;
};

class Ringbuffer {
 public:
  Ringbuffer(const LogSource& source, const Layout& layout)
      : source_(source),
        layout_(layout),
        control_window_(source.reader, source.session),
        descriptor_window_(source.reader, source.session),
        info_window_(source.reader, source.session),
        text_window_(source.reader, source.session),
        descriptor_(layout.descriptor_size),
        info_(layout.info_size) {}

  Status Open();
  void Walk();

 private:
  // False when the visitor has seen enough.
  bool VisitRecord(uint64_t id);
  bool Deliver(uint64_t id, KernelVa descriptor, KernelVa info);
  // The block between two logical positions; nothing when no block of this ring can lie so.
  std::optional<Block> FindBlock(uint64_t begin, uint64_t next) const;
  void Keep(KernelVa descriptor, KernelVa info, std::optional<Block> block);
  // True when the bytes are there; counts the trouble when they are not.
  bool Check(Outcome outcome, std::string_view what, uint64_t id, KernelVa address);

  const LogSource& source_;
  const Layout layout_;
  PageWindow control_window_, descriptor_window_, info_window_, text_window_;
  Trouble trouble_;

  KernelVa pointer_;  // the variable prb
  KernelVa ringbuffer_;
  uint64_t count_ = 0;  // descriptors, a power of two
  KernelVa descriptors_, infos_, text_;
  uint64_t text_bits_ = 0;
  uint64_t head_ = 0, tail_ = 0;
  bool control_kept_ = false;

  std::vector<std::byte> descriptor_, info_, block_;
};

Status Ringbuffer::Open() {
  pointer_ = source_.vmcoreinfo.Symbol("prb").value_or(KernelVa());
  std::array<std::byte, kWord> word{};
  const auto unknown = [](std::string_view what, KernelVa address, Outcome outcome) {
    return Fail(ErrorCode::kUnknown, "kernel log: {} at {:#x} is {}", what, address.value(),
                outcome == Outcome::kRedacted ? "redacted" : "not readable");
  };
  Outcome outcome = control_window_.Read(pointer_, word);
  if (outcome != Outcome::kRead) return unknown("prb", pointer_, outcome);
  ringbuffer_ = KernelVa(LoadUnchecked<uint64_t>(word, 0));

  std::vector<std::byte> control(layout_.ringbuffer_size);
  outcome = control_window_.Read(ringbuffer_, control);
  if (outcome != Outcome::kRead) return unknown("printk_ringbuffer", ringbuffer_, outcome);
  const auto load = [&control](size_t offset) { return LoadUnchecked<uint64_t>(control, offset); };
  const uint64_t count_bits = LoadUnchecked<uint32_t>(control, layout_.count_bits);
  text_bits_ = LoadUnchecked<uint32_t>(control, layout_.text_size_bits);
  if (count_bits == 0 || count_bits > kMaxSizeBits) {
    return Fail(ErrorCode::kMalformed,
                "kernel log: printk_ringbuffer {:#x}: count_bits is {}, expected 1 to {}",
                ringbuffer_.value(), count_bits, kMaxSizeBits);
  }
  // The smallest block is an id and its alignment.
  constexpr uint64_t kMinTextBits = 4;
  if (text_bits_ < kMinTextBits || text_bits_ > kMaxSizeBits) {
    return Fail(ErrorCode::kMalformed,
                "kernel log: printk_ringbuffer {:#x}: size_bits is {}, expected {} to {}",
                ringbuffer_.value(), text_bits_, kMinTextBits, kMaxSizeBits);
  }
  count_ = uint64_t{1} << count_bits;
  descriptors_ = KernelVa(load(layout_.descriptors));
  infos_ = KernelVa(load(layout_.infos));
  text_ = KernelVa(load(layout_.text_data));
  head_ = load(layout_.head_id) & kIdMask;
  tail_ = load(layout_.tail_id) & kIdMask;
  // Neither product can wrap: 31 bits times the largest structure.
  if (!descriptors_.Plus(count_ * layout_.descriptor_size - 1) ||
      !infos_.Plus(count_ * layout_.info_size - 1) ||
      !text_.Plus((uint64_t{1} << text_bits_) - 1)) {
    return Fail(ErrorCode::kMalformed,
                "kernel log: printk_ringbuffer {:#x}: an array leaves the address space",
                ringbuffer_.value());
  }
  return {};
}

void Ringbuffer::Walk() {
  uint64_t length = ((head_ - tail_) & kIdMask) + 1;
  if (length > count_) {
    // No state of the ring; but whatever the tail says, what the head reaches can still be
    // recognised by its ids.
    trouble_.Damaged("tail_id {:#x} to head_id {:#x} is more than the ring's {} descriptors", tail_,
                     head_, count_);
    tail_ = (head_ - (count_ - 1)) & kIdMask;
    length = count_;
  }
  const uint64_t skipped = length > kMaxRecords ? length - kMaxRecords : 0;
  for (uint64_t i = 0; i < length; ++i) {
    // Boot and end of the kernel are what the log is read for.
    if (skipped != 0 && i == kMaxRecords / 2) i += skipped;
    if (!VisitRecord((tail_ + i) & kIdMask)) break;
  }
  if (skipped != 0) {
    source_.sink.Note("log.limit", "kernel log: {} of {} records in its middle were not read",
                      skipped, length);
  }
  trouble_.Report(source_.sink);
}

bool Ringbuffer::Check(Outcome outcome, std::string_view what, uint64_t id, KernelVa address) {
  if (outcome == Outcome::kUnreadable) {
    trouble_.Unreadable("{} of record id {:#x} at {:#x}", what, id, address.value());
  }
  return outcome == Outcome::kRead;
}

bool Ringbuffer::VisitRecord(uint64_t id) {
  const uint64_t index = id & (count_ - 1);
  const KernelVa descriptor(descriptors_.value() + index * layout_.descriptor_size);
  const KernelVa info(infos_.value() + index * layout_.info_size);
  if (!Check(descriptor_window_.Read(descriptor, descriptor_), "descriptor", id, descriptor)) {
    return true;
  }
  const uint64_t state_word = LoadUnchecked<uint64_t>(descriptor_, layout_.state_word);
  const DescriptorState state = static_cast<DescriptorState>(state_word >> kStateShift);
  if ((state_word & kIdMask) != id) {
    // The newest id is published before its descriptor is taken: a writer may have stopped there.
    if (id != head_) {
      trouble_.Damaged("descriptor {:#x}: id is {:#x}, expected {:#x}", descriptor.value(),
                       state_word & kIdMask, id);
    }
    return true;
  }
  switch (state) {
    case DescriptorState::kReserved:  // still being written when the kernel died
    case DescriptorState::kReusable:  // being taken back
      return true;
    case DescriptorState::kCommitted:
    case DescriptorState::kFinalized:
      return Deliver(id, descriptor, info);
  }
  return true;
}

std::optional<Block> Ringbuffer::FindBlock(uint64_t begin, uint64_t next) const {
  const uint64_t size = uint64_t{1} << text_bits_;
  const uint64_t begin_wrap = begin >> text_bits_;
  const uint64_t last_wrap = (next - 1) >> text_bits_;
  const uint64_t begin_index = begin & (size - 1);
  const uint64_t next_index = next & (size - 1);
  if (begin % kWord != 0 || next % kWord != 0) return std::nullopt;
  Block block{};
  // Positions begin at 2^64 - size and pass through 0, so `next` may be 0 and sums wrap.
  if (begin_wrap == last_wrap && begin <= next - 1) {
    block = {begin_index, next - begin};
  } else if (((begin + size) >> text_bits_) == last_wrap && next_index != 0) {
    // Blocks do not straddle the end of the ring: one that would is put at its start.
    block = {0, next_index};
  } else {
    return std::nullopt;
  }
  if (block.size < kWord || block.size > size - block.offset) return std::nullopt;
  return block;
}

bool Ringbuffer::Deliver(uint64_t id, KernelVa descriptor, KernelVa info) {
  if (!Check(info_window_.Read(info, info_), "printk_info", id, info)) return true;
  const uint64_t begin = LoadUnchecked<uint64_t>(descriptor_, layout_.begin);
  const uint64_t next = LoadUnchecked<uint64_t>(descriptor_, layout_.next);
  const size_t length = LoadUnchecked<uint16_t>(info_, layout_.text_length);

  LogRecord record;
  record.sequence = LoadUnchecked<uint64_t>(info_, layout_.sequence);
  record.nanoseconds = LoadUnchecked<uint64_t>(info_, layout_.nanoseconds);
  std::optional<Block> block;
  const bool dataless = (begin & 1) != 0 && (next & 1) != 0;
  if (dataless) {
    // Anything but an empty line is text that the kernel itself had no room for.
    if (begin != kEmptyLine || next != kEmptyLine) return true;
  } else {
    block = FindBlock(begin, next);
    if (!block || length > block->size - kWord) {
      trouble_.Damaged("record id {:#x}: text of {} bytes at logical positions {:#x} to {:#x}", id,
                       length, begin, next);
      return true;
    }
    const KernelVa address(text_.value() + block->offset);
    block_.resize(kWord + length);
    if (!Check(text_window_.Read(address, block_), "text", id, address)) return true;
    const uint64_t owner = LoadUnchecked<uint64_t>(block_, 0);
    if (owner != id) {
      trouble_.Damaged("record id {:#x}: its text block at {:#x} is of id {:#x}", id,
                       address.value(), owner);
      return true;
    }
    record.text = AsText(std::span<const std::byte>(block_).subspan(kWord));
  }
  const LogVerdict verdict = source_.visit(record);
  if (verdict == LogVerdict::kKeep) Keep(descriptor, info, block);
  return verdict != LogVerdict::kStop;
}

void Ringbuffer::Keep(KernelVa descriptor, KernelVa info, std::optional<Block> block) {
  if (!control_kept_) {
    ReadAsEvidence(source_.reader, pointer_, kWord);
    ReadAsEvidence(source_.reader, ringbuffer_, layout_.ringbuffer_size);
    control_kept_ = true;
  }
  ReadAsEvidence(source_.reader, descriptor, layout_.descriptor_size);
  ReadAsEvidence(source_.reader, info, layout_.info_size);
  if (block) {
    ReadAsEvidence(source_.reader, KernelVa(text_.value() + block->offset), block_.size());
  }
}

}  // namespace

Status ReadRingbuffer(const LogSource& source) {
  const Result<Layout> layout = DescribeLayout(source.vmcoreinfo);
  if (!layout) return Within("kernel log", layout.error());
  Ringbuffer ringbuffer(source, *layout);
  const Status opened = ringbuffer.Open();
  if (!opened) return opened;
  ringbuffer.Walk();
  return {};
}

}  // namespace dmaudit::log_internal
