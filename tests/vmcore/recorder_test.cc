// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/recorder.h"

#include <doctest/doctest.h>

#include "support/fake_memory.h"

namespace dmaudit {
namespace {

// "frame:first-last" of each run of recorded words.
std::string Show(const EvidenceRecorder& recorder) {
  std::string out;
  for (const uint64_t frame : recorder.Frames()) {
    const WordMask mask = recorder.WordsOf(frame);
    for (uint32_t word = 0; word < kWordsPerFrame; ++word) {
      if (!mask.Test(word)) continue;
      const uint32_t first = word;
      while (word + 1 < kWordsPerFrame && mask.Test(word + 1)) ++word;
      out += fmt::format("{:x}:{}-{} ", frame, first, word);
    }
  }
  return out;
}

TEST_CASE("any byte read keeps its word, and no neighbour") {
  struct Case {
    uint64_t address;
    uint64_t size;
    const char* wanted;
  };
  const std::vector<Case> cases = {
      {0x1000, 0, ""},
      {0x1000, 1, "1:0-0 "},
      {0x1007, 1, "1:0-0 "},
      {0x1007, 2, "1:0-1 "},
      {0x1008, 8, "1:1-1 "},
      {0x1004, 8, "1:0-1 "},
      {0x1ff8, 8, "1:511-511 "},
      {0x1fff, 1, "1:511-511 "},
      {0x1fff, 2, "1:511-511 2:0-0 "},
      {0x1ffc, 8, "1:511-511 2:0-0 "},
      {0x1000, 4096, "1:0-511 "},
      {0x1000, 4097, "1:0-511 2:0-0 "},
      {0x1ff8, 4112, "1:511-511 2:0-511 3:0-0 "},
      {UINT64_MAX, 1, "fffffffffffff:511-511 "},
      {UINT64_MAX - 7, 16, "fffffffffffff:511-511 "},
      {UINT64_MAX - 4095, UINT64_MAX, "fffffffffffff:0-511 "},
  };
  for (const Case& c : cases) {
    CAPTURE(c.address);
    CAPTURE(c.size);
    EvidenceRecorder recorder;
    recorder.OnRead(PhysAddr(c.address), c.size);
    CHECK(Show(recorder) == c.wanted);
    CHECK_FALSE(recorder.overflowed());
  }
}

TEST_CASE("reads add up, and frames come in ascending order") {
  EvidenceRecorder recorder;
  recorder.OnRead(PhysAddr(0x9000), 8);
  recorder.OnRead(PhysAddr(0x2010), 8);
  recorder.OnRead(PhysAddr(0x9008), 8);
  recorder.OnRead(PhysAddr(0x2010), 1);
  CHECK(Show(recorder) == "2:2-2 9:0-1 ");
  CHECK(recorder.frame_count() == 2);
  CHECK(recorder.WordsOf(3).none());
}

TEST_CASE("the limit: at it all is kept, above it the loss is said") {
  EvidenceRecorder recorder(3);
  recorder.OnRead(PhysAddr(0x1000), 3 * 4096);
  CHECK_FALSE(recorder.overflowed());
  recorder.OnRead(PhysAddr(0x1000), 8);  // known frames stay writable
  CHECK_FALSE(recorder.overflowed());
  recorder.OnRead(PhysAddr(0x4000), 1);
  CHECK(recorder.overflowed());
  CHECK(recorder.frame_count() == 3);

  EvidenceRecorder endless(3);
  endless.OnRead(PhysAddr(0), UINT64_MAX);
  CHECK(endless.overflowed());
  CHECK(endless.frame_count() == 3);
}

TEST_CASE("a session records evidence, whole pages and unreadable bytes too, but no search") {
  test::FakeMemory memory;
  memory.AddZeroPage(PhysAddr(0x1000));
  memory.AddZeroPage(PhysAddr(0x2000));
  EvidenceRecorder recorder;
  MemorySession session(memory, &recorder);
  uint64_t value = 0;
  session.ReadU64(PhysAddr(0x1010), value);
  session.ReadU64(PhysAddr(0x5000), value);
  session.ReadWholePage(PhysAddr(0x2abc));
  {
    const SearchScope search(session);
    session.ReadU64(PhysAddr(0x1020), value);
  }
  CHECK(Show(recorder) == "1:2-2 2:0-511 5:0-0 ");
}

}  // namespace
}  // namespace dmaudit
