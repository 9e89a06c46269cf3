// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/page_states.h"

#include <doctest/doctest.h>

#include <array>
#include <initializer_list>
#include <tuple>
#include <utility>

#include "support/dump_builder.h"

namespace dmaudit {
namespace {

using namespace test;

std::array<uint64_t, kByteStateCount> Count(const Dump& dump) {
  return CountPageStates(*dump.memory).pages;
}

std::array<uint64_t, kByteStateCount> Of(
    std::initializer_list<std::pair<ByteState, uint64_t>> counts) {
  std::array<uint64_t, kByteStateCount> pages{};
  for (const auto& [state, count] : counts) pages[static_cast<size_t>(state)] = count;
  return pages;
}

using Ranges = std::initializer_list<std::tuple<uint64_t, uint64_t, ByteState>>;

PageStates CountRanges(Ranges ranges) {
  PageStateCounter counter(0x1000);
  for (const auto& [first, last, state] : ranges) {
    counter.Add({PhysAddr(first), PhysAddr(last)}, state);
  }
  return counter.Finish();
}

TEST_CASE("all of the address space is counted in one step") {
  ElfBuilder builder;
  builder.AddLoad(0, PatternPage(1));
  builder.AddLoad(0x1000, {}, 0);
  ElfImage image = builder.Build();
  image.SetSegment(2, "p_memsz", UINT64_MAX - 0xfff);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  CHECK(Count(*dump) ==
        Of({{ByteState::kData, 1}, {ByteState::kExcluded, (uint64_t{1} << 52) - 1}}));
}

TEST_CASE("a page that ranges share is counted once, by its first byte that is not known") {
  ElfBuilder builder;
  builder.AddLoad(0x1000, std::vector<std::byte>(0x1800), 0x3000);  // ends inside page 2
  builder.AddLoad(0x5c00, std::vector<std::byte>(0x100));           // inside page 5, absent around
  builder.AddLoad(0x7000, std::vector<std::byte>(0x800));
  builder.AddLoad(0x7800, std::vector<std::byte>(0x800));
  builder.AddLoad(0x9000, std::vector<std::byte>(0x400), 0x800);
  builder.AddLoad(0x9c00, std::vector<std::byte>(0x1400));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  CHECK(Count(*dump) ==
        Of({{ByteState::kData, 3}, {ByteState::kExcluded, 3}, {ByteState::kAbsent, 1}}));
  CHECK(CountPageStates(*dump->memory).in_part == 3);
}

TEST_CASE("ranges of a page are one page, in the first state in it that is not known") {
  const auto count = [](Ranges ranges) { return CountRanges(ranges).pages; };
  using enum ByteState;
  CHECK(count({}) == Of({}));
  CHECK(count({{0, 0x2fff, kZero}}) == Of({{kZero, 3}}));
  CHECK(count({{0, 0x7ff, kZero}, {0x800, 0xfff, kZero}}) == Of({{kZero, 1}}));
  CHECK(count({{0, 0x7ff, kZero}, {0x800, 0xfff, kData}}) == Of({{kData, 1}}));
  CHECK(count({{0, 0x1063, kData}, {0x1064, 0x3fff, kTruncated}}) ==
        Of({{kData, 1}, {kTruncated, 3}}));
  // What is in no range comes first, in the middle, or last.
  CHECK(count({{1, 0xfff, kLost}}) == Of({{kAbsent, 1}}));
  CHECK(count({{0, 0x10, kData}, {0x12, 0xfff, kLost}}) == Of({{kAbsent, 1}}));
  CHECK(count({{0, 0x10, kLost}, {0x12, 0xfff, kData}}) == Of({{kLost, 1}}));
  CHECK(count({{0, 0xffe, kData}}) == Of({{kAbsent, 1}}));
  CHECK(count({{0, 0xffe, kLost}, {0x2000, 0x2fff, kData}}) == Of({{kLost, 1}, {kData, 1}}));
}

TEST_CASE("unknown pages with known bytes are counted") {
  const auto in_part = [](Ranges ranges) { return CountRanges(ranges).in_part; };
  using enum ByteState;
  CHECK(in_part({}) == 0);
  CHECK(in_part({{0, 0x1fff, kData}, {0x2000, 0x3fff, kLost}}) == 0);
  CHECK(in_part({{0, 0x7ff, kZero}, {0x800, 0xfff, kData}}) == 0);
  CHECK(in_part({{0, 0x7ff, kLost}, {0x800, 0xfff, kExcluded}}) == 0);
  CHECK(in_part({{0, 0x7ff, kLost}, {0x800, 0xfff, kData}}) == 1);
  CHECK(in_part({{0, 0x1000, kData}, {0x1001, 0x2000, kLost}, {0x2001, 0x2001, kZero}}) == 2);
  CHECK(in_part({{1, 0xfff, kZero}}) == 1);
}

TEST_CASE("pages of a kdump file are counted by what their descriptors say") {
  KdumpBuilder builder;
  builder.AddPage(1, PatternPage(1));
  builder.AddPage(2, PatternPage(2));
  builder.AddExcluded(3);
  builder.AddLost(4);
  builder.AddPage(9, PatternPage(9));
  KdumpImage image = builder.Build();
  image.SetDescriptor(3, "offset", uint64_t{1} << 40);  // page 9
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  CHECK(Count(*dump) == Of({{ByteState::kData, 2},
                            {ByteState::kExcluded, 1},
                            {ByteState::kLost, 1},
                            {ByteState::kTruncated, 1}}));
}

}  // namespace
}  // namespace dmaudit
