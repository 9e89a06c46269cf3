// SPDX-License-Identifier: GPL-2.0-or-later
// What a walk of one unit yields: which requester is translated through which tables, and the live
// ranges of those.
#ifndef DMAUDIT_DMAR_TRANSLATION_H_
#define DMAUDIT_DMAR_TRANSLATION_H_

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/ids.h"

namespace dmaudit {

enum class Stage : uint8_t { kSecond, kFirst, kNested, kPassThrough };
// "second", "first", "nested", "passthrough".
std::string_view ToString(Stage stage);

struct Permissions {
  bool read = false;
  bool write = false;
  constexpr bool any() const { return read || write; }
  // What both allow.
  friend constexpr Permissions operator&(const Permissions& a, const Permissions& b) {
    return {a.read && b.read, a.write && b.write};
  }
  friend constexpr auto operator<=>(const Permissions&, const Permissions&) = default;
};
// "RW", "R-", "-W", "--".
std::string_view ToString(Permissions permissions);

// A paging structure: top table and number of levels (second stage 3..5, first stage 4..5).
struct TableRoot {
  PhysAddr table;  // a guest-physical address for the first stage of a nested space
  uint8_t levels = 0;
  friend constexpr auto operator<=>(const TableRoot&, const TableRoot&) = default;
};

// How requests are translated. Two requesters with equal address spaces on one unit share a domain:
// same tag, same tables, same rules.
struct AddressSpace {
  Stage stage = Stage::kSecond;
  DomainId did;
  std::optional<TableRoot> second;  // kSecond, kNested
  std::optional<TableRoot> first;   // kFirst, kNested
  // First stage only. Whether requests may reach supervisor pages (request-without-PASID with
  // RID_PRIV, or SRE for requests that ask for it), and whether supervisor writes respect R/W
  // (WPE).
  bool supervisor_access = false;
  bool write_protect = true;
  // Whether requests with a PASID use the space: to them the interrupt window FEE0'0000-FEEF'FFFF
  // is input like any other; requests without PASID never reach the tables with it.
  bool pasid_requests = false;
  friend constexpr auto operator<=>(const AddressSpace&, const AddressSpace&) = default;
};

// One table entry on the way to a translation: where it is in memory and what it held.
struct EntryRef {
  std::string_view
      kind;  // "root", "context", "pasid-directory", "pasid", "second-stage", "first-stage"
  uint8_t level = 0;  // paging entries only
  PhysAddr address;
  uint64_t raw = 0;       // low quadword
  uint64_t raw_high = 0;  // second quadword where the entry has one
};

// A requester and what it is translated through.
struct Attachment {
  Bdf bdf;
  std::optional<Pasid>
      pasid;  // nothing in legacy mode; 0 stands for requests without PASID in scalable mode
  AddressSpace space;
  // Whether requests without PASID are translated so. In scalable mode two attachments can show
  // PASID 0: the one that RID_PASID selects, and entry 0 itself for requests that carry PASID 0.
  bool without_pasid = true;
  bool device_tlb = false;    // TT=01 or DTE=1: translated requests of the device bypass the tables
  uint8_t address_width = 0;  // bits of IOVA that the unit accepts for this space
  std::vector<EntryRef> path;  // root .. context (.. pasid)
};

// A maximal run that is contiguous in IOVA and physical address with equal permissions.
struct LiveRange {
  Iova iova;  // first stage: sign-extended to 64 bits
  uint64_t size = 0;
  PhysAddr pa;
  Permissions permissions;
};

// Entry counts that must close: visited = tables + leaves + not_present + dead + rejected +
// unreadable.
struct WalkAccounting {
  uint64_t visited = 0;
  uint64_t tables = 0;  // pointers to a next table
  uint64_t leaves = 0;  // live leaf entries
  uint64_t not_present = 0;
  uint64_t dead =
      0;  // present, but no request can reach it (beyond the input limit, interrupt window, ...)
  uint64_t rejected = 0;    // hardware refuses it: reserved bits, unsupported programming
  uint64_t unreadable = 0;  // entries whose bytes are not known

  bool Closes() const {
    return visited == tables + leaves + not_present + dead + rejected + unreadable;
  }
  WalkAccounting& operator+=(const WalkAccounting& other);
  friend bool operator==(const WalkAccounting&, const WalkAccounting&) = default;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_TRANSLATION_H_
