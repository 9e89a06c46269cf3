// SPDX-License-Identifier: GPL-2.0-or-later
// The one reading of a table entry: enumeration, single translations, search and tests all ask
// here.
#ifndef DMAUDIT_DMAR_CLASSIFY_H_
#define DMAUDIT_DMAR_CLASSIFY_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/ids.h"
#include "dmar/hw/second_stage_entry.h"
#include "dmar/rules.h"
#include "dmar/translation.h"

namespace dmaudit {

enum class Outcome : uint8_t {
  kNotPresent,
  kTable,        // leads to a next table, PASID directories and tables included
  kLeaf,         // paging leaf
  kPassThrough,  // context or PASID entry: output equals input
  kSecondStage,  // context or PASID entry: leads to paging structures
  kFirstStage,
  kNested,
  kRejected,     // hardware refuses a request here
  kUnsupported,  // legal for this unit as far as is known, but a form that this program cannot walk
};

struct EntryVerdict {
  Outcome outcome = Outcome::kNotPresent;
  // The entry is accepted because a device may get through; whether hardware takes it depends on
  // what `reason` says, which is not known.
  bool unsure = false;

  // kTable, kLeaf of a paging structure: this entry alone, not ANDed with those above.
  Permissions permissions;
  bool user = true;  // first stage: U/S

  uint8_t levels = 0;        // kSecondStage, kNested: of the second stage
  uint8_t first_levels = 0;  // kFirstStage, kNested
  DomainId did;              // context and PASID entries that describe a translation
  bool device_tlb = false;   // legacy context entry: TT=01

  PhysAddr target;        // next table, leaf base, or top of the second stage
  PhysAddr first_target;  // top of the first stage; guest-physical when nested
  uint64_t size = 0;      // kLeaf: bytes

  // kRejected, kUnsupported, unsure.
  std::string_view condition;  // "LCT.3"; empty where no named condition is known
  std::string_view reason;     // "reserved bits", "address width not supported", ...
  uint8_t word = 0;            // quadword of the entry that the reason lies in
  uint64_t raw = 0;            // that quadword
  uint64_t mask = 0;           // the bits of it that were held against the entry
  uint64_t bits() const { return raw & mask; }
  bool reserved_bits() const { return reason == kReservedBits; }

  static constexpr std::string_view kReservedBits = "reserved bits";
};

// What hardware that follows `rules` makes of an entry. `level` counts from 1 (leaf tables) and
// means something for paging entries only. `raw` holds WordsOf(kind) quadwords. The order of checks
// is hardware's: present, reserved bits, meaning; a second-stage entry without R and W is not
// present whatever else it holds.
EntryVerdict Classify(const UnitRules& rules, EntryKind kind, uint8_t level,
                      std::span<const uint64_t> raw);

// False for a second-stage entry of which Classify() makes kNotPresent: most of a sparse table.
inline bool IsPresentInSecondStage(uint64_t raw) {
  return ((hw::second_stage::kR.mask() | hw::second_stage::kW.mask()) & raw) != 0;
}

// A second-stage entry of level 1 of which nothing more can be said than this: hardware takes it,
// and no reserved bit or missing capability makes that doubtful.
struct PlainLeaf {
  PhysAddr target;
  Permissions permissions;
};
// What Classify() makes of such an entry; nothing of all others. Large machines have millions of
// them, and a whole verdict takes three times as long.
inline std::optional<PlainLeaf> ClassifyPlainLeaf(const UnitRules& rules, uint64_t raw) {
  const ReservedBits& reserved = rules.second_leaf[0];
  const Permissions permissions{hw::second_stage::kR.Get(raw) != 0,
                                hw::second_stage::kW.Get(raw) != 0};
  if (!permissions.any() || (raw & (reserved.certain | reserved.doubtful)) != 0) {
    return std::nullopt;
  }
  return PlainLeaf{PhysAddr(raw & hw::second_stage::kAddress.mask()), permissions};
}

// "reserved bits 11:4 are 0x3, expected 0 (LCT.3), quadword 0 is 0x..." of a verdict that has a
// reason.
std::string Explain(const EntryVerdict& verdict);

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_CLASSIFY_H_
