// SPDX-License-Identifier: GPL-2.0-or-later
// Micro-benchmarks of kallsyms and BTF. DMAUDIT_BENCH_DUMP names the dump whose kernel's they are.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "kernel/address_space.h"
#include "kernel/btf_load.h"
#include "kernel/kallsyms.h"
#include "kernel/kernel_tables.h"
#include "vmcore/dump.h"

namespace dmaudit::bench {
namespace {

template <typename T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

// The kernel of a real dump, found as an audit finds it.
class RealKernel {
 public:
  RealKernel()
      : dump_(OpenNamed()),
        vmcoreinfo_(FindVmcoreinfo()),
        session_(*dump_.memory),
        space_(session_, Must(LocateKernelTables(vmcoreinfo_, dump_, session_)).root) {}

  SymbolTable Symbols() { return Must(LoadKallsyms(vmcoreinfo_, space_, kSymbols)); }
  Btf Types(const SymbolTable& symbols) { return Must(LoadBtf(symbols, space_, kTypes)); }

 private:
  static constexpr std::array<std::string_view, 4> kSymbols = {"__start_BTF", "__stop_BTF",
                                                               "dmar_drhd_units", "crashk_res"};
  static constexpr std::array<std::string_view, 3> kTypes = {"intel_iommu", "dmar_drhd_unit",
                                                             "resource"};

  static Dump OpenNamed() {
    const char* path = std::getenv("DMAUDIT_BENCH_DUMP");
    if (path == nullptr) throw std::runtime_error("DMAUDIT_BENCH_DUMP names no dump");
    DiagnosticSink sink;
    return std::move(Must(OpenDumps({path}, sink)).front());
  }
  Vmcoreinfo FindVmcoreinfo() {
    for (const DumpNote& note : dump_.notes) {
      if (note.name == "VMCOREINFO") return Must(Vmcoreinfo::Parse(AsText(note.descriptor), sink_));
    }
    throw std::runtime_error("the dump has no VMCOREINFO");
  }

  DiagnosticSink sink_;
  Dump dump_;
  Vmcoreinfo vmcoreinfo_;
  MemorySession session_;
  KernelAddressSpace space_;
};

// Pages decoded included: the session's cache holds far fewer than these tables take.
void LoadSymbols(benchmark::State& state) {
  RealKernel kernel;
  for (auto _ : state) benchmark::DoNotOptimize(kernel.Symbols());
}
BENCHMARK(LoadSymbols)->Unit(benchmark::kMillisecond);

void LoadTypes(benchmark::State& state) {
  RealKernel kernel;
  const SymbolTable symbols = kernel.Symbols();
  for (auto _ : state) benchmark::DoNotOptimize(kernel.Types(symbols));
}
BENCHMARK(LoadTypes)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dmaudit::bench

BENCHMARK_MAIN();
