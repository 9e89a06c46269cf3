// SPDX-License-Identifier: GPL-2.0-or-later
// UnitRules: what one unit's capabilities make legal. One table of masks per unit, tri-state where
// a capability is unknown.
#ifndef DMAUDIT_DMAR_RULES_H_
#define DMAUDIT_DMAR_RULES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dmar/translation.h"
#include "dmar/unit_state.h"

namespace dmaudit {

// A capability: known absent, known present, or not known.
enum class Tri : uint8_t { kNo, kYes, kUnknown };

// Everything a remapping unit reads from memory on the way to a translation.
enum class EntryKind : uint8_t {
  kLegacyRoot,
  kScalableRoot,  // one half (8 bytes) of a root entry
  kLegacyContext,
  kScalableContext,
  kPasidDirectory,
  kPasidEntry,
  kSecondStage,
  kFirstStage,
};
inline constexpr size_t kEntryKindCount = 8;

// Quadwords of one entry: 2, 1, 2, 4, 1, 8, 1, 1.
constexpr size_t WordsOf(EntryKind kind) {
  constexpr std::array<size_t, kEntryKindCount> kWords = {2, 1, 2, 4, 1, 8, 1, 1};
  return kWords[static_cast<size_t>(kind)];
}
// "root", "context", "pasid-directory", "pasid", "second-stage", "first-stage".
std::string_view ToString(EntryKind kind);

// Reserved bits of one quadword.
struct ReservedBits {
  uint64_t certain = 0;   // hardware rejects a present entry with one of these set
  uint64_t doubtful = 0;  // reserved or not by a capability that is not known, or sources disagree
};

struct UnitRules {
  static constexpr unsigned kMaxLevels = 5;
  static constexpr unsigned kMaxAddressBits = 52;

  // Unknown registers leave their capabilities unknown. So do a CAP without any supported width,
  // one with a width of input that no unit has, and one of all ones: no unit that translated had
  // it, and taken at its word it would reject every entry. And so do claims that disagree: an entry
  // must not count as rejected on the word of one of two sources. Of several HAWs the widest
  // counts.
  static UnitRules For(const UnitState& unit);

  // For messages: "dmar0".
  std::string unit;
  // Whether the unit runs in scalable mode (RTADDR.TTM): it decides the names of conditions.
  bool scalable = false;

  bool capabilities_known = false;           // CAP
  bool extended_capabilities_known = false;  // ECAP
  bool address_width_known = false;          // HAW
  // HAW; kMaxAddressBits when it is not known, so that only bits that no unit has are reserved.
  unsigned address_bits = kMaxAddressBits;
  // MGAW in bits; nothing when CAP is not known.
  std::optional<unsigned> guest_address_bits;
  // Bits of a domain id that may be set (CAP.ND), at most 16.
  unsigned domain_id_bits = 16;

  // Reserved bits, by quadword or by [level - 1].
  std::array<ReservedBits, 2> legacy_root;
  ReservedBits scalable_root;
  std::array<ReservedBits, 2> legacy_context;
  std::array<ReservedBits, 4> scalable_context;
  ReservedBits pasid_directory;
  std::array<ReservedBits, 8> pasid_entry;
  std::array<ReservedBits, kMaxLevels> second_table;
  std::array<ReservedBits, kMaxLevels> second_leaf;  // levels 1 to 3
  std::array<ReservedBits, kMaxLevels> first_table;
  std::array<ReservedBits, kMaxLevels> first_leaf;  // levels 1 to 3

  // Second-stage levels by AW (SAGAW bit AW); kNo beyond bit 4.
  std::array<Tri, 8> second_levels{};
  // Whether a leaf may stand at [level - 1]; level 1 always, levels 4 and 5 never.
  std::array<Tri, kMaxLevels> second_leaf_allowed{};
  std::array<Tri, kMaxLevels> first_leaf_allowed{};

  Tri first_five_levels = Tri::kUnknown;    // FS5LP
  Tri pass_through = Tri::kUnknown;         // PT
  Tri device_tlb = Tri::kUnknown;           // DT
  Tri nested = Tri::kUnknown;               // NEST
  Tri first_stage = Tri::kUnknown;          // FSTS
  Tri second_stage = Tri::kUnknown;         // SSTS
  Tri scalable_mode = Tri::kUnknown;        // SMTS
  Tri rid_pasid = Tri::kUnknown;            // RPS
  Tri rid_privilege = Tri::kUnknown;        // RPRIVS
  Tri supervisor_requests = Tri::kUnknown;  // SRS
  Tri pasid = Tri::kUnknown;                // PASID
  Tri page_requests = Tri::kUnknown;        // PRS
  Tri snoop_control = Tri::kUnknown;        // SC
  Tri abort_mode = Tri::kUnknown;           // ADMS

  // Input bits that second-stage tables of this many levels accept: min(MGAW, 12 + 9 * levels).
  unsigned SecondStageInputBits(unsigned levels) const;
  // Input bits accepted for a space: of the first stage where there is one, else of the second; for
  // pass-through the widest the unit has.
  unsigned InputBits(const AddressSpace& space) const;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_RULES_H_
