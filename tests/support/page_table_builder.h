// SPDX-License-Identifier: GPL-2.0-or-later
// Builds x86-64 page tables in fake memory.
#ifndef DMAUDIT_TESTS_SUPPORT_PAGE_TABLE_BUILDER_H_
#define DMAUDIT_TESTS_SUPPORT_PAGE_TABLE_BUILDER_H_

#include <map>
#include <utility>

#include "support/fake_memory.h"

namespace dmaudit::test {

class PageTableBuilder {
 public:
  // Tables follow the top one page by page. Every entry gets the encryption bits.
  PageTableBuilder(FakeMemory& memory, PhysAddr top, unsigned levels, uint64_t encryption = 0)
      : memory_(memory),
        top_(top.value()),
        next_(top_ + 0x2000),
        levels_(levels),
        encryption_(encryption) {
    memory_.AddZeroPage(top);
  }

  // Maps one page: 4 KiB at level 1, 2 MiB at level 2, 1 GiB at level 3. Gives the place of its
  // entry.
  PhysAddr Map(uint64_t virtual_address, uint64_t physical, unsigned leaf_level = 1) {
    uint64_t table = top_;
    for (unsigned level = levels_; level > leaf_level; --level) {
      const uint64_t at = table + Index(virtual_address, level) * 8;
      auto [it, fresh] = tables_.try_emplace(at, next_);
      if (fresh) {
        memory_.AddZeroPage(PhysAddr(next_));
        memory_.WriteU64(PhysAddr(at), next_ | encryption_ | 0x3);
        next_ += 0x1000;
      }
      table = it->second;
    }
    const PhysAddr entry(table + Index(virtual_address, leaf_level) * 8);
    memory_.WriteU64(entry, physical | encryption_ | (leaf_level > 1 ? 0x83u : 0x3u));
    return entry;
  }

 private:
  static uint64_t Index(uint64_t virtual_address, unsigned level) {
    return virtual_address >> (12 + 9 * (level - 1)) & 511;
  }

  FakeMemory& memory_;
  uint64_t top_;
  uint64_t next_;
  unsigned levels_;
  uint64_t encryption_;
  std::map<uint64_t, uint64_t> tables_;  // place of the entry -> table
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_PAGE_TABLE_BUILDER_H_
