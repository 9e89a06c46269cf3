// SPDX-License-Identifier: GPL-2.0-or-later
// A dump cut at any byte never shows data that the whole dump does not have, and always says so.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "support/dump_builder.h"
#include "support/flatten.h"

namespace dmaudit {
namespace {

using namespace test;

struct Seen {
  std::vector<Page> pages;
};

Seen ReadAll(const Dump& dump, const std::vector<uint64_t>& addresses) {
  Seen seen;
  for (const uint64_t address : addresses) seen.pages.push_back(ReadPageAt(dump, address));
  return seen;
}

ByteState StateOf(const Page& page, uint32_t offset) {
  for (const PageExtent& extent : page.extents) {
    if (offset - extent.offset < extent.size) return extent.state;
  }
  FAIL("extents do not tile the page");
  return ByteState::kCorrupt;
}

// Opens every prefix of `bytes`; gives how many of them opened.
size_t CheckAllCuts(const std::vector<std::byte>& bytes, const std::vector<uint64_t>& addresses) {
  DiagnosticSink whole_sink;
  const Result<Dump> whole = OpenBytes(bytes, whole_sink);
  REQUIRE(whole);
  REQUIRE(Ids(whole_sink) == "");
  const Seen want = ReadAll(*whole, addresses);
  size_t opened = 0;
  for (size_t size = 0; size < bytes.size(); ++size) {
    DiagnosticSink sink;
    const Result<Dump> dump =
        OpenBytes({bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)}, sink);
    if (!dump) {
      if (!dump.error().message.starts_with("dump: ")) FAIL_CHECK(dump.error().message);
      continue;
    }
    ++opened;
    const Seen got = ReadAll(*dump, addresses);
    bool lies = false;
    for (size_t i = 0; i < addresses.size(); ++i) {
      for (uint32_t b = 0; b < kTestPage; ++b) {
        if (!IsReadable(StateOf(got.pages[i], b))) continue;
        lies = lies || !IsReadable(StateOf(want.pages[i], b)) ||
               got.pages[i].bytes[b] != want.pages[i].bytes[b];
      }
    }
    if (lies || !sink.incomplete() || !dump->info.incomplete) {
      INFO("cut at ", size, " of ", bytes.size());
      CHECK_FALSE(lies);
      CHECK(sink.incomplete());
      CHECK(dump->info.incomplete);
    }
  }
  return opened;
}

TEST_CASE("a kdump cut at every length") {
  KdumpBuilder builder;
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=x\n");
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib).AddPage(2, PatternPage(2), PageCodec::kLzo);
  builder.AddPage(3, PatternPage(3), PageCodec::kSnappy).AddPage(4, PatternPage(4));
  builder.AddPage(5, PatternPage(5), PageCodec::kZstd).AddExcluded(6);
  const KdumpImage image = builder.Build();
  const size_t opened =
      CheckAllCuts(image.bytes, {0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000});
  // Everything up to the end of the bitmaps is needed to know any page.
  CHECK(opened == image.bytes.size() - image.descriptors);
}

TEST_CASE("an ELF cut at every length") {
  ElfBuilder builder;
  builder.padding = 3;
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=x\n");
  builder.AddLoad(0x1000, PatternPage(1), 0x2000).AddLoad(0x3100, PatternPage(2));
  const ElfImage image = builder.Build();
  const size_t opened = CheckAllCuts(image.bytes, {0x1000, 0x2000, 0x3000, 0x4000, 0x5000});
  CHECK(opened == image.bytes.size() - (64 + 3 * 56));
}

// The first state in each page that is not readable, or kData.
std::vector<ByteState> ByReading(const Dump& dump, uint64_t pages) {
  std::vector<ByteState> states;
  for (uint64_t frame = 0; frame < pages; ++frame) {
    ByteState state = ByteState::kData;
    for (const PageExtent& extent : ReadPageAt(dump, frame * kTestPage).extents) {
      if (IsReadable(state)) state = IsReadable(extent.state) ? ByteState::kData : extent.state;
    }
    states.push_back(state);
  }
  return states;
}

std::vector<ByteState> ByRanges(const Dump& dump, uint64_t pages) {
  std::vector<ByteState> states(pages, ByteState::kAbsent);
  std::vector<uint64_t> begun(pages);  // bytes of the page that ranges have told of
  dump.memory->VisitStates([&](PhysRange range, ByteState state) {
    for (uint64_t at = range.first.value(); at <= range.last.value();) {
      const uint64_t frame = at / kTestPage;
      if (begun[frame] == 0 || IsReadable(states[frame])) {
        states[frame] = IsReadable(state) ? ByteState::kData : state;
      }
      const uint64_t next = std::min((frame + 1) * kTestPage, range.last.value() + 1);
      begun[frame] += next - at;
      at = next;
    }
    return true;
  });
  return states;
}

// Streams of `file` in several orders, each cut at many places: the states of ranges are those that
// reads of pages give. Gives how many opened and are cut.
size_t CheckCutStreams(const std::vector<std::byte>& file, uint64_t pages) {
  size_t opened = 0;
  for (const uint64_t seed : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
    const std::vector<std::byte> stream = Flatten(file, 1024, seed);
    for (size_t size = 4096; size < stream.size(); size += 333) {
      DiagnosticSink sink;
      const Result<Dump> dump =
          OpenBytes({stream.begin(), stream.begin() + static_cast<ptrdiff_t>(size)}, sink);
      if (!dump) continue;
      ++opened;
      CAPTURE(seed);
      CAPTURE(size);
      const std::vector<ByteState> reading = ByReading(*dump, pages);
      const std::vector<ByteState> ranges = ByRanges(*dump, pages);
      for (uint64_t frame = 0; frame < pages; ++frame) {
        CAPTURE(frame);
        CHECK(ToString(reading[frame]) == ToString(ranges[frame]));
      }
    }
  }
  return opened;
}

TEST_CASE("a flattened stream cut before records of its middle came") {
  KdumpBuilder builder;
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib).AddPage(2, PatternPage(2), PageCodec::kLzo);
  builder.AddPage(3, PatternPage(3)).AddPage(4, PatternPage(4)).AddExcluded(5);
  for (uint64_t frame = 8; frame < 60; ++frame) builder.AddPage(frame, PatternPage(3));
  CHECK(CheckCutStreams(builder.Build().bytes, 64) > 100);

  ElfBuilder elf;
  elf.padding = 3;
  elf.AddLoad(0x1000, PatternPage(1), 0x2000).AddLoad(0x3000, PatternPage(2));
  elf.AddLoad(0x1000, PatternPage(1)).AddLoad(0x4000, PatternPage(4));
  CHECK(CheckCutStreams(elf.Build().bytes, 6) > 20);
}

}  // namespace
}  // namespace dmaudit
