// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <vector>

#include "support/dump_builder.h"

namespace dmaudit {
namespace {

using namespace test;

TEST_CASE("kdump: descriptors that a context holds in the same place are not mistaken") {
  // 170 descriptors are read at a time, and 1024 such groups are held.
  constexpr uint64_t kGroup = 170;
  constexpr uint64_t kRound = 1024 * kGroup;
  KdumpBuilder builder;
  builder.max_mapnr = kRound + 2 * kGroup;
  const std::vector<std::byte> common = Compress(PageCodec::kZlib, PatternPage(1));
  for (uint64_t frame = 0; frame < builder.max_mapnr; ++frame) builder.AddStored(frame, common, 1);
  builder.AddPage(0, PatternPage(2)).AddPage(kRound, PatternPage(3));
  builder.AddPage(kRound + kGroup - 1, PatternPage(4)).AddPage(kRound + kGroup, PatternPage(5));
  builder.AddLost(kGroup);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);

  const auto context = dump->memory->MakeContext();
  Page page;
  const auto read = [&](uint64_t frame) {
    dump->memory->ReadPage(PhysAddr(frame * kTestPage), *context, page);
    return page.bytes;
  };
  for (int turn = 0; turn < 2; ++turn) {
    CHECK(read(0) == PatternPage(2));
    CHECK(read(kRound) == PatternPage(3));
    CHECK(read(1) == PatternPage(1));
    CHECK(read(kRound + kGroup - 1) == PatternPage(4));
    CHECK(read(kRound + kGroup) == PatternPage(5));
    read(kGroup);
    CHECK(page.extents[0].state == ByteState::kLost);
  }
}

}  // namespace
}  // namespace dmaudit
