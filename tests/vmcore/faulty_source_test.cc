// SPDX-License-Identifier: GPL-2.0-or-later
// A file that cannot be read in one place, or shrinks, never shows a byte that is not in the dump.
#include "support/faulty_source.h"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/dump_builder.h"
#include "support/flatten.h"
#include "support/lime_builder.h"

namespace dmaudit {
namespace {

using namespace test;
using Fault = FaultySource::Fault;

constexpr uint64_t kPages = 12;  // all of them below the frames that the images have
constexpr uint64_t kStep = 97;   // places of faults; no multiple of anything in a file

ByteState StateOf(const Page& page, uint32_t offset) {
  for (const PageExtent& extent : page.extents) {
    if (offset - extent.offset < extent.size) return extent.state;
  }
  FAIL("extents do not tile the page");
  return ByteState::kCorrupt;
}

std::vector<Page> ReadAll(const Dump& dump) {
  std::vector<Page> pages;
  for (uint64_t i = 0; i < kPages; ++i) pages.push_back(ReadPageAt(dump, i * kTestPage));
  return pages;
}

// What is known is what was known without the fault, and what is not has a reason of its own; in a
// dump that is `incomplete` because its directory could not be read, "not described" is one.
bool Truthful(const Page& got, const Page& want, bool incomplete) {
  for (uint32_t b = 0; b < kTestPage; ++b) {
    const ByteState state = StateOf(got, b);
    if (state == ByteState::kCorrupt || state == ByteState::kTruncated ||
        state == ByteState::kLost || (incomplete && !IsReadable(state))) {
      continue;
    }
    if (state != StateOf(want, b) || (IsReadable(state) && got.bytes[b] != want.bytes[b])) {
      return false;
    }
  }
  return true;
}

struct Outcome {
  size_t opened = 0;
  size_t refused = 0;
  size_t with_unknown = 0;  // opened, and pages became unknown
};

// Breaks `bytes` in every place, before the dump is opened or after.
Outcome BreakEverywhere(const std::vector<std::byte>& bytes, Fault fault, bool before) {
  DiagnosticSink whole_sink;
  const Result<Dump> whole = OpenBytes(bytes, whole_sink);
  REQUIRE(whole);
  const std::vector<Page> want = ReadAll(*whole);
  Outcome outcome;
  for (uint64_t place = 0; place < bytes.size(); place += kStep) {
    CAPTURE(place);
    const auto source = std::make_shared<FaultySource>(bytes);
    if (before) source->Break(fault, place, place + 16);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenDump(source, "dump", sink);
    if (!dump) {
      ++outcome.refused;
      const std::string& message = dump.error().message;
      if (!message.starts_with("dump: ") || message.find("dump: ", 1) != std::string::npos) {
        FAIL_CHECK(message);
      }
      continue;
    }
    if (!before) source->Break(fault, place, place + 16);
    ++outcome.opened;
    const std::vector<Page> got = ReadAll(*dump);
    bool unknown = false;
    for (size_t i = 0; i < got.size(); ++i) {
      CAPTURE(i);
      if (!Truthful(got[i], want[i], sink.incomplete()))
        FAIL_CHECK("other bytes, or unknown without a reason");
      unknown = unknown || (want[i].readable() && !got[i].readable());
    }
    outcome.with_unknown += unknown;
    // A range may claim what cannot be read; it may not hide what is there.
    std::vector<bool> described(kPages);
    dump->memory->VisitStates([&](PhysRange range, ByteState) {
      for (uint64_t i = 0; i < kPages; ++i) {
        if (range.Contains(PhysAddr(i * kTestPage))) described[i] = true;
      }
      return true;
    });
    for (size_t i = 0; i < kPages; ++i) {
      if (want[i].readable() && !described[i] && !sink.incomplete()) FAIL_CHECK("hidden");
    }
  }
  return outcome;
}

void CheckBroken(const std::vector<std::byte>& bytes) {
  for (const Fault fault : {Fault::kFails, Fault::kEnds}) {
    for (const bool before : {true, false}) {
      CAPTURE(fault);
      CAPTURE(before);
      const Outcome outcome = BreakEverywhere(bytes, fault, before);
      CHECK(outcome.with_unknown > 0);
      CHECK((outcome.refused > 0) == before);
    }
  }
}

std::vector<std::byte> Kdump() {
  KdumpBuilder builder;
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=x\n");
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib).AddPage(2, PatternPage(2), PageCodec::kLzo);
  builder.AddPage(3, PatternPage(3), PageCodec::kSnappy).AddPage(4, PatternPage(4));
  builder.AddPage(5, PatternPage(5), PageCodec::kZstd).AddExcluded(6);
  builder.AddPage(7, std::vector<std::byte>(kTestPage)).AddPage(9, PatternPage(9));
  return builder.Build().bytes;
}

TEST_CASE("kdump on a device that fails, and in a file that shrinks") { CheckBroken(Kdump()); }

TEST_CASE("a flattened stream on a device that fails, and in a file that shrinks") {
  CheckBroken(Flatten(Kdump(), 700, 1));
}

TEST_CASE("ELF on a device that fails, and in a file that shrinks") {
  ElfBuilder builder;
  builder.padding = 3;
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=x\n");
  builder.AddLoad(0x1000, PatternPages(1, 2), 0x3000).AddLoad(0x5100, PatternPage(2));
  CheckBroken(builder.Build().bytes);
}

TEST_CASE("LiME on a device that fails, and in a file that shrinks") {
  std::vector<std::byte> image;
  AppendLimeRange(image, 0x1000, PatternPages(1, 3));
  AppendLimeRange(image, 0x6000, PatternPages(6, 2));
  CheckBroken(image);
}

TEST_CASE("AVML on a device that fails, and in a file that shrinks") {
  std::vector<std::byte> image;
  AppendAvmlBlock(image, 0x1000, PatternPages(1, 3), 3000);
  AppendAvmlBlock(image, 0x6000, PatternPages(6, 2), 3000);
  CheckBroken(image);
}

}  // namespace
}  // namespace dmaudit
