// SPDX-License-Identifier: GPL-2.0-or-later
// Kernel logs as the kernel lays them out, built record by record, open to mutation before use.
#ifndef DMAUDIT_TESTS_SUPPORT_LOG_BUILDER_H_
#define DMAUDIT_TESTS_SUPPORT_LOG_BUILDER_H_

#include <cstdint>
#include <functional>
#include <map>
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

  Status Read(KernelVa address, std::span<std::byte> out) override;
  Result<PhysAddr> Translate(KernelVa address) override;

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

  RingBuilder(uint32_t count_bits_of, uint32_t text_bits_of);

  Descriptor& at(uint64_t id) { return descriptors[id % descriptors.size()]; }
  Info& info(uint64_t id) { return infos[id % infos.size()]; }

  // Adds a finalized record and gives its id. Old records make room as in the kernel.
  uint64_t Add(std::string_view line, uint64_t nanoseconds = 0);
  // A record whose text the kernel had no room for.
  uint64_t AddLost();

  // Physical address of the text block of a record.
  uint64_t BlockAddress(uint64_t id);
  uint64_t DescriptorAddress(uint64_t id) const;
  uint64_t InfoAddress(uint64_t id) const { return kInfos + id % infos.size() * kInfoSize; }

  void WriteTo(FakeMemory& memory) const;

  static std::map<std::string, std::string> Vmcoreinfo();

  // Open to lies.
  uint32_t count_bits;
  uint32_t text_bits;
  uint64_t head_id = 0;
  uint64_t tail_id = 0;
  std::vector<Descriptor> descriptors;
  std::vector<Info> infos;
  std::vector<std::byte> text;

 private:
  uint64_t Take(uint64_t nanoseconds);
  void Drop();
  bool Overwritten(const Descriptor& d) const;

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
  uint32_t Add(std::string_view line, uint64_t nanoseconds = 0, std::string_view dictionary = {});
  void SetLength(uint32_t offset, uint16_t length);
  void SetTextLength(uint32_t offset, uint16_t length);

  void WriteTo(FakeMemory& memory) const;

  // `type` is "printk_log", or "log" before 3.11.
  static std::map<std::string, std::string> Vmcoreinfo(std::string_view type = "printk_log");

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

  Status Run();
  void OnRead(PhysAddr address, uint64_t size) override;

  std::vector<std::string> texts() const;
  // Ids of all diagnostics, in order.
  std::vector<std::string> notes() const;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_LOG_BUILDER_H_
