// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/virtual_layout.h"

#include <doctest/doctest.h>

#include "support/fake_memory.h"
#include "support/page_table_builder.h"

namespace dmaudit {
namespace {

using test::FakeMemory;
using test::PageTableBuilder;

constexpr uint64_t kImage = 0xffff'ffff'8000'0000;

TEST_CASE("the direct map and the kernel image are found in 4 and in 5 levels, without evidence") {
  struct Recorder : ReadRecorder {
    void OnRead(PhysAddr, uint64_t) override { ++reads; }
    int reads = 0;
  };
  for (const unsigned levels : {4u, 5u}) {
    CAPTURE(levels);
    const uint64_t direct =
        (levels == 4 ? 0xffff'8880'0000'0000 : 0xff11'0000'0000'0000) + (uint64_t{7} << 30);
    FakeMemory memory;
    PageTableBuilder tables(memory, PhysAddr(0x10000), levels);
    tables.Map(direct + 0x3000, 0x3000);
    tables.Map(direct + 0x200000, 0x200000, 2);
    // 2 MiB, then 4 KiB pages, then a page that is elsewhere.
    tables.Map(kImage + 0x1000000, 0x40000000, 2);
    tables.Map(kImage + 0x1200000, 0x40200000);
    tables.Map(kImage + 0x1201000, 0x40201000);
    tables.Map(kImage + 0x1202000, 0x50000000);
    Recorder recorder;
    MemorySession session(memory, &recorder);
    const VirtualLayout layout = FindVirtualLayout(session, {PhysAddr(0x10000), levels, 0});
    CHECK(layout.direct_map == direct);
    REQUIRE(layout.image);
    CHECK(layout.image->virtual_address == kImage + 0x1000000);
    CHECK(layout.image->range == PhysRange{PhysAddr(0x40000000), PhysAddr(0x40201fff)});
    CHECK(recorder.reads == 0);
  }
}

TEST_CASE("a first mapping that is not that of low memory is no direct map; nothing is nothing") {
  FakeMemory memory;
  PageTableBuilder tables(memory, PhysAddr(0x10000), 4);
  MemorySession session(memory);
  VirtualLayout layout = FindVirtualLayout(session, {PhysAddr(0x10000), 4, 0});
  CHECK_FALSE(layout.direct_map);
  CHECK_FALSE(layout.image);
  tables.Map(0xffff'8880'0000'1000, 0x8000);  // no whole number of 1 GiB in between
  layout = FindVirtualLayout(session, {PhysAddr(0x10000), 4, 0});
  CHECK_FALSE(layout.direct_map);
}

TEST_CASE("segments of an ELF dump give the layout where they agree") {
  DumpInfo info;
  const uint64_t direct = 0xffff'8880'0000'0000;
  info.virtual_segments = {{kImage + 0x1000000, {PhysAddr(0x40000000), PhysAddr(0x40ffffff)}},
                           {direct + 0x1000, {PhysAddr(0x1000), PhysAddr(0x9ffff)}},
                           {direct + 0x100000, {PhysAddr(0x100000), PhysAddr(0xffffff)}}};
  VirtualLayout layout = VirtualLayoutOf(info);
  CHECK(layout.direct_map == direct);
  REQUIRE(layout.image);
  CHECK(layout.image->virtual_address == kImage + 0x1000000);
  CHECK(layout.image->range == PhysRange{PhysAddr(0x40000000), PhysAddr(0x40ffffff)});
  // Pages of the image that were left out part it; modules lie elsewhere.
  info.virtual_segments.push_back(
      {kImage + 0x2100000, {PhysAddr(0x41100000), PhysAddr(0x411fffff)}});
  info.virtual_segments.push_back({kImage + 0xff000, {PhysAddr(0x3f0ff000), PhysAddr(0x3f0fffff)}});
  info.virtual_segments.push_back(
      {0xffff'ffff'c000'0000, {PhysAddr(0x50000000), PhysAddr(0x50000fff)}});
  layout = VirtualLayoutOf(info);
  REQUIRE(layout.image);
  CHECK(layout.image->virtual_address == kImage + 0xff000);
  CHECK(layout.image->range == PhysRange{PhysAddr(0x3f0ff000), PhysAddr(0x411fffff)});
  info.virtual_segments.push_back({direct, {PhysAddr(0x5000), PhysAddr(0x5fff)}});
  layout = VirtualLayoutOf(info);
  CHECK_FALSE(layout.direct_map);
  CHECK(layout.image);
}

}  // namespace
}  // namespace dmaudit
