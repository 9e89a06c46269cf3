// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/rules.h"

#include <algorithm>

#include "base/bits.h"
#include "dmar/hw/capability_register.h"
#include "dmar/hw/extended_capability_register.h"
#include "dmar/hw/first_stage_entry.h"
#include "dmar/hw/legacy_context_entry.h"
#include "dmar/hw/legacy_root_entry.h"
#include "dmar/hw/pasid_directory_entry.h"
#include "dmar/hw/pasid_entry.h"
#include "dmar/hw/root_table_address_register.h"
#include "dmar/hw/scalable_context_entry.h"
#include "dmar/hw/scalable_root_entry.h"
#include "dmar/hw/second_stage_entry.h"

namespace dmaudit {
namespace {

template <size_t N>
consteval uint64_t ReservedOf(const std::array<Field, N>& fields) {
  return MaskOf(fields, FieldKind::kReserved);
}

constexpr uint64_t kAddressField = hw::legacy_root::kCtp.mask();
// Top bit of each of the eight PAT nibbles.
constexpr uint64_t kPatTopBits = hw::pasid::kPat.Set(0, 0x88888888);
// SAGAW bits of the widths that exist: 39, 48 and 57 bits.
constexpr uint64_t kRealWidths = 0b01110;

// Fewer bits of address than this no machine has: taken at its word, such a width would reject
// everything.
constexpr unsigned kNarrowest = 32;

Tri BitOf(std::optional<uint64_t> word, const Field& field) {
  if (!word) return Tri::kUnknown;
  return field.Get(*word) != 0 ? Tri::kYes : Tri::kNo;
}

Tri BitOf(std::optional<uint64_t> word, const Field& field, unsigned bit) {
  if (!word) return Tri::kUnknown;
  return (field.Get(*word) >> bit & 1) != 0 ? Tri::kYes : Tri::kNo;
}

// Whether sources of a register disagree; the user knows better than any of them.
bool Doubtful(const Known<uint64_t>& known) {
  return known.disagrees() && known.chosen().origin != Origin::kUser;
}

// Bits that are reserved exactly when a capability is absent.
ReservedBits Unless(Tri capability, uint64_t bits) {
  switch (capability) {
    case Tri::kNo:
      return {bits, 0};
    case Tri::kYes:
      return {0, 0};
    case Tri::kUnknown:
      return {0, bits};
  }
  return {0, bits};
}

void Add(ReservedBits& to, const ReservedBits& more) {
  to.certain |= more.certain;
  to.doubtful |= more.doubtful;
}

void SetDescriptorMasks(UnitRules& rules, uint64_t beyond_width, bool may_have_newer_bits) {
  rules.legacy_root[0].certain = ReservedOf(hw::legacy_root::kLow) | beyond_width;
  rules.legacy_root[1].certain = ReservedOf(hw::legacy_root::kHigh);
  rules.scalable_root.certain = ReservedOf(hw::scalable_root::kHalf) | beyond_width;

  rules.legacy_context[0].certain = ReservedOf(hw::legacy_context::kLow) | beyond_width;
  const uint64_t did_values = (uint64_t{1} << rules.domain_id_bits) - 1;
  rules.legacy_context[1].certain =
      ReservedOf(hw::legacy_context::kHigh) |
      (hw::legacy_context::kDid.mask() & ~hw::legacy_context::kDid.Set(0, did_values));

  rules.scalable_context[0].certain = ReservedOf(hw::scalable_context::kWord0) | beyond_width;
  rules.scalable_context[1].certain = ReservedOf(hw::scalable_context::kWord1);
  rules.scalable_context[2].certain = ReservedOf(hw::scalable_context::kWord2);
  rules.scalable_context[3].certain = ReservedOf(hw::scalable_context::kWord2);
  if (may_have_newer_bits) {
    // TDX-IO gave formerly reserved bits of root and scalable context entries a meaning that no
    // source at hand describes.
    const uint64_t root_low_bits = ReservedOf(hw::scalable_root::kHalf) & 0xfff;
    rules.scalable_root.certain &= ~root_low_bits;
    rules.scalable_root.doubtful |= root_low_bits;
    for (size_t i = 0; i < rules.scalable_context.size(); ++i) {
      ReservedBits& word = rules.scalable_context[i];
      const uint64_t moved = i == 0 ? word.certain & 0xfff : word.certain;
      word.certain &= ~moved;
      word.doubtful |= moved;
    }
  }

  rules.pasid_directory.certain = ReservedOf(hw::pasid_directory::kWord) | beyond_width;
  rules.pasid_entry[0].certain = ReservedOf(hw::pasid::kWord0) | beyond_width;
  rules.pasid_entry[1] = {ReservedOf(hw::pasid::kWord1), kPatTopBits};
  rules.pasid_entry[2].certain = ReservedOf(hw::pasid::kWord2) | beyond_width;
  for (size_t i = 3; i < rules.pasid_entry.size(); ++i) {
    rules.pasid_entry[i].certain = ReservedOf(hw::pasid::kWord3);
  }
}

void SetPagingMasks(UnitRules& rules, uint64_t beyond_width) {
  namespace ss = hw::second_stage;
  namespace fs = hw::first_stage;
  const uint64_t beyond = beyond_width & kAddressField;  // bits 63:52 are ignored here
  rules.second_table = {{{},
                         {ReservedOf(ss::kTable) | beyond, 0},
                         {ReservedOf(ss::kTable) | beyond, 0},
                         {ReservedOf(ss::kUpperTable) | beyond, 0},
                         {ReservedOf(ss::kUpperTable) | beyond, 0}}};
  rules.second_leaf = {{{ReservedOf(ss::kLeaf4k) | beyond, 0},
                        {ReservedOf(ss::kLeaf2m) | beyond, 0},
                        {ReservedOf(ss::kLeaf1g) | beyond, 0},
                        {},
                        {}}};
  // TM meant something up to revision 3.1 where device-TLBs are supported; later it is reserved.
  ReservedBits transient = Unless(rules.device_tlb, ss::kTm.mask());
  if (rules.device_tlb == Tri::kYes) transient = {0, ss::kTm.mask()};
  // SNP without snoop control is reserved in legacy mode; QEMU accepts it in scalable mode.
  ReservedBits snoop = Unless(rules.snoop_control, ss::kSnp.mask());
  if (rules.scalable) snoop = {0, snoop.certain | snoop.doubtful};
  for (size_t i = 0; i < 3; ++i) {
    Add(rules.second_leaf[i], transient);
    Add(rules.second_leaf[i], snoop);
  }

  rules.first_table = {{{},
                        {ReservedOf(fs::kTable) | beyond, 0},
                        {ReservedOf(fs::kTable) | beyond, 0},
                        {ReservedOf(fs::kUpperTable) | beyond, 0},
                        {ReservedOf(fs::kUpperTable) | beyond, 0}}};
  rules.first_leaf = {{{ReservedOf(fs::kLeaf4k) | beyond, 0},
                       {ReservedOf(fs::kLeaf2m) | beyond, 0},
                       {ReservedOf(fs::kLeaf1g) | beyond, 0},
                       {},
                       {}}};
}

}  // namespace

std::string_view ToString(EntryKind kind) {
  switch (kind) {
    case EntryKind::kLegacyRoot:
    case EntryKind::kScalableRoot:
      return "root";
    case EntryKind::kLegacyContext:
    case EntryKind::kScalableContext:
      return "context";
    case EntryKind::kPasidDirectory:
      return "pasid-directory";
    case EntryKind::kPasidEntry:
      return "pasid";
    case EntryKind::kSecondStage:
      return "second-stage";
    case EntryKind::kFirstStage:
      return "first-stage";
  }
  return "root";
}

UnitRules UnitRules::For(const UnitState& unit) {
  UnitRules rules;
  rules.unit = unit.name;
  rules.scalable =
      unit.rtaddr.known() && hw::rtaddr::kTtm.Get(unit.rtaddr.value()) == hw::rtaddr::kTtmScalable;

  std::optional<uint64_t> cap = unit.cap.get();
  if (cap && (*cap == UINT64_MAX || (hw::cap::kSagaw.Get(*cap) & kRealWidths) == 0 ||
              hw::cap::kMgaw.Get(*cap) + 1 < kNarrowest || Doubtful(unit.cap))) {
    cap.reset();
  }
  std::optional<uint64_t> ecap = unit.ecap.get();
  if (ecap && (*ecap == UINT64_MAX || Doubtful(unit.ecap))) ecap.reset();
  rules.capabilities_known = cap.has_value();
  rules.extended_capabilities_known = ecap.has_value();

  unsigned widest = 0;
  for (const auto& claim : unit.host_address_width.claims()) widest = std::max(widest, claim.value);
  if (widest >= kNarrowest) {
    rules.address_width_known = true;
    rules.address_bits = std::min(widest, kMaxAddressBits);
  }
  if (cap) {
    rules.guest_address_bits = static_cast<unsigned>(hw::cap::kMgaw.Get(*cap)) + 1;
    rules.domain_id_bits = std::min(16U, 4 + 2 * static_cast<unsigned>(hw::cap::kNd.Get(*cap)));
  }

  for (unsigned aw = 0; aw < rules.second_levels.size(); ++aw) {
    rules.second_levels[aw] = aw > 4 ? Tri::kNo : BitOf(cap, hw::cap::kSagaw, aw);
  }
  rules.second_leaf_allowed = {Tri::kYes, BitOf(cap, hw::cap::kSslps, 0),
                               BitOf(cap, hw::cap::kSslps, 1), Tri::kNo, Tri::kNo};
  rules.first_leaf_allowed = {Tri::kYes, Tri::kYes, BitOf(cap, hw::cap::kFs1gp), Tri::kNo,
                              Tri::kNo};
  rules.first_five_levels = BitOf(cap, hw::cap::kFs5lp);
  rules.pass_through = BitOf(ecap, hw::ecap::kPt);
  rules.device_tlb = BitOf(ecap, hw::ecap::kDt);
  rules.nested = BitOf(ecap, hw::ecap::kNest);
  rules.first_stage = BitOf(ecap, hw::ecap::kFsts);
  rules.second_stage = BitOf(ecap, hw::ecap::kSsts);
  rules.scalable_mode = BitOf(ecap, hw::ecap::kSmts);
  rules.rid_pasid = BitOf(ecap, hw::ecap::kRps);
  rules.rid_privilege = BitOf(ecap, hw::ecap::kRprivs);
  rules.supervisor_requests = BitOf(ecap, hw::ecap::kSrs);
  rules.pasid = BitOf(ecap, hw::ecap::kPasid);
  rules.page_requests = BitOf(ecap, hw::ecap::kPrs);
  rules.snoop_control = BitOf(ecap, hw::ecap::kSc);
  rules.abort_mode = BitOf(ecap, hw::ecap::kAdms);

  const uint64_t beyond_width = ~((uint64_t{1} << rules.address_bits) - 1);
  SetDescriptorMasks(rules, beyond_width, BitOf(ecap, hw::ecap::kTdxio) != Tri::kNo);
  SetPagingMasks(rules, beyond_width);
  return rules;
}

unsigned UnitRules::SecondStageInputBits(unsigned levels) const {
  const unsigned of_tables = 12 + 9 * levels;
  return guest_address_bits ? std::min(*guest_address_bits, of_tables) : of_tables;
}

unsigned UnitRules::InputBits(const AddressSpace& space) const {
  if (space.stage == Stage::kPassThrough) {
    unsigned widest = 0;
    for (unsigned aw = 1; aw <= 3; ++aw) {
      if (second_levels[aw] != Tri::kNo) widest = 30 + 9 * aw;
    }
    const unsigned input = guest_address_bits ? std::min(*guest_address_bits, widest) : widest;
    return address_width_known ? std::min(address_bits, input) : input;
  }
  if (space.stage == Stage::kSecond) {
    return space.second ? SecondStageInputBits(space.second->levels) : 0;
  }
  return space.first ? 12 + 9 * static_cast<unsigned>(space.first->levels) : 0;
}

}  // namespace dmaudit
