// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel log: lines as text, and both buffer layouts built from the input and then damaged by
// it. What a run keeps as evidence must give the same facts when all else is redacted.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "kernel/log_facts.h"
#include "support/log_builder.h"

namespace dmaudit {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool empty() const { return size_ == 0; }
  uint8_t Byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  uint64_t Word() {
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; ++i) value |= uint64_t{Byte()} << (8 * i);
    return value;
  }
  std::string_view Text(size_t length) {
    length = std::min(length, size_);
    const std::string_view text(reinterpret_cast<const char*>(data_), length);
    data_ += length;
    size_ -= length;
    return text;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

void RequireSame(const LogFacts& a, const LogFacts& b) {
  Require(a.panic.has_value() == b.panic.has_value());
  Require(!a.panic || a.panic->text == b.panic->text);
  Require(a.reservations.size() == b.reservations.size());
  Require(a.cma_reservations.size() == b.cma_reservations.size());
  Require(a.units.size() == b.units.size());
  Require(a.faults.size() == b.faults.size());
  for (size_t i = 0; i < a.faults.size(); ++i) {
    Require(a.faults[i].iova == b.faults[i].iova && a.faults[i].reason == b.faults[i].reason);
  }
}

void FuzzLines(Input input) {
  LogFactsCollector collector;
  LogFactsCollector again;
  uint64_t sequence = 0;
  while (!input.empty()) {
    const LogRecord record{sequence++, 0, input.Text(input.Byte())};
    if (collector.Take(record) == LogVerdict::kKeep) again.Take(record);
  }
  RequireSame(collector.Finish(), again.Finish());
}

struct Recorder : ReadRecorder {
  std::vector<std::pair<uint64_t, uint64_t>> reads;
  void OnRead(PhysAddr address, uint64_t size) override {
    reads.emplace_back(address.value(), size);
  }
};

std::optional<LogFacts> Read(const test::FakeMemory& memory, const Vmcoreinfo& vmcoreinfo,
                             DiagnosticSink& sink, Recorder& recorder) {
  MemorySession session(memory, &recorder);
  test::LinearKernelReader reader(session);
  Result<LogFacts> facts = ReadLogFacts(vmcoreinfo, reader, session, sink);
  if (!facts) return std::nullopt;
  return std::move(*facts);
}

template <typename Builder>
void FuzzBuffer(Builder builder, std::initializer_list<uint64_t> areas, Input input) {
  const uint8_t lines = input.Byte() % 64;
  for (unsigned i = 0; i < lines; ++i) builder.Add(input.Text(input.Byte() % 48));

  test::FakeMemory memory;
  builder.WriteTo(memory);
  const uint8_t patches = input.Byte() % 16;
  for (unsigned i = 0; i < patches; ++i) {
    const uint8_t kind = input.Byte();
    const uint64_t area = areas.begin()[kind % areas.size()];
    const uint64_t offset = input.Byte() + uint64_t{input.Byte() % 16U} * 256;
    const PhysAddr at((area + offset) & ~uint64_t{7});
    switch (kind >> 6) {
      case 0:
        memory.WriteU64(at, input.Word());
        break;
      case 1:  // near misses: small changes of what is there
        memory.Write(PhysAddr(area + offset), std::vector<std::byte>{std::byte{input.Byte()}});
        break;
      case 2:  // a pointer into one of the areas
        memory.WriteU64(at, test::LinearKernelReader::kVirtual +
                                areas.begin()[input.Byte() % areas.size()] + input.Byte() * 8U);
        break;
      default:
        memory.SetState(at, 8, static_cast<ByteState>(input.Byte() % kByteStateCount));
        break;
    }
  }

  std::string text;
  for (const auto& [key, value] : Builder::Vmcoreinfo()) text += fmt::format("{}={}\n", key, value);
  DiagnosticSink sink;
  const Result<Vmcoreinfo> vmcoreinfo = Vmcoreinfo::Parse(text, sink);
  Recorder recorder;
  const std::optional<LogFacts> facts = Read(memory, *vmcoreinfo, sink, recorder);
  Require(!sink.incomplete());
  if (!facts || recorder.reads.empty()) return;

  test::FakeMemory distilled;
  for (const auto& [address, size] : recorder.reads) {
    for (uint64_t i = 0; i < size; ++i) {
      // A page of the fake starts out as data: make it unknown before its first byte is shown.
      const PhysAddr at(address + i);
      if (distilled.PageStateHint(at.AlignDown(4096)) == ByteState::kAbsent) {
        distilled.AddZeroPage(at);
        distilled.SetPageState(at, ByteState::kRedacted);
      }
      MemorySession session(memory);
      std::array<std::byte, 1> byte{};
      if (!session.Read(at, byte).ok()) continue;
      distilled.Write(at, byte);
      distilled.SetState(at, 1, ByteState::kData);
    }
  }
  DiagnosticSink distilled_sink;
  Recorder ignored;
  const std::optional<LogFacts> again = Read(distilled, *vmcoreinfo, distilled_sink, ignored);
  Require(again.has_value());
  RequireSame(*facts, *again);
}

}  // namespace
}  // namespace dmaudit

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using dmaudit::test::RecordsBuilder;
  using dmaudit::test::RingBuilder;
  dmaudit::Input input(data, size);
  const uint8_t kind = input.Byte();
  switch (kind % 3) {
    case 0:
      dmaudit::FuzzLines(input);
      break;
    case 1:
      dmaudit::FuzzBuffer(RingBuilder(1 + kind / 3 % 5, 7 + kind / 15 % 5),
                          {RingBuilder::kRingbuffer, RingBuilder::kDescriptors, RingBuilder::kInfos,
                           RingBuilder::kText},
                          input);
      break;
    default:
      dmaudit::FuzzBuffer(RecordsBuilder(64U << kind / 3 % 6),
                          {RecordsBuilder::kVariables, RecordsBuilder::kBuffer}, input);
      break;
  }
  return 0;
}
