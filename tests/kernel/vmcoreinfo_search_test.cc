// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/vmcoreinfo_search.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "support/fake_memory.h"

namespace dmaudit {
namespace {

using test::FakeMemory;

const std::string kText =
    "OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(_stext)=ffffffff81000000\n"
    "SYMBOL(swapper_pg_dir)=ffffffff81600000\n";
constexpr uint64_t kEnough = uint64_t{1} << 30;

void Put(FakeMemory& memory, uint64_t at, const std::string& text) {
  memory.Write(PhysAddr(at), AsBytes(text));
}

VmcoreinfoSearchResult Search(const FakeMemory& memory, uint64_t max_bytes = kEnough) {
  MemorySession session(memory);
  return SearchVmcoreinfo(session, max_bytes);
}

TEST_CASE(
    "a text is found at the start of a page, behind a note's header, and over a page border") {
  for (const uint64_t at : {0x5000ull, 0x5018ull, 0x5ffcull, 0x5ff6ull, 0x5fffull}) {
    CAPTURE(at);
    FakeMemory memory;
    memory.AddZeroPage(PhysAddr(0x5000));
    memory.AddZeroPage(PhysAddr(0x6000));
    Put(memory, at, kText);
    const auto found = Search(memory);
    REQUIRE(found.texts.size() == 1);
    CHECK(found.texts[0].at == PhysAddr(at));
    CHECK(found.texts[0].vmcoreinfo.Get("OSRELEASE") == "6.1.0");
    CHECK_FALSE(found.cut_off);
    CHECK(found.bytes_searched == 0x2000);
  }
}

TEST_CASE("pages that do not follow each other hold no text together") {
  FakeMemory memory;
  memory.AddZeroPage(PhysAddr(0x7000));
  Put(memory, 0x5ffc, kText.substr(0, 4));
  Put(memory, 0x7000, kText.substr(4));
  CHECK(Search(memory).texts.empty());
}

TEST_CASE("what only begins like a text is none") {
  for (const std::string& text :
       {std::string("OSRELEASE=%s\n"),
        std::string("OSRELEASE=6.1.0\nSYMBOL(_stext)=ffffffff81000000\n"),
        std::string("OSRELEASE=6.1.0\nSYMBOL(swapper_pg_dir)=ffffffff81600000\n")}) {
    CAPTURE(text);
    FakeMemory memory;
    memory.AddZeroPage(PhysAddr(0x5000));
    Put(memory, 0x5000, text);
    CHECK(Search(memory).texts.empty());
  }
}

TEST_CASE("a text ends within the page that the kernel allots to it") {
  // The NUL is the last byte of the page's worth, and one byte further.
  for (const size_t size : {4094u, 4095u, 4096u}) {
    CAPTURE(size);
    FakeMemory memory;
    memory.AddZeroPage(PhysAddr(0x5000));
    memory.AddZeroPage(PhysAddr(0x6000));
    Put(memory, 0x5000, kText + std::string(size - kText.size(), 'x'));
    CHECK(Search(memory).texts.size() == (size < 4096 ? 1u : 0u));
  }
}

TEST_CASE("a text with a byte that is not known is none") {
  for (const ByteState state : {ByteState::kExcluded, ByteState::kLost, ByteState::kTruncated}) {
    FakeMemory memory;
    memory.AddZeroPage(PhysAddr(0x5000));
    Put(memory, 0x5000, kText);
    REQUIRE(Search(memory).texts.size() == 1);
    memory.SetState(PhysAddr(0x5010), 1, state);
    CHECK(Search(memory).texts.empty());
  }
}

TEST_CASE("pages beyond the budget are not read, and that is said") {
  FakeMemory memory;
  for (uint64_t at = 0x1000; at <= 0x4000; at += 0x1000) memory.AddZeroPage(PhysAddr(at));
  Put(memory, 0x4000, kText);
  for (const uint64_t budget : {0x3fffull, 0x4000ull, 0x4001ull}) {
    CAPTURE(budget);
    const auto found = Search(memory, budget);
    CHECK(found.cut_off == (budget < 0x4000));
    CHECK(found.texts.size() == (budget < 0x4000 ? 0u : 1u));
  }
}

TEST_CASE("no more texts are looked at than a machine can have") {
  for (const size_t count :
       {kMaxVmcoreinfoTexts - 1, kMaxVmcoreinfoTexts, kMaxVmcoreinfoTexts + 1}) {
    CAPTURE(count);
    FakeMemory memory;
    for (size_t i = 0; i < count; ++i) Put(memory, 0x1000 * (i + 1), kText + std::string(1, '\0'));
    const auto found = Search(memory);
    CHECK(found.texts.size() == std::min(count, kMaxVmcoreinfoTexts));
    CHECK(found.cut_off == (count > kMaxVmcoreinfoTexts));
  }
}

TEST_CASE("a flood of beginnings ends the search, and that is said") {
  std::string flood;
  while (flood.size() < 0x8000) flood += "OSRELEASE=";
  FakeMemory memory;
  Put(memory, 0x1000, flood);
  const auto found = Search(memory);
  CHECK(found.texts.empty());
  CHECK(found.cut_off);
}

TEST_CASE("only what is found is evidence") {
  class Recorder : public ReadRecorder {
   public:
    void OnRead(PhysAddr address, uint64_t size) override {
      first = std::min(first, address.value());
      last = std::max(last, address.value() + size);
    }
    uint64_t first = UINT64_MAX, last = 0;
  };
  FakeMemory memory;
  memory.AddZeroPage(PhysAddr(0x5000));
  memory.AddZeroPage(PhysAddr(0x8000));
  Put(memory, 0x5000, kText);
  Put(memory, 0x8000, "OSRELEASE=%s\n");
  Recorder recorder;
  MemorySession session(memory, &recorder);
  REQUIRE(SearchVmcoreinfo(session, kEnough).texts.size() == 1);
  CHECK(recorder.first == 0x5000);
  CHECK(recorder.last <= 0x6000);
}

}  // namespace
}  // namespace dmaudit
