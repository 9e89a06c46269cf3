// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/stored_runs.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "support/dump_builder.h"
#include "support/fake_memory.h"

namespace dmaudit {
namespace {

using namespace test;

constexpr size_t kRunPages = kMaxRunBytes / kTestPage;

struct Seen {
  std::vector<std::pair<uint64_t, size_t>> runs;  // first page, pages
  std::vector<std::byte> bytes;
  StoredRuns result;
};

Seen See(const PhysicalMemory& memory, const StoredRunLimits& limits = {},
         size_t stop_after = SIZE_MAX) {
  Seen seen;
  seen.result =
      VisitStoredRuns(memory, limits, [&](PhysAddr first, std::span<const std::byte> bytes) {
        seen.runs.emplace_back(first.value(), bytes.size() / kTestPage);
        seen.bytes.insert(seen.bytes.end(), bytes.begin(), bytes.end());
        return seen.runs.size() < stop_after;
      });
  return seen;
}

// An ELF of one segment from 0x10000 on.
Result<Dump> Segment(size_t pages, DiagnosticSink& sink) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < pages; ++i) {
    const auto page = PatternPage(static_cast<unsigned>(i + 1));
    bytes.insert(bytes.end(), page.begin(), page.end());
  }
  ElfBuilder builder;
  builder.AddLoad(0x10000, bytes);
  return OpenBytes(builder.Build().bytes, sink);
}

TEST_CASE("pages of a segment come together, up to the size of a run") {
  for (const size_t pages : {kRunPages - 1, kRunPages, kRunPages + 1}) {
    DiagnosticSink sink;
    const Result<Dump> dump = Segment(pages, sink);
    REQUIRE(dump);
    const Seen seen = See(*dump->memory);
    std::vector<std::pair<uint64_t, size_t>> expected = {{0x10000, std::min(pages, kRunPages)}};
    if (pages > kRunPages) expected.emplace_back(0x10000 + kMaxRunBytes, 1);
    CHECK(seen.runs == expected);
    CHECK(seen.result.pages == pages);
    CHECK_FALSE(seen.result.cut_off);
    for (size_t i = 0; i < pages; ++i) {
      const auto page = PatternPage(static_cast<unsigned>(i + 1));
      const auto got = std::span(seen.bytes).subspan(i * kTestPage, kTestPage);
      CHECK(std::equal(page.begin(), page.end(), got.begin()));
    }
  }
}

TEST_CASE("pages that are decoded come one by one, one that does not decode as zero") {
  KdumpBuilder builder;
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib).AddPage(2, PatternPage(2));
  builder.AddStored(3, std::vector<std::byte>(100, std::byte{0x55}), 1);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  const Seen seen = See(*dump->memory);
  CHECK(seen.runs ==
        std::vector<std::pair<uint64_t, size_t>>{{0x1000, 1}, {0x2000, 1}, {0x3000, 1}});
  std::vector<std::byte> expected = PatternPage(1);
  const auto second = PatternPage(2);
  expected.insert(expected.end(), second.begin(), second.end());
  expected.insert(expected.end(), kTestPage, std::byte{0});
  CHECK(seen.bytes == expected);
}

TEST_CASE("limits: pages, what is stored of them, and the visitor's own") {
  FakeMemory memory;
  for (uint64_t page = 1; page <= 4; ++page) memory.AddZeroPage(PhysAddr(page * kTestPage));
  for (const uint64_t limit : {3U, 4U, 5U}) {
    const Seen seen = See(memory, {.pages = limit});
    CHECK(seen.result.pages == std::min<uint64_t>(limit, 4));
    CHECK(seen.result.cut_off == (limit < 4));
  }
  CHECK(See(memory, {.stored_size = kTestPage}).result.pages == 4);
  CHECK(See(memory, {.stored_size = kTestPage + 1}).result.pages == 0);
  const Seen stopped = See(memory, {}, 2);
  CHECK(stopped.result.pages == 2);
  CHECK_FALSE(stopped.result.cut_off);
}

}  // namespace
}  // namespace dmaudit
