// SPDX-License-Identifier: GPL-2.0-or-later
// States of kdump dumps by range are those of every page.
#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <tuple>
#include <vector>

#include "support/dump_builder.h"
#include "support/temp_dir.h"
#include "vmcore/write/convert.h"

namespace dmaudit {
namespace {

using namespace test;

using StateRow = std::tuple<uint64_t, uint64_t, ByteState>;  // frames first .. last

void FlipBit(KdumpImage& image, uint64_t bitmap, uint64_t frame) {
  image.bytes[bitmap + frame / 8] ^= std::byte{1} << (frame % 8);
}

std::vector<StateRow> RowsOf(const Dump& dump) {
  std::vector<StateRow> rows;
  dump.memory->VisitStates([&](PhysRange range, ByteState state) {
    CHECK(range.first.OffsetIn(kTestPage) == 0);
    CHECK(range.last.OffsetIn(kTestPage) == kTestPage - 1);
    rows.emplace_back(range.first.value() / kTestPage, range.last.value() / kTestPage, state);
    return true;
  });
  return rows;
}

// The rows that asking for every one of `frames` pages gives.
std::vector<StateRow> RowsByPage(const Dump& dump, uint64_t frames) {
  std::vector<StateRow> rows;
  for (uint64_t frame = 0; frame < frames; ++frame) {
    const ByteState state = dump.memory->PageStateHint(PhysAddr(frame * kTestPage));
    if (state == ByteState::kAbsent) continue;
    if (!rows.empty() && std::get<1>(rows.back()) + 1 == frame &&
        std::get<2>(rows.back()) == state) {
      std::get<1>(rows.back()) = frame;
    } else {
      rows.emplace_back(frame, frame, state);
    }
  }
  return rows;
}

KdumpImage Disagreeing() {
  KdumpBuilder builder;
  for (const uint64_t frame : {3u, 4u, 5u, 9u, 20u}) builder.AddPage(frame, PatternPage(frame));
  builder.AddExcluded(2).AddExcluded(10).AddExcluded(11);
  KdumpImage image = builder.Build();
  // Stored, and not RAM by the first bitmap: inside a run, at the end of one, alone.
  for (const uint64_t frame : {4u, 9u, 20u}) FlipBit(image, image.bitmap1, frame);
  return image;
}

TEST_CASE("pages that only one of two disagreeing bitmaps has are all there") {
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(Disagreeing().bytes, sink);
  REQUIRE(dump);
  CHECK(Ids(sink) == "kdump.bitmaps-disagree");
  CHECK(RowsOf(*dump) == std::vector<StateRow>{{2, 2, ByteState::kExcluded},
                                               {3, 5, ByteState::kData},
                                               {9, 9, ByteState::kData},
                                               {10, 11, ByteState::kExcluded},
                                               {20, 20, ByteState::kData}});
  CHECK(RamOf(*dump) == std::vector<PhysRange>{{PhysAddr(0x2000), PhysAddr(0x5fff)},
                                               {PhysAddr(0x9000), PhysAddr(0xbfff)},
                                               {PhysAddr(0x14000), PhysAddr(0x14fff)}});
}

TEST_CASE("a conversion drops no page that the first bitmap does not have") {
  const TempDir dir;
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(Disagreeing().bytes, sink);
  REQUIRE(dump);
  REQUIRE(ConvertToKdump(*dump, {}, {StoreCodec::kZlib, 1, 1, nullptr}, dir.File("kdump")));
  REQUIRE(ConvertToElf(*dump, {}, {}, dir.File("elf")));
  for (const char* name : {"kdump", "elf"}) {
    CAPTURE(name);
    DiagnosticSink again;
    const Result<std::vector<Dump>> result = OpenDumps({dir.File(name)}, again);
    REQUIRE(result);
    CHECK(Ids(again) == "");
    CHECK(RowsOf(result->front()) == RowsOf(*dump));
    for (const uint64_t frame : {3u, 4u, 5u, 9u, 20u}) {
      CHECK(ReadPageAt(result->front(), frame * kTestPage).bytes == PatternPage(frame));
    }
  }
}

TEST_CASE("the start of a raw page is told by itself, of others what is left is of no use") {
  KdumpBuilder builder;
  builder.AddPage(2, PatternPage(2));
  builder.AddPage(3, PatternPage(3), PageCodec::kZlib);
  builder.AddPage(4, PatternPage(4));
  const KdumpImage image = builder.Build();
  using Row = std::tuple<uint64_t, uint64_t, ByteState>;
  const auto rows = [&](uint64_t size) {
    std::vector<std::byte> bytes = image.bytes;
    bytes.resize(size);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(bytes, sink);
    REQUIRE(dump);
    std::vector<Row> out;
    dump->memory->VisitStates([&](PhysRange range, ByteState state) {
      out.emplace_back(range.first.value(), range.last.value(), state);
      return true;
    });
    return out;
  };
  using enum ByteState;
  const uint64_t whole = image.bytes.size();
  CHECK(rows(whole) == std::vector<Row>{{0x2000, 0x4fff, kData}});
  CHECK(rows(whole - 1) == std::vector<Row>{{0x2000, 0x4ffe, kData}, {0x4fff, 0x4fff, kTruncated}});
  CHECK(rows(whole - 0xfff) ==
        std::vector<Row>{{0x2000, 0x4000, kData}, {0x4001, 0x4fff, kTruncated}});
  CHECK(rows(whole - 0x1000) ==
        std::vector<Row>{{0x2000, 0x3fff, kData}, {0x4000, 0x4fff, kTruncated}});
  CHECK(rows(whole - 0x1001) ==
        std::vector<Row>{{0x2000, 0x2fff, kData}, {0x3000, 0x4fff, kTruncated}});
}

TEST_CASE("any mixture of pages, bitmaps and descriptors gives the states of its pages") {
  constexpr uint64_t kFrames = 9000;  // more than two chunks of a bitmap
  std::mt19937 random(1);
  const auto chance = [&random](unsigned of) { return random() % of == 0; };
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    KdumpBuilder builder;
    builder.max_mapnr = kFrames;
    const std::vector<std::byte> stored(9);
    // Runs of one kind of page, so that whole chunks are set and clear too.
    uint64_t pages = 0;
    for (uint64_t frame = 0; frame < kFrames;) {
      const uint64_t end = std::min<uint64_t>(kFrames, frame + random() % (chance(4) ? 5000 : 20));
      const unsigned kind = random() % 4;
      for (; frame < end; ++frame) {
        if (kind == 0) builder.AddExcluded(frame);
        if (kind == 1) builder.AddLost(frame);
        if (kind == 2) builder.AddStored(frame, stored, 1);
        if (kind == 1 || kind == 2) ++pages;
      }
      ++frame;
    }
    KdumpImage image = builder.Build();
    for (int i = 0; i < 30; ++i) FlipBit(image, image.bitmap1, random() % kFrames);
    for (int i = 0; i < 30 && pages != 0; ++i) {
      image.SetDescriptor(random() % pages, chance(2) ? "flags" : "offset", uint64_t{1} << 30);
    }
    if (chance(2)) image.bytes.resize(image.data - random() % (pages * 24 + 1));
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image.bytes, sink);
    REQUIRE(dump);
    CHECK(RowsOf(*dump) == RowsByPage(*dump, kFrames));
  }
}

}  // namespace
}  // namespace dmaudit
