// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/page_digest.h"

#include <doctest/doctest.h>
#include <libdeflate.h>

#include <algorithm>
#include <vector>

#include "support/dump_builder.h"
#include "support/fake_memory.h"

namespace dmaudit {
namespace {

using namespace test;

struct Seen {
  std::vector<PageDigest> pages;
  DigestSummary summary;
};

Seen Digest(const PhysicalMemory& memory, unsigned threads, uint64_t max_unknown = 1000) {
  Seen seen;
  seen.summary = VisitPageDigests(memory, threads, max_unknown, [&](const PageDigest& digest) {
    seen.pages.push_back(digest);
    return true;
  });
  return seen;
}

uint32_t Crc(std::span<const std::byte> bytes) {
  return libdeflate_crc32(0, bytes.data(), bytes.size());
}

struct Expected {
  uint64_t frame;
  ByteState state;
  uint32_t known;
};

void Check(const Seen& seen, const std::vector<Expected>& expected) {
  REQUIRE(seen.pages.size() == expected.size());
  CHECK(seen.summary.pages == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(seen.pages[i].frame == expected[i].frame);
    CHECK(seen.pages[i].state == expected[i].state);
    CHECK(seen.pages[i].known == expected[i].known);
  }
}

std::vector<std::pair<PhysRange, ByteState>> StatesOf(const PhysicalMemory& memory) {
  std::vector<std::pair<PhysRange, ByteState>> out;
  memory.VisitStates([&](PhysRange range, ByteState state) {
    out.emplace_back(range, state);
    return true;
  });
  return out;
}

PhysRange Span(uint64_t first, uint64_t last) { return {PhysAddr(first), PhysAddr(last)}; }

TEST_CASE("every page of a kdump file once, in order, with the state it turns out to have") {
  KdumpBuilder builder;
  builder.AddPage(2, PatternPage(2), PageCodec::kZlib);
  builder.AddExcluded(3);
  builder.AddLost(4);
  builder.AddStored(5, std::vector<std::byte>(9), 1);  // no zlib stream
  builder.AddPage(9, PatternPage(9));
  const KdumpImage image = builder.Build();
  for (const unsigned threads : {1u, 2u, 5u}) {
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image.bytes, sink);
    REQUIRE(dump);
    const Seen seen = Digest(*dump->memory, threads);
    Check(seen, {{2, ByteState::kData, 4096},
                 {3, ByteState::kExcluded, 0},
                 {4, ByteState::kLost, 0},
                 {5, ByteState::kCorrupt, 0},
                 {9, ByteState::kData, 4096}});
    CHECK(seen.pages[0].crc32 == Crc(PatternPage(2)));
    CHECK(seen.pages[4].crc32 == Crc(PatternPage(9)));
    CHECK(seen.summary.not_whole == 1);
    CHECK(seen.summary.left_out == 0);
  }
}

TEST_CASE("states as the page directory has them: ranges that do not touch or differ") {
  KdumpBuilder builder;
  builder.AddPage(2, PatternPage(2));
  builder.AddPage(3, PatternPage(3));
  builder.AddExcluded(4);
  builder.AddLost(5);
  builder.AddPage(8, PatternPage(8));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  const auto states = StatesOf(*dump->memory);
  REQUIRE(states.size() == 4);
  CHECK(states[0] == std::pair(Span(0x2000, 0x3fff), ByteState::kData));
  CHECK(states[1] == std::pair(Span(0x4000, 0x4fff), ByteState::kExcluded));
  CHECK(states[2] == std::pair(Span(0x5000, 0x5fff), ByteState::kLost));
  CHECK(states[3] == std::pair(Span(0x8000, 0x8fff), ByteState::kData));
}

TEST_CASE("a raw page of a kdump file that is cut says how much of it is known") {
  KdumpBuilder builder;
  builder.AddPage(2, PatternPage(2));
  builder.AddPage(3, PatternPage(3));
  KdumpImage image = builder.Build();
  image.bytes.resize(image.bytes.size() - 0x700);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  const Seen seen = Digest(*dump->memory, 1);
  Check(seen, {{2, ByteState::kData, 4096}, {3, ByteState::kTruncated, 0x900}});
  CHECK(seen.summary.not_whole == 0);  // it is not announced as data
}

TEST_CASE("pages of an ELF dump that are known in part say how much") {
  ElfBuilder builder;
  std::vector<std::byte> content = PatternPage(1);
  content.resize(4096 + 0x800);
  builder.AddLoad(0x1000, content, 0x3000);
  builder.AddLoad(0x7c00, std::vector<std::byte>(0x400, std::byte{9}));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  for (const unsigned threads : {1u, 2u}) {
    Check(Digest(*dump->memory, threads), {{1, ByteState::kData, 4096},
                                           {2, ByteState::kExcluded, 0x800},
                                           {3, ByteState::kExcluded, 0},
                                           {7, ByteState::kAbsent, 0x400}});
  }
}

TEST_CASE("a claim of any amount of unknown memory is cut, and what is cut is counted") {
  FakeMemory memory;
  memory.AddZeroPage(PhysAddr(0x1000));
  memory.AddZeroPage(PhysAddr(0x5000));
  memory.AddRam(Span(0x1000, 0x5fff));
  for (const uint64_t limit : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{3}, uint64_t{4}}) {
    CAPTURE(limit);
    const Seen seen = Digest(memory, 1, limit);
    const uint64_t unknown = std::min<uint64_t>(limit, 3);
    CHECK(seen.summary.pages == 2 + unknown);
    CHECK(seen.summary.left_out == 3 - unknown);
    CHECK(seen.pages.back().frame == 5);
  }
}

TEST_CASE("the visitor can stop") {
  FakeMemory memory;
  for (uint64_t page = 0; page < 3000; ++page) memory.AddZeroPage(PhysAddr(page * 4096));
  memory.AddRam(Span(0, 3000 * 4096 - 1));
  for (const unsigned threads : {1u, 2u}) {
    uint64_t seen = 0;
    VisitPageDigests(memory, threads, 0, [&](const PageDigest&) { return ++seen < 300; });
    CHECK(seen == 300);
  }
}

}  // namespace
}  // namespace dmaudit
