// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/tally.h"

#include <doctest/doctest.h>

#include <random>

#include "dmar/walk_test_support.h"

namespace dmaudit::test {
namespace {

constexpr PhysRange kWatched{PhysAddr(0x7000000), PhysAddr(0x7003fff)};

struct Tallied {
  SpaceTotals totals;
  WalkAccounting accounting;
  DiagnosticSink sink;
  std::vector<Row> examples;
};

Tallied Count(const AddressSpace& space, const PhysicalMemory& memory,
              std::vector<PhysRange> watched = {kWatched}, size_t max_examples = 4) {
  Tallied result;
  Tally tally(std::move(watched), max_examples,
              [&](size_t, const LiveRange& range) { result.examples.push_back(ToRow(range)); });
  MemorySession session(memory);
  result.accounting = WalkAddressSpace(space, MakeRules(), session, result.sink, tally);
  CHECK(result.accounting.Closes());
  result.totals = tally.totals();
  return result;
}

TEST_CASE("totals of a plain space") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  build.Map(top, 3, 0x1ff000, 0x7000000);
  build.Map(top, 3, 0x200000, 0x7001000);
  build.Map(top, 3, 0x201000, 0x7002000, 1, TableBuilder::kRead);
  build.Map(top, 3, 0x300000, 0x300000, 1, TableBuilder::kWrite);
  build.Map(top, 3, 0x400000, 0x400000, 2);
  build.Map(top, 3, 0x40000000, 0x80000000, 3);
  const Tallied got = Count(SecondStage(top, 3), memory);
  CHECK(got.totals.mapped_bytes == 0x40204000);
  CHECK(got.totals.readable_bytes == 0x40203000);
  CHECK(got.totals.writable_bytes == 0x40203000);
  CHECK(got.totals.bytes_by_permission == std::array<uint64_t, 4>{0, 0x1000, 0x1000, 0x40202000});
  CHECK(got.totals.ranges == 5);
  CHECK(got.totals.leaves_4k == 4);
  CHECK(got.totals.leaves_2m == 1);
  CHECK(got.totals.leaves_1g == 1);
  CHECK(got.totals.table_pages == 4);
  CHECK(got.totals.table_links == 4);
  CHECK(got.totals.identity_bytes == 0x201000);
  CHECK(got.totals.identity_exact);
  REQUIRE(got.totals.watch.size() == 1);
  CHECK(got.totals.watch[0].mapped_bytes == 0x3000);
  CHECK(got.totals.watch[0].readable_bytes == 0x3000);
  CHECK(got.totals.watch[0].writable_bytes == 0x2000);
  CHECK(got.totals.watch[0].ranges == 2);
  CHECK(got.examples ==
        std::vector<Row>{{0x1ff000, 0x2000, 0x7000000, "RW"}, {0x201000, 0x1000, 0x7002000, "R-"}});
}

TEST_CASE("a watched range is met by one byte at each end, missed by none") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  build.Map(top, 3, 0x1000, 0x5000);
  const auto overlap = [&](uint64_t first, uint64_t last) {
    return Count(SecondStage(top, 3), memory, {{PhysAddr(first), PhysAddr(last)}})
        .totals.watch[0]
        .mapped_bytes;
  };
  CHECK(overlap(0x4000, 0x4fff) == 0);
  CHECK(overlap(0x4000, 0x5000) == 1);
  CHECK(overlap(0x5fff, 0x8000) == 1);
  CHECK(overlap(0x6000, 0x8000) == 0);
  CHECK(overlap(0, UINT64_MAX) == 0x1000);
}

TEST_CASE("four levels in which every entry links one child: exact totals at once") {
  FakeMemory memory;
  TableBuilder build(memory);
  std::array<PhysAddr, 4> tables;
  for (PhysAddr& table : tables) table = build.NewPage();
  for (uint64_t i = 0; i < 512; ++i) {
    for (size_t t = 0; t < 3; ++t) {
      build.Set(PhysAddr(tables[t].value() + i * 8), tables[t + 1].value() | 3);
    }
  }
  // Two neighbouring pages; page 0 reaches into the watched range.
  build.Set(tables[3], 0x7000003);
  build.Set(PhysAddr(tables[3].value() + 8), 0x7001003);
  const Tallied got = Count(SecondStage(tables[0], 4), memory);
  const uint64_t links = uint64_t{512} * 512 * 512;
  // One table lies over the interrupt window; its first pages are not at the reach of requests.
  const uint64_t live = links - 1;
  CHECK(got.totals.leaves_4k == live * 2);
  CHECK(got.totals.mapped_bytes == live * 0x2000);
  CHECK(got.totals.ranges == live);
  CHECK(got.totals.table_pages == 4);
  CHECK(got.totals.table_links == 1 + 512 + 512 * 512 + links);
  CHECK(got.totals.watch[0].mapped_bytes == live * 0x2000);
  CHECK(got.totals.watch[0].ranges == live);
  // 0x7000000 and 0x7001000 at their own place.
  CHECK(got.totals.identity_bytes == 0x2000);
  CHECK(got.totals.identity_exact);
  CHECK(got.examples.size() == 2);  // of the two visits that were walked
  CHECK_FALSE(got.sink.incomplete());
  CHECK(got.accounting.visited < 20 * 512);
}

TEST_CASE("a full shared table joins across all its links") {
  // Each leaf table maps 2 MiB to the same 2 MiB: ranges end where the physical address starts
  // over.
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  const PhysAddr leaves = build.NewPage();
  for (uint64_t i = 0; i < 512; ++i) {
    build.Set(PhysAddr(leaves.value() + i * 8), (0x7000000 + i * 0x1000) | 3);
  }
  const PhysAddr middle = build.NewPage();
  build.Set(top, middle.value() | 3);
  for (uint64_t i = 0; i < 8; ++i) build.Set(PhysAddr(middle.value() + i * 8), leaves.value() | 3);
  const Tallied got = Count(SecondStage(top, 3), memory);
  CHECK(got.totals.ranges == 8);
  CHECK(got.totals.mapped_bytes == 8 * 0x200000);
  CHECK(got.totals.watch[0].ranges == 8);
  CHECK(got.totals.watch[0].mapped_bytes == 8 * 0x4000);
}

TEST_CASE("the same table under other permissions is another thing") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  const PhysAddr middle = build.NewPage();
  const PhysAddr leaves = build.NewPage();
  build.Set(top, middle.value() | 3);
  build.Set(leaves, 0x7000003);
  for (uint64_t i = 0; i < 12; ++i) {
    build.Set(PhysAddr(middle.value() + i * 8), leaves.value() | (i % 3 + 1));
  }
  const Tallied got = Count(SecondStage(top, 3), memory);
  CHECK(got.totals.bytes_by_permission == std::array<uint64_t, 4>{0, 0x4000, 0x4000, 0x4000});
}

TEST_CASE("what is remembered of shared tables is limited, and the totals are the same") {
  // Three links to a table that links 512 more. What a part takes grows with the watched ranges.
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  const PhysAddr middle = build.NewPage();
  for (uint64_t i = 0; i < 3; ++i) build.Set(PhysAddr(top.value() + i * 8), middle.value() | 3);
  for (uint64_t i = 0; i < 512; ++i) {
    const PhysAddr leaves = build.NewPage();
    build.Set(PhysAddr(middle.value() + i * 8), leaves.value() | 3);
    build.Set(leaves, 0x7000003);
  }
  const auto walked_again = [&](size_t watched) {
    const Tallied got =
        Count(SecondStage(top, 3), memory, std::vector<PhysRange>(watched, kWatched), 0);
    CHECK(got.totals.leaves_4k == 3 * 512);
    CHECK(got.totals.ranges == 3 * 512);
    CHECK(got.totals.watch[0].ranges == 3 * 512);
    CHECK_FALSE(got.sink.incomplete());
    return got.accounting.visited / 512 - (1 + 2 + 2 * 512);
  };
  CHECK(walked_again(1) == 0);
  const uint64_t again = walked_again(2000);
  CHECK(again > 0);
  CHECK(again < 512);
}

TEST_CASE("random shared tables: totals with memory equal totals leaf by leaf") {
  // The plain collector walks everything; few links keep it under its budget.
  std::mt19937_64 random(20240607);
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    FakeMemory memory;
    TableBuilder build(memory);
    std::array<std::vector<PhysAddr>, 4> levels;  // [level - 1]
    levels[3].push_back(build.NewPage());
    for (size_t level = 0; level < 3; ++level) {
      for (int i = 0; i < 3; ++i) levels[level].push_back(build.NewPage());
    }
    for (size_t level = 0; level < 4; ++level) {
      for (const PhysAddr table : levels[level]) {
        for (int i = 0; i < 5; ++i) {
          const uint64_t slot = i < 3 ? random() % 6 : 506 + random() % 6;
          const uint64_t bits = random() % 8 == 0 ? random() % 4 : 3;
          const PhysAddr entry(table.value() + slot * 8);
          if (level == 0) {
            build.Set(entry,
                      (random() % 2 == 0 ? slot << 12 : 0x7000000 + (random() % 6 << 12)) | bits);
          } else if (level < 3 && random() % 5 == 0) {
            const uint64_t size = uint64_t{0x1000} << 9 * level;
            build.Set(entry, (random() % 8 * size) | 0x80 | bits);
          } else {
            build.Set(entry, levels[level - 1][random() % 3].value() | bits);
          }
        }
      }
    }
    const AddressSpace space = SecondStage(levels[3][0], 4);
    const SpaceResult plain = Walk(space, MakeRules(), memory);
    const std::vector<PhysRange> watched = {
        kWatched, {PhysAddr(0x1000), PhysAddr(0x1800)}, {PhysAddr(0x200000), PhysAddr(0x5fffff)}};
    const Tallied got = Count(space, memory, watched, 1000000);
    SpaceTotals want;
    want.ranges = plain.rows().size();
    want.watch.resize(watched.size());
    for (const Row& row : plain.rows()) {
      want.mapped_bytes += row.size;
      if (row.perm[0] == 'R') want.readable_bytes += row.size;
      if (row.perm[1] == 'W') want.writable_bytes += row.size;
      if (row.iova == row.pa) want.identity_bytes += row.size;
      for (size_t i = 0; i < watched.size(); ++i) {
        const auto common = PhysRange::FromSize(PhysAddr(row.pa), row.size)->Intersect(watched[i]);
        if (!common) continue;
        ++want.watch[i].ranges;
        want.watch[i].mapped_bytes += common->size();
        if (row.perm[1] == 'W') {
          want.watch[i].writable_bytes += common->size();
          ++want.watch[i].writable_ranges;
        }
      }
    }
    for (const LivePiece& piece : plain.collected.pieces) {
      (piece.page_size == 0x1000     ? want.leaves_4k
       : piece.page_size == 0x200000 ? want.leaves_2m
                                     : want.leaves_1g) += piece.leaves;
    }
    CHECK(got.totals.ranges == want.ranges);
    CHECK(got.totals.mapped_bytes == want.mapped_bytes);
    CHECK(got.totals.readable_bytes == want.readable_bytes);
    CHECK(got.totals.writable_bytes == want.writable_bytes);
    CHECK(got.totals.leaves_4k == want.leaves_4k);
    CHECK(got.totals.leaves_2m == want.leaves_2m);
    CHECK(got.totals.leaves_1g == want.leaves_1g);
    CHECK(got.totals.table_links == plain.collected.visits.size());
    if (got.totals.identity_exact) {
      CHECK(got.totals.identity_bytes == want.identity_bytes);
    } else {
      CHECK(got.totals.identity_bytes <= want.identity_bytes);
    }
    for (size_t i = 0; i < watched.size(); ++i) {
      CHECK(got.totals.watch[i].ranges == want.watch[i].ranges);
      CHECK(got.totals.watch[i].writable_ranges == want.watch[i].writable_ranges);
      CHECK(got.totals.watch[i].mapped_bytes == want.watch[i].mapped_bytes);
      CHECK(got.totals.watch[i].writable_bytes == want.watch[i].writable_bytes);
    }
  }
}

TEST_CASE("examples stop at their limit, counts do not") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr top = build.NewPage();
  for (uint64_t i = 0; i < 10; ++i) build.Map(top, 3, i * 0x2000, 0x7000000);
  const Tallied got = Count(SecondStage(top, 3), memory, {kWatched}, 3);
  CHECK(got.examples.size() == 3);
  CHECK(got.totals.watch[0].ranges == 10);
  CHECK(Count(SecondStage(top, 3), memory, {kWatched}, 0).examples.empty());
  // Read-only ranges do not take the place of a writable one.
  for (uint64_t i = 0; i < 9; ++i) {
    build.Map(top, 3, i * 0x2000, 0x7000000, 1, TableBuilder::kRead);
  }
  const Tallied mixed = Count(SecondStage(top, 3), memory, {kWatched}, 3);
  CHECK(mixed.examples.size() == 4);
  CHECK(mixed.examples.back().perm == "RW");
  CHECK(mixed.totals.watch[0].writable_ranges == 1);
}

TEST_CASE("the bound of a nested space is kept apart from what is mapped") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr second = build.NewPage();
  build.Map(second, 3, 0x1000, 0x7000000);
  build.Map(second, 3, 0x2000, 0x7001000, 1, TableBuilder::kRead);
  build.Map(second, 3, 0x10000, 0x600000);  // the guest's top table, which the dump does not have
  const Tallied got = Count(Nested(second, 3, PhysAddr(0x10000), 4), memory);
  CHECK(got.totals.mapped_bytes == 0);
  CHECK(got.totals.watch[0].mapped_bytes == 0);
  CHECK(got.totals.watch[0].bound_readable_bytes == 0x2000);
  CHECK(got.totals.watch[0].bound_writable_bytes == 0x1000);
  CHECK(got.sink.incomplete());
}

}  // namespace
}  // namespace dmaudit::test
