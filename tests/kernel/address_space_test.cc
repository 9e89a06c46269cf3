// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/address_space.h"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "support/fake_memory.h"
#include "support/page_table_builder.h"

namespace dmaudit {
namespace {

using test::FakeMemory;
using test::PageTableBuilder;

constexpr uint64_t kDirect = 0xffff888000000000;
constexpr uint64_t kText = 0xffffffff81000000;

class Recorder : public ReadRecorder {
 public:
  void OnRead(PhysAddr address, uint64_t) override { reads.push_back(address); }
  std::vector<PhysAddr> reads;
};

TEST_CASE("4 KiB, 2 MiB and 1 GiB pages translate in 4 and in 5 levels") {
  for (const unsigned levels : {4u, 5u}) {
    CAPTURE(levels);
    FakeMemory memory;
    PageTableBuilder tables(memory, PhysAddr(0x10000), levels);
    tables.Map(kText, 0x5000, 1);
    tables.Map(kDirect, 0x40000000, 2);
    tables.Map(kDirect + 0x40000000, 0x80000000, 3);
    MemorySession session(memory);
    KernelAddressSpace space(session, {PhysAddr(0x10000), levels, 0});
    CHECK(space.Translate(KernelVa(kText + 0x123)).value() == PhysAddr(0x5123));
    CHECK(space.Translate(KernelVa(kDirect + 0x12345)).value() == PhysAddr(0x40012345));
    CHECK(space.Translate(KernelVa(kDirect + 0x40000000 + 0x3fffffff)).value() ==
          PhysAddr(0xbfffffff));
    CHECK_FALSE(space.Translate(KernelVa(kText + 0x1000)));
    CHECK_FALSE(space.Translate(KernelVa(kText - 1)));
  }
}

TEST_CASE("attribute bits of an entry are not address") {
  FakeMemory memory;
  PageTableBuilder tables(memory, PhysAddr(0x10000), 4);
  // No-execute, software bits 52..62, PAT of a large page.
  const PhysAddr entry = tables.Map(kDirect, 0x40000000, 2);
  memory.WriteU64(entry, 0xfff0000040001083);
  MemorySession session(memory);
  KernelAddressSpace space(session, {PhysAddr(0x10000), 4, 0});
  CHECK(space.Translate(KernelVa(kDirect)).value() == PhysAddr(0x40000000));
}

TEST_CASE("the encryption bit is stripped from every level") {
  FakeMemory memory;
  constexpr uint64_t kSme = uint64_t{1} << 47;
  PageTableBuilder tables(memory, PhysAddr(0x10000), 4, kSme);
  tables.Map(kText, 0x5000, 1);
  MemorySession session(memory);
  KernelAddressSpace plain(session, {PhysAddr(0x10000), 4, 0});
  CHECK_FALSE(plain.Translate(KernelVa(kText)));
  KernelAddressSpace space(session, {PhysAddr(0x10000), 4, kSme});
  CHECK(space.Translate(KernelVa(kText)).value() == PhysAddr(0x5000));
}

TEST_CASE("an entry that is not present maps nothing, whatever its other bits") {
  FakeMemory memory;
  PageTableBuilder tables(memory, PhysAddr(0x10000), 4);
  const PhysAddr entry = tables.Map(kText, 0x5000, 1);
  memory.WriteU64(entry, 0xfffffffffffffffe);  // PROT_NONE, address inverted
  MemorySession session(memory);
  KernelAddressSpace space(session, {PhysAddr(0x10000), 4, 0});
  const auto result = space.Translate(KernelVa(kText));
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kUnknown);
}

TEST_CASE("addresses at the border of the canonical halves") {
  FakeMemory memory;
  PageTableBuilder tables(memory, PhysAddr(0x10000), 4);
  tables.Map(0x00007ffffffff000, 0x5000, 1);
  tables.Map(0xffff800000000000, 0x6000, 1);
  MemorySession session(memory);
  KernelAddressSpace space(session, {PhysAddr(0x10000), 4, 0});
  CHECK(space.Translate(KernelVa(0x00007fffffffffff)));
  CHECK_FALSE(space.Translate(KernelVa(0x0000800000000000)));
  CHECK_FALSE(space.Translate(KernelVa(0xffff7fffffffffff)));
  CHECK(space.Translate(KernelVa(0xffff800000000000)));
}

TEST_CASE(
    "a read crosses pages that are apart in physical memory, and stops where bytes are missing") {
  FakeMemory memory;
  PageTableBuilder tables(memory, PhysAddr(0x10000), 4);
  tables.Map(kText, 0x9000, 1);
  tables.Map(kText + 0x1000, 0x7000, 1);
  tables.Map(kText + 0x2000, 0x5000, 1);
  memory.WriteU64(PhysAddr(0x9ff8), 1);
  memory.WriteU64(PhysAddr(0x7000), 2);
  memory.SetPageState(PhysAddr(0x5000), ByteState::kExcluded);
  MemorySession session(memory);
  KernelAddressSpace space(session, {PhysAddr(0x10000), 4, 0});
  std::array<std::byte, 16> out{};
  REQUIRE(space.Read(KernelVa(kText + 0xff8), out));
  CHECK(LoadUnchecked<uint64_t>(out, 0) == 1);
  CHECK(LoadUnchecked<uint64_t>(out, 8) == 2);
  const auto status = space.Read(KernelVa(kText + 0x1ff8), out);
  REQUIRE_FALSE(status);
  CHECK(status.error().message ==
        "kernel address 0xffffffff81002000 (physical 0x5000) is excluded");
  CHECK_FALSE(space.Read(KernelVa(UINT64_MAX - 7), out));
}

TEST_CASE("a page table page that is not in the dump is named with its state") {
  FakeMemory memory;
  PageTableBuilder tables(memory, PhysAddr(0x10000), 4);
  const PhysAddr entry = tables.Map(kText, 0x5000, 1);
  memory.SetPageState(entry, ByteState::kTruncated);
  MemorySession session(memory);
  KernelAddressSpace space(session, {PhysAddr(0x10000), 4, 0});
  const auto result = space.Translate(KernelVa(kText));
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kUnknown);
  CHECK(result.error().message.find("truncated") != std::string::npos);
}

TEST_CASE("a stretch is what one entry stands for, with the rights that no level takes away") {
  FakeMemory memory;
  PageTableBuilder tables(memory, PhysAddr(0x10000), 4);
  const PhysAddr small = tables.Map(kText, 0x5000, 1);
  const PhysAddr large = tables.Map(kText + 0x200000, 0x400000, 2);
  const auto at = [&](uint64_t address) {
    MemorySession fresh(memory);
    return KernelAddressSpace(fresh, {PhysAddr(0x10000), 4, 0}).StretchAt(KernelVa(address));
  };
  CHECK(at(kText + 5).first == KernelVa(kText));
  CHECK(at(kText + 5).size == 0x1000);
  CHECK(at(kText + 5).mapped);
  CHECK(at(kText + 5).writable);
  CHECK(at(kText + 5).executable);
  CHECK(at(kText + 0x345678).first == KernelVa(kText + 0x200000));
  CHECK(at(kText + 0x345678).size == 0x200000);
  CHECK_FALSE(at(kText + 0x1000).mapped);
  CHECK(at(kText + 0x1000).size == 0x1000);
  CHECK_FALSE(at(kText + 0x400000).mapped);
  CHECK(at(kText + 0x400000).size == 0x200000);
  CHECK_FALSE(at(0x0000800000000000).mapped);
  CHECK(at(0x0000800000000000).size == 0x1000);
  memory.WriteU64(large, 0x400000 | 0x81 | uint64_t{1} << 63);
  CHECK_FALSE(at(kText + 0x200000).writable);
  CHECK_FALSE(at(kText + 0x200000).executable);
  memory.SetPageState(small, ByteState::kExcluded);
  CHECK_FALSE(at(kText).mapped);
  CHECK(at(kText).size == 0x1000);
}

TEST_CASE("what is known of a page is read, and the rest filled") {
  FakeMemory memory;
  PageTableBuilder tables(memory, PhysAddr(0x10000), 4);
  tables.Map(kText, 0x5000, 1);
  for (uint64_t i = 0; i < 512; ++i) memory.WriteU64(PhysAddr(0x5000 + 8 * i), 0x0101010101010101);
  memory.SetState(PhysAddr(0x5000), 16, ByteState::kRedacted);
  memory.SetState(PhysAddr(0x5ff8), 8, ByteState::kRedacted);
  MemorySession session(memory);
  KernelAddressSpace space(session, {PhysAddr(0x10000), 4, 0});
  std::array<std::byte, 4096> page{};
  const std::byte filler{0xff};
  REQUIRE(space.ReadKnown(KernelVa(kText), page, filler));
  CHECK(page[15] == filler);
  CHECK(page[16] == std::byte{1});
  CHECK(page[4087] == std::byte{1});
  CHECK(page[4088] == filler);
  REQUIRE(space.ReadKnown(KernelVa(kText + 8), std::span(page).first(16), filler));
  CHECK(page[7] == filler);
  CHECK(page[8] == std::byte{1});
  CHECK_FALSE(space.ReadKnown(KernelVa(kText + 8), std::span(page).first(8), filler));
  CHECK_FALSE(space.ReadKnown(KernelVa(kText + 0x1000), page, filler));
}

TEST_CASE("a table that points at itself ends after its levels") {
  FakeMemory memory;
  for (uint64_t i = 0; i < 512; ++i) memory.WriteU64(PhysAddr(0x10000 + 8 * i), 0x10000 | 3);
  MemorySession session(memory);
  KernelAddressSpace space(session, {PhysAddr(0x10000), 4, 0});
  CHECK(space.Translate(KernelVa(kText + 5)).value() == PhysAddr(0x10005));
}

TEST_CASE("a translation found while searching is recorded when evidence needs it") {
  FakeMemory memory;
  PageTableBuilder tables(memory, PhysAddr(0x10000), 4);
  tables.Map(kText, 0x5000, 1);
  memory.WriteU64(PhysAddr(0x5000), 7);
  Recorder recorder;
  MemorySession session(memory, &recorder);
  KernelAddressSpace space(session, {PhysAddr(0x10000), 4, 0});
  {
    const SearchScope search(session);
    REQUIRE(space.ReadU64(KernelVa(kText)));
  }
  CHECK(recorder.reads.empty());
  REQUIRE(space.ReadU64(KernelVa(kText)));
  CHECK(recorder.reads.size() == 5);  // four entries and the word
  REQUIRE(space.ReadU64(KernelVa(kText)));
  CHECK(recorder.reads.size() == 6);
}

}  // namespace
}  // namespace dmaudit
