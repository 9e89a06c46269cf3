// SPDX-License-Identifier: GPL-2.0-or-later
// Micro-benchmarks of table entries and page codecs.
#include <benchmark/benchmark.h>

#include <vector>

#include "dmar/classify.h"
#include "dmar/rules.h"
#include "dmar/walk.h"
#include "support/dump_builder.h"
#include "support/table_builder.h"
#include "vmcore/container/page_codec.h"

namespace dmaudit::bench {
namespace {

// QEMU's unit with 48 bits.
UnitState MakeUnit() {
  UnitState unit;
  unit.name = "dmar0";
  unit.cap.Add(0xd2008c222f0606, Origin::kUser, "");
  unit.ecap.Add(0xf00f4a, Origin::kUser, "");
  unit.rtaddr.Add(0x1000, Origin::kUser, "");
  unit.host_address_width.Add(48, Origin::kUser, "");
  return unit;
}

void ClassifyLeaves(benchmark::State& state) {
  const UnitRules rules = UnitRules::For(MakeUnit());
  std::vector<uint64_t> entries(512);
  for (size_t i = 0; i < entries.size(); ++i) entries[i] = i % 4 == 3 ? 0 : (i << 13) | 3;
  for (auto _ : state) {
    for (const uint64_t& entry : entries) {
      benchmark::DoNotOptimize(Classify(rules, EntryKind::kSecondStage, 1, {&entry, 1}));
    }
  }
  state.SetItemsProcessed(state.iterations() * 512);
}
BENCHMARK(ClassifyLeaves);

class CountingVisitor : public RangeVisitor {
 public:
  bool OnRange(const LiveRange&) override {
    ++ranges;
    return true;
  }
  uint64_t ranges = 0;
};

// 64 full page tables, every second entry apart from the one before.
void WalkEntries(benchmark::State& state) {
  constexpr uint64_t kEntries = 64 * 512;
  test::FakeMemory memory;
  test::TableBuilder tables(memory);
  const PhysAddr top = tables.NewPage();
  for (uint64_t i = 0; i < kEntries; ++i) {
    tables.Map(top, 4, i << 12, uint64_t{0x10000000} + ((i + i / 2) << 12));
  }
  const UnitRules rules = UnitRules::For(MakeUnit());
  AddressSpace space;
  space.second = TableRoot{top, 4};
  for (auto _ : state) {
    MemorySession session(memory);
    DiagnosticSink sink;
    CountingVisitor visitor;
    benchmark::DoNotOptimize(WalkAddressSpace(space, rules, session, sink, visitor));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kEntries));
}
BENCHMARK(WalkEntries);

void DecodePage(benchmark::State& state, PageCodec codec) {
  const std::vector<std::byte> stored = test::Compress(codec, test::PatternPage(1));
  std::vector<std::byte> page(test::kTestPage);
  PageDecoder decoder;
  for (auto _ : state) {
    benchmark::DoNotOptimize(decoder.Decode(codec, stored, page));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(page.size()));
}
BENCHMARK_CAPTURE(DecodePage, raw, PageCodec::kRaw);
BENCHMARK_CAPTURE(DecodePage, zlib, PageCodec::kZlib);
BENCHMARK_CAPTURE(DecodePage, lzo, PageCodec::kLzo);
BENCHMARK_CAPTURE(DecodePage, snappy, PageCodec::kSnappy);
BENCHMARK_CAPTURE(DecodePage, zstd, PageCodec::kZstd);

}  // namespace
}  // namespace dmaudit::bench
