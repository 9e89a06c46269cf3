// SPDX-License-Identifier: GPL-2.0-or-later
// What every container fuzzer does with a dump that opened: read some of it and check the promises
// of PhysicalMemory.
#ifndef DMAUDIT_TESTS_FUZZ_READ_DUMP_H_
#define DMAUDIT_TESTS_FUZZ_READ_DUMP_H_

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "vmcore/dump.h"

namespace dmaudit::fuzz {

inline void Require(bool promise) {
  if (!promise) std::abort();
}

inline void CheckPage(const Page& page, PhysAddr base, uint32_t size) {
  Require(page.base == base && page.bytes.size() == size && !page.extents.empty());
  uint32_t at = 0;
  for (const PageExtent& extent : page.extents) {
    Require(extent.offset == at && extent.size != 0 && extent.size <= size - at);
    if (!IsReadable(extent.state)) {
      const auto first = page.bytes.begin() + at;
      Require(
          std::all_of(first, first + extent.size, [](std::byte b) { return b == std::byte{0}; }));
    }
    at += extent.size;
  }
  Require(at == size);
}

// A bounded number of pages, the first and last of every range among the first ranges.
inline void ReadDump(const Dump& dump) {
  const uint32_t size = dump.memory->page_size();
  const auto context = dump.memory->MakeContext();
  Page page;
  const auto read = [&](PhysAddr address) {
    const PhysAddr base = address.AlignDown(size);
    dump.memory->ReadPage(base, *context, page);
    CheckPage(page, base, size);
    dump.memory->PageStateHint(base);
  };
  std::optional<PhysAddr> last;
  unsigned ranges = 0;
  dump.memory->VisitRam([&](PhysRange range) {
    Require(range.first <= range.last && (!last || *last < range.first));
    last = range.last;
    read(range.first);
    read(range.last);
    for (uint64_t i = 1; i < 8; ++i) {
      if (const auto next = range.first.Plus(i * size); next && *next < range.last) read(*next);
    }
    return ++ranges < 64;
  });
  read(PhysAddr(0));
  read(PhysAddr(UINT64_MAX));
}

}  // namespace dmaudit::fuzz

#endif  // DMAUDIT_TESTS_FUZZ_READ_DUMP_H_
