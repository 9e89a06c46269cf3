// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/session.h"

#include <doctest/doctest.h>

#include <array>
#include <utility>
#include <vector>

#include "support/fake_memory.h"

namespace dmaudit {
namespace {

class Recorder : public ReadRecorder {
 public:
  void OnRead(PhysAddr address, uint64_t size) override {
    reads.emplace_back(address.value(), size);
  }
  std::vector<std::pair<uint64_t, uint64_t>> reads;
};

TEST_CASE("a read crosses page borders") {
  test::FakeMemory memory;
  memory.WriteU32(PhysAddr(0x1ffc), 0x11223344);
  memory.WriteU32(PhysAddr(0x2000), 0x55667788);
  MemorySession session(memory);
  uint64_t value = 0;
  CHECK(session.ReadU64(PhysAddr(0x1ffc), value).ok());
  CHECK(value == 0x5566778811223344);
}

TEST_CASE("a read stops at the first byte that is not known, and says why") {
  test::FakeMemory memory;
  memory.WriteU64(PhysAddr(0x1ff8), 0x1122334455667788);
  memory.SetState(PhysAddr(0x1ffc), 4, ByteState::kRedacted);
  MemorySession session(memory);
  std::array<std::byte, 16> out{};
  const ReadStatus redacted = session.Read(PhysAddr(0x1ff8), out);
  CHECK(redacted.state == ByteState::kRedacted);
  CHECK(redacted.where == PhysAddr(0x1ffc));
  CHECK(out[0] == std::byte{0x88});
  uint64_t value = 7;
  CHECK_FALSE(session.ReadU64(PhysAddr(0x1ff8), value).ok());
  CHECK(value == 7);
  uint32_t half = 0;
  CHECK(session.ReadU32(PhysAddr(0x1ff8), half).ok());
  CHECK(half == 0x55667788);
  const ReadStatus absent = session.Read(PhysAddr(0x2000), out);
  CHECK(absent.state == ByteState::kAbsent);
  CHECK(absent.where == PhysAddr(0x2000));
}

TEST_CASE("the last bytes of the address space, and what would lie behind") {
  test::FakeMemory memory;
  memory.WriteU32(PhysAddr(UINT64_MAX - 3), 0xabcdef01);
  MemorySession session(memory);
  uint32_t value = 0;
  CHECK(session.ReadU32(PhysAddr(UINT64_MAX - 3), value).ok());
  CHECK(value == 0xabcdef01);
  uint64_t wide = 0;
  CHECK(session.ReadU64(PhysAddr(UINT64_MAX - 3), wide).state == ByteState::kAbsent);
}

TEST_CASE("the cache holds so many pages and drops the one used longest ago") {
  test::FakeMemory memory;
  for (uint64_t i = 0; i < 4; ++i) memory.WriteU64(PhysAddr(i * 0x1000), i + 1);
  MemorySession session(memory, nullptr, 2);
  uint64_t value = 0;
  const auto read = [&](uint64_t page) {
    CHECK(session.ReadU64(PhysAddr(page * 0x1000), value).ok());
    CHECK(value == page + 1);
  };
  read(0);
  read(1);
  read(0);
  CHECK(session.pages_decoded() == 2);
  read(2);  // page 1 goes
  read(0);
  CHECK(session.pages_decoded() == 3);
  read(1);
  CHECK(session.pages_decoded() == 4);
}

TEST_CASE("a handle outlives the cache") {
  test::FakeMemory memory;
  memory.WriteU64(PhysAddr(0), 42);
  memory.WriteU64(PhysAddr(0x1000), 43);
  MemorySession session(memory, nullptr, 1);
  const PageHandle page = session.ReadWholePage(PhysAddr(0x123));
  session.ReadWholePage(PhysAddr(0x1000));
  CHECK(page->base == PhysAddr(0));
  CHECK(page->bytes[0] == std::byte{42});
}

TEST_CASE("a cache of no pages still works") {
  test::FakeMemory memory;
  memory.WriteU64(PhysAddr(0), 42);
  MemorySession session(memory, nullptr, 0);
  uint64_t value = 0;
  CHECK(session.ReadU64(PhysAddr(0), value).ok());
  CHECK(value == 42);
}

TEST_CASE("every evidence read is recorded, known or not, and no search") {
  test::FakeMemory memory;
  memory.WriteU64(PhysAddr(0x1000), 1);
  Recorder recorder;
  MemorySession session(memory, &recorder);
  uint64_t value = 0;
  CHECK(session.ReadU64(PhysAddr(0x1008), value).ok());
  CHECK_FALSE(session.ReadU64(PhysAddr(0x5000), value).ok());
  session.ReadWholePage(PhysAddr(0x1234));
  {
    const SearchScope search(session);
    CHECK(session.ReadU64(PhysAddr(0x1010), value).ok());
    session.ReadWholePage(PhysAddr(0x1000));
  }
  CHECK(session.ReadU64(PhysAddr(0x1018), value).ok());
  const std::vector<std::pair<uint64_t, uint64_t>> want = {
      {0x1008, 8}, {0x5000, 8}, {0x1000, 0x1000}, {0x1018, 8}};
  CHECK(recorder.reads == want);
}

}  // namespace
}  // namespace dmaudit
