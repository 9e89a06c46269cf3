// SPDX-License-Identifier: GPL-2.0-or-later
// Writes valid VT-d tables into a FakeMemory, for tests. A malformed case is a valid table plus one
// visible mutation through the address of an entry. Bits are written as literals on purpose: the
// code under test has its own tables of them.
#ifndef DMAUDIT_TESTS_SUPPORT_TABLE_BUILDER_H_
#define DMAUDIT_TESTS_SUPPORT_TABLE_BUILDER_H_

#include <cstdint>

#include "base/ids.h"
#include "support/fake_memory.h"
#include "vmcore/memory/session.h"

namespace dmaudit::test {

class TableBuilder {
 public:
  static constexpr uint64_t kPresent = 1;
  static constexpr uint64_t kRead = 1;
  static constexpr uint64_t kWrite = 2;
  static constexpr uint64_t kReadWrite = 3;
  static constexpr uint64_t kLarge = 0x80;
  // First stage.
  static constexpr uint64_t kUser = 4;
  static constexpr uint64_t kUserWrite = 7;
  // PGTT at its place in a PASID entry.
  static constexpr uint64_t kFirst = 1 << 6;
  static constexpr uint64_t kSecond = 2 << 6;
  static constexpr uint64_t kNested = 3 << 6;
  static constexpr uint64_t kPassThrough = 4 << 6;

  // Tables are put at `first_page` and after it.
  explicit TableBuilder(FakeMemory& memory, uint64_t first_page = 0x100000)
      : memory_(memory), next_(first_page) {}

  PhysAddr NewPage() {
    const PhysAddr page(next_);
    next_ += 0x1000;
    memory_.AddZeroPage(page);
    return page;
  }
  // `count` pages in a row.
  PhysAddr NewPages(unsigned count) {
    const PhysAddr first = NewPage();
    for (unsigned i = 1; i < count; ++i) NewPage();
    return first;
  }

  uint64_t Get(PhysAddr entry) {
    MemorySession session(memory_);
    uint64_t value = 0;
    (void)session.ReadU64(entry, value);
    return value;
  }
  void Set(PhysAddr entry, uint64_t value) { memory_.WriteU64(entry, value); }
  void Xor(PhysAddr entry, uint64_t bits) { Set(entry, Get(entry) ^ bits); }

  // The entry of a bus in a root table.
  static PhysAddr LegacyRootEntry(PhysAddr root, uint8_t bus) {
    return PhysAddr(root.value() + bus * 16U);
  }
  static PhysAddr ScalableRootEntry(PhysAddr root, uint8_t bus, bool upper) {
    return PhysAddr(root.value() + bus * 16U + (upper ? 8U : 0U));
  }

  // The context entry of a function, its context table made when there is none.
  PhysAddr LegacyContext(PhysAddr root, uint8_t bus, uint8_t devfn) {
    return PhysAddr(NextTable(LegacyRootEntry(root, bus), kPresent).value() + devfn * 16U);
  }
  PhysAddr ScalableContext(PhysAddr root, uint8_t bus, uint8_t devfn) {
    const PhysAddr table = NextTable(ScalableRootEntry(root, bus, devfn >= 0x80), kPresent);
    return PhysAddr(table.value() + (devfn & 0x7fU) * 32U);
  }

  // A function translated by `levels` levels of second stage.
  PhysAddr AttachLegacy(PhysAddr root, uint8_t bus, uint8_t devfn, PhysAddr top, unsigned levels,
                        uint16_t did) {
    const PhysAddr entry = LegacyContext(root, bus, devfn);
    Set(entry, top.value() | kPresent);
    Set(PhysAddr(entry.value() + 8), (levels - 2) | uint64_t{did} << 8);
    return entry;
  }
  // A function with a PASID directory of 2^(pdts + 7) entries.
  PhysAddr AttachScalable(PhysAddr root, uint8_t bus, uint8_t devfn, PhysAddr directory,
                          unsigned pdts = 0) {
    const PhysAddr entry = ScalableContext(root, bus, devfn);
    Set(entry, directory.value() | uint64_t{pdts} << 9 | kPresent);
    return entry;
  }

  // The PASID entry of a PASID, its table made when there is none.
  PhysAddr PasidEntry(PhysAddr directory, uint32_t pasid) {
    const PhysAddr link(directory.value() + (pasid >> 6) * 8);
    return PhysAddr(NextTable(link, kPresent).value() + (pasid & 63) * 64);
  }
  PhysAddr SetPasid(PhysAddr directory, uint32_t pasid, uint64_t word0, uint64_t word1,
                    uint64_t word2 = 0) {
    const PhysAddr entry = PasidEntry(directory, pasid);
    Set(entry, word0);
    Set(PhysAddr(entry.value() + 8), word1);
    Set(PhysAddr(entry.value() + 16), word2);
    return entry;
  }
  PhysAddr SetSecondStage(PhysAddr directory, uint32_t pasid, PhysAddr top, unsigned levels,
                          uint16_t did) {
    return SetPasid(directory, pasid, top.value() | (levels - 2) << 2 | kSecond | kPresent, did);
  }
  PhysAddr SetFirstStage(PhysAddr directory, uint32_t pasid, PhysAddr top, unsigned levels,
                         uint16_t did) {
    return SetPasid(directory, pasid, kFirst | kPresent, did, top.value() | (levels - 4) << 2);
  }
  PhysAddr SetNested(PhysAddr directory, uint32_t pasid, PhysAddr second, unsigned second_levels,
                     PhysAddr first, unsigned first_levels, uint16_t did) {
    return SetPasid(directory, pasid,
                    second.value() | (second_levels - 2) << 2 | kNested | kPresent, did,
                    first.value() | (first_levels - 4) << 2);
  }

  // The paging entry at `level` that translates `input`, the tables above it made with
  // `table_bits` when there are none.
  PhysAddr PagingEntry(PhysAddr top, unsigned levels, uint64_t input, unsigned level,
                       uint64_t table_bits) {
    PhysAddr table = top;
    for (unsigned at = levels; at > level; --at) {
      table = NextTable(EntryAt(table, input, at), table_bits);
    }
    return EntryAt(table, input, level);
  }
  // A leaf of 4 KiB, 2 MiB or 1 GiB (level 1, 2, 3) with these permission bits.
  PhysAddr Map(PhysAddr top, unsigned levels, uint64_t input, uint64_t pa, unsigned level = 1,
               uint64_t bits = kReadWrite, uint64_t table_bits = kReadWrite) {
    const PhysAddr entry = PagingEntry(top, levels, input, level, table_bits);
    Set(entry, pa | bits | (level > 1 ? kLarge : 0));
    return entry;
  }
  PhysAddr MapFirst(PhysAddr top, unsigned levels, uint64_t input, uint64_t pa, unsigned level = 1,
                    uint64_t bits = kUserWrite) {
    return Map(top, levels, input, pa, level, bits, kUserWrite);
  }

  static PhysAddr EntryAt(PhysAddr table, uint64_t input, unsigned level) {
    return PhysAddr(table.value() + (input >> (12 + 9 * (level - 1)) & 511) * 8);
  }

 private:
  PhysAddr NextTable(PhysAddr entry, uint64_t bits) {
    const uint64_t now = Get(entry);
    if (now != 0) return PhysAddr(now & 0xffffffffff000);
    const PhysAddr table = NewPage();
    Set(entry, table.value() | bits);
    return table;
  }

  FakeMemory& memory_;
  uint64_t next_;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_TABLE_BUILDER_H_
