// SPDX-License-Identifier: GPL-2.0-or-later
// Kernel logs as the kernel lays them out, built record by record, open to mutation before use.
#ifndef DMAUDIT_TESTS_SUPPORT_LOG_BUILDER_H_
#define DMAUDIT_TESTS_SUPPORT_LOG_BUILDER_H_

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "kernel/kernel_reader.h"
#include "kernel/log.h"
#include "support/fake_memory.h"

namespace dmaudit::test {

// One linear mapping of 256 MiB: kernel address kVirtual + n is physical n.
class LinearKernelReader : public KernelReader {
 public:
  static constexpr uint64_t kVirtual = 0xffff'8880'0000'0000;
  static constexpr uint64_t kSize = uint64_t{256} << 20;

  explicit LinearKernelReader(MemorySession& session) : session_(session) {}

  Status Read(KernelVa address, std::span<std::byte> out) override {
    const Result<PhysAddr> physical = Translate(address);
    if (!physical) return tl::unexpected<Error>(physical.error());
    const ReadStatus status = session_.Read(*physical, out);
    if (!status.ok()) {
      return Fail(ErrorCode::kUnknown, "{:#x}: {}", address.value(), ToString(status.state));
    }
    return {};
  }
  Result<PhysAddr> Translate(KernelVa address) override {
    ++translations;
    if (address.value() < kVirtual || address.value() - kVirtual >= kSize) {
      return Fail(ErrorCode::kUnknown, "{:#x}: not mapped", address.value());
    }
    return PhysAddr(address.value() - kVirtual);
  }

  uint64_t translations = 0;

 private:
  MemorySession& session_;
};

// struct printk_ringbuffer with the sizes and offsets of 6.1.
class RingBuilder {
 public:
  enum State : uint64_t { kReserved, kCommitted, kFinalized, kReusable };
  static constexpr uint64_t kIdMask = (uint64_t{1} << 62) - 1;

  struct Descriptor {
    uint64_t state = kReserved;
    uint64_t id = 0;
    uint64_t begin = 0;
    uint64_t next = 0;
  };
  struct Info {
    uint64_t sequence = 0;
    uint64_t nanoseconds = 0;
    uint16_t text_length = 0;
  };

  // Where things lie, as physical addresses.
  static constexpr uint64_t kPointer = 0x2010;
  static constexpr uint64_t kRingbuffer = 0x3020;
  static constexpr uint64_t kDescriptors = 0x10'0000;
  static constexpr uint64_t kInfos = 0x40'0000;
  static constexpr uint64_t kText = 0x100'0000;
  static constexpr uint64_t kDescriptorSize = 24;
  static constexpr uint64_t kInfoSize = 88;

  RingBuilder(uint32_t count_bits_of, uint32_t text_bits_of)
      : count_bits(count_bits_of),
        text_bits(text_bits_of),
        descriptors(size_t{1} << count_bits_of),
        infos(size_t{1} << count_bits_of),
        text(size_t{1} << text_bits_of) {
    // As the kernel starts: one reusable descriptor in the last place, positions one wrap below 0.
    head_id = tail_id = (uint64_t{0} - (descriptors.size() + 1)) & kIdMask;
    at(head_id) = {kReusable, head_id, 1, 1};
    head_position_ = uint64_t{0} - text.size();
  }

  Descriptor& at(uint64_t id) { return descriptors[id % descriptors.size()]; }
  Info& info(uint64_t id) { return infos[id % infos.size()]; }

  // Adds a finalized record and gives its id. Old records make room as in the kernel.
  uint64_t Add(std::string_view line, uint64_t nanoseconds = 0) {
    const uint64_t id = Take(nanoseconds);
    Descriptor& descriptor = at(id);
    if (line.empty()) {
      descriptor.begin = descriptor.next = 3;
      return id;
    }
    const uint64_t size = (8 + line.size() + 7) / 8 * 8;
    if (size > text.size()) throw std::logic_error("line longer than the ring");
    descriptor.begin = head_position_;
    descriptor.next = descriptor.begin + size;
    uint64_t offset = descriptor.begin % text.size();
    if (descriptor.begin / text.size() != descriptor.next / text.size()) {
      descriptor.next = descriptor.next / text.size() * text.size() + size;
      offset = 0;
    }
    head_position_ = descriptor.next;
    info(id).text_length = static_cast<uint16_t>(line.size());
    for (uint64_t old = tail_id; old != id; old = (old + 1) & kIdMask) {
      if (Overwritten(at(old))) at(old).state = kReusable;
    }
    const std::span<std::byte> bytes(text);
    StoreUnchecked<uint64_t>(bytes, offset, id);
    std::copy_n(AsBytes(line).begin(), line.size(), text.begin() + static_cast<long>(offset + 8));
    return id;
  }
  // A record whose text the kernel had no room for.
  uint64_t AddLost() {
    const uint64_t id = Take(0);
    at(id).begin = at(id).next = 1;
    return id;
  }

  // Physical address of the text block of a record.
  uint64_t BlockAddress(uint64_t id) {
    const Descriptor& d = at(id);
    const bool wraps = d.begin / text.size() != (d.next - 1) / text.size();
    return kText + (wraps ? 0 : d.begin % text.size());
  }
  uint64_t DescriptorAddress(uint64_t id) const {
    return kDescriptors + id % descriptors.size() * kDescriptorSize;
  }
  uint64_t InfoAddress(uint64_t id) const { return kInfos + id % infos.size() * kInfoSize; }

  void WriteTo(FakeMemory& memory) const {
    const auto virtual_of = [](uint64_t physical) {
      return LinearKernelReader::kVirtual + physical;
    };
    memory.WriteU64(PhysAddr(kPointer), virtual_of(kRingbuffer));
    std::vector<std::byte> control(88);
    StoreUnchecked<uint32_t>(control, 0, count_bits);
    StoreUnchecked<uint64_t>(control, 8, virtual_of(kDescriptors));
    StoreUnchecked<uint64_t>(control, 16, virtual_of(kInfos));
    StoreUnchecked<uint64_t>(control, 24, head_id);
    StoreUnchecked<uint64_t>(control, 32, tail_id);
    StoreUnchecked<uint32_t>(control, 48, text_bits);
    StoreUnchecked<uint64_t>(control, 56, virtual_of(kText));
    memory.Write(PhysAddr(kRingbuffer), control);
    std::vector<std::byte> bytes(descriptors.size() * kDescriptorSize);
    for (size_t i = 0; i < descriptors.size(); ++i) {
      const size_t offset = i * kDescriptorSize;
      StoreUnchecked<uint64_t>(bytes, offset, descriptors[i].state << 62 | descriptors[i].id);
      StoreUnchecked<uint64_t>(bytes, offset + 8, descriptors[i].begin);
      StoreUnchecked<uint64_t>(bytes, offset + 16, descriptors[i].next);
    }
    memory.Write(PhysAddr(kDescriptors), bytes);
    bytes.assign(infos.size() * kInfoSize, std::byte{0});
    for (size_t i = 0; i < infos.size(); ++i) {
      const size_t offset = i * kInfoSize;
      StoreUnchecked<uint64_t>(bytes, offset, infos[i].sequence);
      StoreUnchecked<uint64_t>(bytes, offset + 8, infos[i].nanoseconds);
      StoreUnchecked<uint16_t>(bytes, offset + 16, infos[i].text_length);
    }
    memory.Write(PhysAddr(kInfos), bytes);
    memory.Write(PhysAddr(kText), text);
  }

  static std::map<std::string, std::string> Vmcoreinfo() {
    return {{"SYMBOL(prb)", fmt::format("{:x}", LinearKernelReader::kVirtual + kPointer)},
            {"SIZE(printk_ringbuffer)", "88"},
            {"OFFSET(printk_ringbuffer.desc_ring)", "0"},
            {"OFFSET(printk_ringbuffer.text_data_ring)", "48"},
            {"SIZE(prb_desc_ring)", "48"},
            {"OFFSET(prb_desc_ring.count_bits)", "0"},
            {"OFFSET(prb_desc_ring.descs)", "8"},
            {"OFFSET(prb_desc_ring.infos)", "16"},
            {"OFFSET(prb_desc_ring.head_id)", "24"},
            {"OFFSET(prb_desc_ring.tail_id)", "32"},
            {"SIZE(prb_desc)", "24"},
            {"OFFSET(prb_desc.state_var)", "0"},
            {"OFFSET(prb_desc.text_blk_lpos)", "8"},
            {"SIZE(prb_data_blk_lpos)", "16"},
            {"OFFSET(prb_data_blk_lpos.begin)", "0"},
            {"OFFSET(prb_data_blk_lpos.next)", "8"},
            {"SIZE(prb_data_ring)", "32"},
            {"OFFSET(prb_data_ring.size_bits)", "0"},
            {"OFFSET(prb_data_ring.data)", "8"},
            {"SIZE(printk_info)", "88"},
            {"OFFSET(printk_info.seq)", "0"},
            {"OFFSET(printk_info.ts_nsec)", "8"},
            {"OFFSET(printk_info.text_len)", "16"}};
  }

  // Open to lies.
  uint32_t count_bits;
  uint32_t text_bits;
  uint64_t head_id = 0;
  uint64_t tail_id = 0;
  std::vector<Descriptor> descriptors;
  std::vector<Info> infos;
  std::vector<std::byte> text;

 private:
  uint64_t Take(uint64_t nanoseconds) {
    const uint64_t id = (head_id + 1) & kIdMask;
    if (((id - tail_id) & kIdMask) == descriptors.size()) Drop();
    head_id = id;
    at(id) = {kFinalized, id, 0, 0};
    info(id) = {sequence_++, nanoseconds, 0};
    return id;
  }
  void Drop() {
    at(tail_id).state = kReusable;
    tail_id = (tail_id + 1) & kIdMask;
  }
  bool Overwritten(const Descriptor& d) const {
    return d.begin % 8 == 0 && head_position_ - d.begin > text.size();
  }

  uint64_t head_position_ = 0;
  uint64_t sequence_ = 0;
};

// log_buf of 3.5 to 5.9: headers with ts_nsec, len, text_len, dict_len, then text, then dictionary.
class RecordsBuilder {
 public:
  static constexpr uint64_t kVariables = 0x2000;
  static constexpr uint64_t kBuffer = 0x10'0ff0;  // off a page border: records lie across
  static constexpr uint64_t kHeader = 16;

  explicit RecordsBuilder(uint32_t size_of) : size(size_of), bytes(size_of) {}

  // Gives the offset of the record. Does not look after old records: set `first` by hand.
  uint32_t Add(std::string_view line, uint64_t nanoseconds = 0, std::string_view dictionary = {}) {
    const uint64_t length = (kHeader + line.size() + dictionary.size() + 3) / 4 * 4;
    // As the kernel: room for the end mark is kept.
    if (next + length + kHeader > size) {
      const size_t header = std::min<size_t>(kHeader, size - next);
      std::fill_n(bytes.begin() + next, header, std::byte{0});
      next = 0;
    }
    const uint32_t offset = next;
    const std::span<std::byte> at = std::span(bytes).subspan(offset);
    StoreUnchecked<uint64_t>(at, 0, nanoseconds);
    StoreUnchecked<uint16_t>(at, 8, static_cast<uint16_t>(length));
    StoreUnchecked<uint16_t>(at, 10, static_cast<uint16_t>(line.size()));
    StoreUnchecked<uint16_t>(at, 12, static_cast<uint16_t>(dictionary.size()));
    std::copy_n(AsBytes(line).begin(), line.size(), at.begin() + kHeader);
    std::copy_n(AsBytes(dictionary).begin(), dictionary.size(),
                at.begin() + static_cast<long>(kHeader + line.size()));
    next = static_cast<uint32_t>(offset + length);
    return offset;
  }
  void SetLength(uint32_t offset, uint16_t length) {
    StoreUnchecked<uint16_t>(std::span(bytes), offset + 8, length);
  }
  void SetTextLength(uint32_t offset, uint16_t length) {
    StoreUnchecked<uint16_t>(std::span(bytes), offset + 10, length);
  }

  void WriteTo(FakeMemory& memory) const {
    memory.WriteU64(PhysAddr(kVariables), LinearKernelReader::kVirtual + kBuffer);
    memory.WriteU32(PhysAddr(kVariables + 8), size);
    memory.WriteU32(PhysAddr(kVariables + 16), first);
    memory.WriteU32(PhysAddr(kVariables + 24), next);
    memory.Write(PhysAddr(kBuffer), bytes);
  }

  // `type` is "printk_log", or "log" before 3.11.
  static std::map<std::string, std::string> Vmcoreinfo(std::string_view type = "printk_log") {
    const auto symbol = [](uint64_t physical) {
      return fmt::format("{:x}", LinearKernelReader::kVirtual + physical);
    };
    return {{"SYMBOL(log_buf)", symbol(kVariables)},
            {"SYMBOL(log_buf_len)", symbol(kVariables + 8)},
            {"SYMBOL(log_first_idx)", symbol(kVariables + 16)},
            {"SYMBOL(log_next_idx)", symbol(kVariables + 24)},
            {fmt::format("SIZE({})", type), "16"},
            {fmt::format("OFFSET({}.ts_nsec)", type), "0"},
            {fmt::format("OFFSET({}.len)", type), "8"},
            {fmt::format("OFFSET({}.text_len)", type), "10"},
            {fmt::format("OFFSET({}.dict_len)", type), "12"}};
  }

  uint32_t size;
  uint32_t first = 0;
  uint32_t next = 0;
  std::vector<std::byte> bytes;
};

// Reads a log out of fake memory, and remembers all that can be observed of it.
class LogRun : public ReadRecorder {
 public:
  struct Seen {
    uint64_t sequence;
    uint64_t nanoseconds;
    std::string text;
  };

  // Decides about each record; by default all are looked at and none is kept.
  std::function<LogVerdict(const LogRecord&)> visit = [](const LogRecord&) {
    return LogVerdict::kSkip;
  };
  FakeMemory memory;
  std::map<std::string, std::string> vmcoreinfo;

  std::vector<Seen> seen;
  DiagnosticSink sink;
  uint64_t translations = 0;
  std::vector<std::pair<uint64_t, uint64_t>> evidence;  // physical address, size

  template <typename Builder>
  explicit LogRun(const Builder& builder) : vmcoreinfo(Builder::Vmcoreinfo()) {
    builder.WriteTo(memory);
  }

  Status Run() {
    std::string text;
    for (const auto& [key, value] : vmcoreinfo) text += fmt::format("{}={}\n", key, value);
    const Result<dmaudit::Vmcoreinfo> parsed = dmaudit::Vmcoreinfo::Parse(text, sink);
    if (!parsed) return tl::unexpected<Error>(parsed.error());
    MemorySession session(memory, this);
    LinearKernelReader reader(session);
    const Status status = ReadLog(*parsed, reader, session, sink, [this](const LogRecord& record) {
      seen.push_back({record.sequence, record.nanoseconds, std::string(record.text)});
      return visit(record);
    });
    translations = reader.translations;
    return status;
  }

  void OnRead(PhysAddr address, uint64_t size) override {
    evidence.emplace_back(address.value(), size);
  }

  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    for (const Seen& record : seen) out.push_back(record.text);
    return out;
  }
  // Ids of all diagnostics, in order.
  std::vector<std::string> notes() const {
    std::vector<std::string> out;
    for (const Diagnostic& diagnostic : sink.diagnostics()) out.push_back(diagnostic.id);
    return out;
  }
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_LOG_BUILDER_H_
