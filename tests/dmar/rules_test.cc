// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/rules.h"

#include <doctest/doctest.h>

#include <array>

#include "dmar/classify.h"
#include "dmar/hw/capability_register.h"
#include "dmar/hw/extended_capability_register.h"
#include "dmar/walk_test_support.h"

namespace dmaudit::test {
namespace {

TEST_CASE("capabilities of a scalable-mode server decode as its log says") {
  // Sapphire Rapids server, host address width 52.
  const uint64_t cap = 0x19ed008c40780c66;
  const uint64_t ecap = 0x3ee9e86f050df;
  CHECK(hw::cap::kNd.Get(cap) == 6);
  CHECK(hw::cap::kFro.Get(cap) * 16 == 0x400);
  CHECK(hw::cap::kSslps.Get(cap) == 3);
  CHECK(hw::cap::kNfr.Get(cap) == 1 - 1);
  CHECK(hw::cap::kMamv.Get(cap) == 45);
  CHECK(hw::cap::kPi.Get(cap) == 1);
  CHECK(hw::ecap::kIro.Get(ecap) * 16 == 0x500);
  CHECK(hw::ecap::kMhmv.Get(ecap) == 15);
  CHECK(hw::ecap::kPss.Get(ecap) + 1 == 20);

  const UnitRules rules = MakeRules(true, cap, ecap, 52);
  CHECK(rules.capabilities_known);
  CHECK(rules.extended_capabilities_known);
  CHECK(rules.guest_address_bits == 57U);
  CHECK(rules.domain_id_bits == 16);
  CHECK(rules.address_bits == 52);
  using enum Tri;
  CHECK(rules.second_levels == std::array<Tri, 8>{kNo, kNo, kYes, kYes, kNo, kNo, kNo, kNo});
  CHECK(rules.second_leaf_allowed == std::array<Tri, 5>{kYes, kYes, kYes, kNo, kNo});
  CHECK(rules.first_leaf_allowed == std::array<Tri, 5>{kYes, kYes, kYes, kNo, kNo});
  CHECK(rules.first_five_levels == kYes);
  CHECK(rules.pass_through == kYes);
  CHECK(rules.device_tlb == kYes);
  CHECK(rules.nested == kYes);
  CHECK(rules.first_stage == kYes);
  CHECK(rules.second_stage == kYes);
  CHECK(rules.scalable_mode == kYes);
  CHECK(rules.rid_pasid == kYes);
  CHECK(rules.supervisor_requests == kYes);
  CHECK(rules.snoop_control == kYes);
  CHECK(rules.pasid == kNo);
  CHECK(rules.abort_mode == kNo);
}

TEST_CASE("capabilities of a client graphics unit: MGAW below AGAW is the normal case") {
  const uint64_t cap = 0x1c0000c40660462;
  const UnitRules rules = MakeRules(false, cap, 0x19e2ff0505e, 39);
  CHECK(rules.domain_id_bits == 8);
  CHECK(rules.guest_address_bits == 39U);
  using enum Tri;
  CHECK(rules.second_levels == std::array<Tri, 8>{kNo, kNo, kYes, kNo, kNo, kNo, kNo, kNo});
  CHECK(rules.second_leaf_allowed == std::array<Tri, 5>{kYes, kYes, kYes, kNo, kNo});
  CHECK(rules.first_leaf_allowed[2] == kYes);
  CHECK(rules.pasid == kYes);
  CHECK(rules.nested == kYes);
  CHECK(rules.scalable_mode == kNo);
  CHECK(rules.snoop_control == kNo);
  CHECK(hw::ecap::kEcs.Get(0x19e2ff0505e) == 1);
  CHECK(hw::ecap::kDis.Get(0x19e2ff0505e) == 1);
  CHECK(rules.SecondStageInputBits(4) == 39);

  const UnitRules main = MakeRules(false, 0xd2008c40660462, 0xf050da, 39);
  CHECK(main.guest_address_bits == 39U);
  CHECK(main.second_leaf_allowed == std::array<Tri, 5>{kYes, kYes, kYes, kNo, kNo});
  CHECK(main.pass_through == kYes);
  CHECK(main.snoop_control == kYes);
  CHECK(main.device_tlb == kNo);
}

TEST_CASE("the input limit is the smaller one of MGAW and the tables' width") {
  const auto rules = [](uint64_t mgaw_bits) {
    return MakeRules(false, (kRichCap & ~(uint64_t{0x3f} << 16)) | (mgaw_bits - 1) << 16);
  };
  CHECK(rules(47).SecondStageInputBits(4) == 47);
  CHECK(rules(48).SecondStageInputBits(4) == 48);
  CHECK(rules(49).SecondStageInputBits(4) == 48);
  CHECK(rules(64).SecondStageInputBits(5) == 57);
  UnitState unknown = MakeUnit(PhysAddr(0), false);
  unknown.cap = {};
  CHECK(UnitRules::For(unknown).SecondStageInputBits(3) == 39);
}

TEST_CASE("the input width of a space: first stage, second stage, the widest for pass-through") {
  const UnitRules rules = MakeRules(true, kRichCap, kServerEcap, 46);
  CHECK(rules.InputBits(SecondStage(PhysAddr(0), 3)) == 39);
  CHECK(rules.InputBits(FirstStage(PhysAddr(0), 5)) == 57);
  CHECK(rules.InputBits(Nested(PhysAddr(0), 3, PhysAddr(0), 4)) == 48);
  AddressSpace pass;
  pass.stage = Stage::kPassThrough;
  CHECK(rules.InputBits(pass) == 46);
}

TEST_CASE("domain ids wider than the unit has are reserved: last one, first one beyond") {
  for (const uint64_t nd : {0U, 2U, 5U}) {
    CAPTURE(nd);
    const UnitRules rules = MakeRules(false, (kRichCap & ~uint64_t{7}) | nd);
    const uint64_t ids = uint64_t{1} << (4 + 2 * nd);
    const auto classify = [&](uint64_t did) {
      const std::array<uint64_t, 2> raw = {0x1001, 2 | did << 8};
      return Classify(rules, EntryKind::kLegacyContext, 0, raw);
    };
    CHECK(classify(ids - 2).outcome == Outcome::kSecondStage);
    CHECK(classify(ids - 1).outcome == Outcome::kSecondStage);
    CHECK(classify(ids).outcome == Outcome::kRejected);
  }
  // 2^16 and the undefined 2^18: nothing is left to reject.
  for (const uint64_t nd : {6U, 7U}) {
    CHECK(MakeRules(false, (kRichCap & ~uint64_t{7}) | nd).domain_id_bits == 16);
  }
}

TEST_CASE("an address just inside and just beyond the host width") {
  const UnitRules rules = MakeRules(false, kRichCap, kServerEcap, 39);
  const auto outcome = [&](uint64_t address) {
    const std::array<uint64_t, 1> raw = {address | 3};
    return Classify(rules, EntryKind::kSecondStage, 1, raw).outcome;
  };
  CHECK(outcome(0x7ffffff000) == Outcome::kLeaf);
  CHECK(outcome(0x8000000000) == Outcome::kRejected);
  CHECK(outcome(0x8000001000) == Outcome::kRejected);
}

TEST_CASE("an unknown or senseless host width reserves no address bit below 52") {
  for (const unsigned haw : {0U, 31U, 52U, 53U, 64U, 1000U}) {
    CAPTURE(haw);
    const UnitRules rules = MakeRules(false, kRichCap, kServerEcap, haw);
    CHECK(rules.address_bits == 52);
    CHECK(rules.address_width_known == (haw >= 32));
  }
  CHECK(MakeRules(false, kRichCap, kServerEcap, 32).address_bits == 32);
}

TEST_CASE("claims that disagree reject nothing") {
  UnitState unit = MakeUnit(PhysAddr(0), false, kRichCap, kServerEcap, 46);
  unit.cap.Add(kRichCap, Origin::kLog, "log");
  unit.ecap.Add(kServerEcap, Origin::kLog, "log");
  CHECK(UnitRules::For(unit).capabilities_known);
  CHECK(UnitRules::For(unit).extended_capabilities_known);
  unit.cap.Add(kRichCap ^ 0x100, Origin::kLog, "log");
  unit.ecap.Add(kServerEcap ^ 0x40, Origin::kLog, "log");
  unit.host_address_width.Add(52, Origin::kLog, "log");
  CHECK_FALSE(UnitRules::For(unit).capabilities_known);
  CHECK_FALSE(UnitRules::For(unit).extended_capabilities_known);
  CHECK(UnitRules::For(unit).address_bits == 52);
}

TEST_CASE("what the user says of a register is no matter of doubt") {
  UnitState unit = MakeUnit(PhysAddr(0), false, kRichCap, kServerEcap, 46);
  unit.cap.Add(kRichCap ^ 0x100, Origin::kUser, "--unit");
  unit.ecap.Add(kServerEcap ^ 0x40, Origin::kUser, "--unit");
  CHECK(UnitRules::For(unit).capabilities_known);
  CHECK(UnitRules::For(unit).extended_capabilities_known);
  CHECK(UnitRules::For(unit).pass_through == Tri::kNo);
}

TEST_CASE("registers that no working unit has count as unknown") {
  CHECK_FALSE(MakeRules(false, 0).capabilities_known);
  CHECK_FALSE(MakeRules(false, ~uint64_t{0}).capabilities_known);
  CHECK_FALSE(MakeRules(false, kRichCap & ~uint64_t{0x0e00}).capabilities_known);
  CHECK_FALSE(MakeRules(false, kRichCap, ~uint64_t{0}).extended_capabilities_known);
  // MGAW of 31 and of 32 bits.
  constexpr uint64_t kMgaw = uint64_t{0x3f} << 16;
  CHECK_FALSE(MakeRules(false, (kRichCap & ~kMgaw) | 30 << 16).capabilities_known);
  CHECK(MakeRules(false, (kRichCap & ~kMgaw) | 31 << 16).capabilities_known);
  const UnitRules rules = MakeRules(false, 0);
  CHECK(rules.second_levels[2] == Tri::kUnknown);
  CHECK(rules.second_levels[5] == Tri::kNo);
  CHECK(rules.domain_id_bits == 16);
}

}  // namespace
}  // namespace dmaudit::test
