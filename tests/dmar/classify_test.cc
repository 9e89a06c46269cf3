// SPDX-License-Identifier: GPL-2.0-or-later
// The classifier against a second transcription of the reserved bits, written down as literals and
// sharing nothing with the field tables of src/dmar/hw.
#include "dmar/classify.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "dmar/walk_test_support.h"

namespace dmaudit::test {
namespace {

constexpr uint64_t kAll = ~uint64_t{0};
constexpr uint64_t kDtBit = 4;
constexpr uint64_t kScBit = 0x80;

struct Layout {
  std::string name;
  EntryKind kind;
  uint8_t level;
  std::vector<uint64_t> valid;
  std::vector<uint64_t> reserved;
  std::string condition;
  // Bits that turn the entry into another kind and have cases of their own.
  uint64_t other_form = 0;
};

// Everything that is reserved for a unit with this address width, 2^did_bits domains, no device-TLB
// and no snoop control.
std::vector<Layout> Layouts(unsigned haw, unsigned did_bits) {
  const uint64_t high = ~((uint64_t{1} << haw) - 1);
  const uint64_t high52 = high & 0xfffffffffffff;
  const uint64_t b62 = 0x4000000000000000;
  const uint64_t did = 0xffff00 & ~(((uint64_t{1} << did_bits) - 1) << 8);
  using K = EntryKind;
  return {
      {"root", K::kLegacyRoot, 0, {0x1001, 0}, {0xffe | high, kAll}, "LRT.3"},
      {"scalable root", K::kScalableRoot, 0, {0x1001}, {0xffe | high}, "SRT.3"},
      {"context",
       K::kLegacyContext,
       0,
       {0x1001, 2},
       {0xff0 | high, 0xffffffffff000080 | did},
       "LCT.3"},
      {"scalable context",
       K::kScalableContext,
       0,
       {0x1001, 0, 0, 0},
       {0x1e0 | high, 0xffffffffffe00000, kAll, kAll},
       "SCT.3"},
      {"directory", K::kPasidDirectory, 0, {0x1001}, {0xffc | high}, "SPD.3"},
      {"pasid",
       K::kPasidEntry,
       0,
       {0x1089, 1, 0, 0, 0, 0, 0, 0},
       {0xc00 | high, 0x7f0000, 0xf00 | high, kAll, kAll, kAll, kAll, kAll},
       "SPT.3"},
      {"ss5", K::kSecondStage, 5, {0x1003}, {0x880 | high52 | b62}, "LSL.2"},
      {"ss4", K::kSecondStage, 4, {0x1003}, {0x880 | high52 | b62}, "LSL.2"},
      {"ss3", K::kSecondStage, 3, {0x1003}, {0x800 | high52 | b62}, "LSL.2", 0x80},
      {"ss2", K::kSecondStage, 2, {0x1003}, {0x800 | high52 | b62}, "LSL.2", 0x80},
      {"ss 1G", K::kSecondStage, 3, {0x40000083}, {0x3ffff800 | high52 | b62}, "LSL.2", 0x80},
      {"ss 2M", K::kSecondStage, 2, {0x200083}, {0x1ff800 | high52 | b62}, "LSL.2", 0x80},
      {"ss 4K", K::kSecondStage, 1, {0x1003}, {0x800 | high52 | b62}, "LSL.2"},
      {"fs5", K::kFirstStage, 5, {0x1007}, {0x80 | high52}, "SFS.3"},
      {"fs4", K::kFirstStage, 4, {0x1007}, {0x80 | high52}, "SFS.3"},
      {"fs3", K::kFirstStage, 3, {0x1007}, {high52}, "SFS.3", 0x80},
      {"fs2", K::kFirstStage, 2, {0x1007}, {high52}, "SFS.3", 0x80},
      {"fs 1G", K::kFirstStage, 3, {0x40000087}, {0x3fffe000 | high52}, "SFS.3", 0x80},
      {"fs 2M", K::kFirstStage, 2, {0x200087}, {0x1fe000 | high52}, "SFS.3", 0x80},
      {"fs 4K", K::kFirstStage, 1, {0x1007}, {high52}, "SFS.3"},
  };
}

// CAP with another number of domains.
uint64_t CapWithNd(uint64_t nd) { return (kRichCap & ~uint64_t{7}) | nd; }

TEST_CASE("each reserved bit alone rejects a valid entry, each other bit does not") {
  for (const unsigned haw : {39U, 46U, 51U, 52U}) {
    for (const uint64_t nd : {2U, 6U}) {
      const UnitRules rules =
          MakeRules(false, CapWithNd(nd), (kServerEcap | kPasidBit) & ~kDtBit & ~kScBit, haw);
      for (const Layout& layout : Layouts(haw, static_cast<unsigned>(4 + 2 * nd))) {
        for (size_t word = 0; word < layout.valid.size(); ++word) {
          for (unsigned bit = 0; bit < 64; ++bit) {
            const uint64_t flip = uint64_t{1} << bit;
            if (word == 0 && (layout.other_form & flip) != 0) continue;
            std::vector<uint64_t> raw = layout.valid;
            raw[word] ^= flip;
            const EntryVerdict got = Classify(rules, layout.kind, layout.level, raw);
            CAPTURE(layout.name);
            CAPTURE(haw);
            CAPTURE(word);
            CAPTURE(bit);
            if ((layout.reserved[word] & flip) != 0) {
              CHECK(got.outcome == Outcome::kRejected);
              CHECK(got.reserved_bits());
              CHECK(got.condition == layout.condition);
              CHECK(got.word == word);
              CHECK(got.bits() == flip);
            } else {
              CHECK_FALSE((got.outcome == Outcome::kRejected && got.reserved_bits()));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("valid entries pass, all reserved bits together are named, and not-present hides them") {
  const UnitRules rules = MakeRules(false, kRichCap, (kServerEcap | kPasidBit) & ~kDtBit & ~kScBit);
  for (const Layout& layout : Layouts(46, 16)) {
    CAPTURE(layout.name);
    const EntryVerdict valid = Classify(rules, layout.kind, layout.level, layout.valid);
    CHECK(valid.outcome != Outcome::kRejected);
    CHECK(valid.outcome != Outcome::kNotPresent);
    CHECK_FALSE(valid.unsure);
    for (size_t word = 0; word < layout.valid.size(); ++word) {
      if (layout.reserved[word] == 0) continue;
      std::vector<uint64_t> raw = layout.valid;
      raw[word] |= layout.reserved[word];
      const EntryVerdict all = Classify(rules, layout.kind, layout.level, raw);
      CHECK(all.outcome == Outcome::kRejected);
      CHECK(all.bits() == layout.reserved[word]);
      raw[0] &= ~uint64_t{3};  // P, or R and W
      CHECK(Classify(rules, layout.kind, layout.level, raw).outcome == Outcome::kNotPresent);
    }
  }
}

TEST_CASE("bits whose meaning hangs on an unknown capability are accepted with a doubt") {
  UnitState unit = MakeUnit(PhysAddr(0), false);
  unit.ecap = {};
  const UnitRules rules = UnitRules::For(unit);
  const std::array<uint64_t, 1> snoop = {0x1803};
  EntryVerdict got = Classify(rules, EntryKind::kSecondStage, 1, snoop);
  CHECK(got.outcome == Outcome::kLeaf);
  CHECK(got.unsure);
  CHECK(got.bits() == 0x800);
  const std::array<uint64_t, 1> transient = {0x4000000000001003};
  got = Classify(rules, EntryKind::kSecondStage, 1, transient);
  CHECK(got.outcome == Outcome::kLeaf);
  CHECK(got.unsure);
  // Known to be there: valid beyond doubt.
  CHECK_FALSE(Classify(MakeRules(), EntryKind::kSecondStage, 1, snoop).unsure);
  // TM with device-TLB support depends on the revision.
  CHECK(Classify(MakeRules(), EntryKind::kSecondStage, 1, transient).unsure);
}

TEST_CASE("large pages need their capability, and never stand at levels 4 and 5") {
  const auto cap_with = [](uint64_t sslps, bool first_1g) {
    return (kRichCap & ~(uint64_t{15} << 34) & ~(uint64_t{1} << 56)) | sslps << 34 |
           uint64_t{first_1g} << 56;
  };
  const std::array<uint64_t, 1> second_2m = {0x200083};
  const std::array<uint64_t, 1> second_1g = {0x40000083};
  const std::array<uint64_t, 1> first_1g = {0x40000087};
  const std::array<uint64_t, 1> first_2m = {0x200087};
  const UnitRules none = MakeRules(false, cap_with(0, false));
  const UnitRules only_2m = MakeRules(false, cap_with(1, false));
  const UnitRules only_1g = MakeRules(false, cap_with(2, true));
  const auto outcome = [](const UnitRules& rules, EntryKind kind, uint8_t level, const auto& raw) {
    return Classify(rules, kind, level, raw).outcome;
  };
  CHECK(outcome(none, EntryKind::kSecondStage, 2, second_2m) == Outcome::kRejected);
  CHECK(outcome(only_2m, EntryKind::kSecondStage, 2, second_2m) == Outcome::kLeaf);
  CHECK(outcome(only_2m, EntryKind::kSecondStage, 3, second_1g) == Outcome::kRejected);
  CHECK(outcome(only_1g, EntryKind::kSecondStage, 3, second_1g) == Outcome::kLeaf);
  CHECK(outcome(only_1g, EntryKind::kSecondStage, 2, second_2m) == Outcome::kRejected);
  CHECK(outcome(none, EntryKind::kFirstStage, 2, first_2m) == Outcome::kLeaf);
  CHECK(outcome(none, EntryKind::kFirstStage, 3, first_1g) == Outcome::kRejected);
  CHECK(outcome(only_1g, EntryKind::kFirstStage, 3, first_1g) == Outcome::kLeaf);
  CHECK(outcome(only_1g, EntryKind::kSecondStage, 4, second_1g) == Outcome::kRejected);
  CHECK(outcome(only_1g, EntryKind::kFirstStage, 4, first_1g) == Outcome::kRejected);

  UnitState unknown = MakeUnit(PhysAddr(0), false);
  unknown.cap = {};
  const EntryVerdict doubtful =
      Classify(UnitRules::For(unknown), EntryKind::kSecondStage, 3, second_1g);
  CHECK(doubtful.outcome == Outcome::kLeaf);
  CHECK(doubtful.unsure);
}

TEST_CASE("leaf size, base and permissions") {
  const UnitRules rules = MakeRules();
  const std::array<uint64_t, 1> raw_1g = {0x8000300c0000b82 | 1};
  const EntryVerdict big = Classify(rules, EntryKind::kSecondStage, 3, raw_1g);
  CHECK(big.outcome == Outcome::kLeaf);
  CHECK(big.size == 0x40000000);
  CHECK(big.target == PhysAddr(0x300c0000000));
  CHECK(big.permissions == Permissions{true, true});
  const std::array<uint64_t, 1> pat = {0x80000000002010e7};  // XD, PAT of a large page, A, D
  const EntryVerdict first = Classify(rules, EntryKind::kFirstStage, 2, pat);
  CHECK(first.outcome == Outcome::kLeaf);
  CHECK(first.target == PhysAddr(0x200000));
  CHECK(first.user);
  const std::array<uint64_t, 1> kernel = {0x1001};
  const EntryVerdict supervisor = Classify(rules, EntryKind::kFirstStage, 1, kernel);
  CHECK_FALSE(supervisor.user);
  CHECK(supervisor.permissions == Permissions{true, false});
  // Bit 7 of a 4 KiB entry says nothing about its size.
  const std::array<uint64_t, 1> small = {0x1082};
  CHECK(Classify(rules, EntryKind::kSecondStage, 1, small).size == 0x1000);
  // Execute alone gives data nothing.
  const std::array<uint64_t, 1> execute = {0x1004};
  CHECK(Classify(rules, EntryKind::kSecondStage, 1, execute).outcome == Outcome::kNotPresent);
}

TEST_CASE("a plain leaf is what the whole verdict says without an objection, and nothing else") {
  UnitState unknown = MakeUnit(PhysAddr(0), false);
  unknown.ecap = {};
  uint64_t plain = 0;
  for (const UnitRules& rules :
       {MakeRules(), MakeRules(true), MakeRules(false, kRichCap, 0, 39), UnitRules::For(unknown)}) {
    const auto check = [&](uint64_t raw) {
      CAPTURE(raw);
      const EntryVerdict verdict = Classify(rules, EntryKind::kSecondStage, 1, {&raw, 1});
      const std::optional<PlainLeaf> leaf = ClassifyPlainLeaf(rules, raw);
      REQUIRE(leaf.has_value() == (verdict.outcome == Outcome::kLeaf && !verdict.unsure));
      if (!leaf) return;
      ++plain;
      CHECK(leaf->target == verdict.target);
      CHECK(leaf->permissions == verdict.permissions);
      CHECK(verdict.size == 0x1000);
    };
    // Each bit alone and each pair of them, beside nothing, R, W and both.
    for (uint64_t permissions = 0; permissions < 4; ++permissions) {
      for (unsigned one = 0; one < 64; ++one) {
        for (unsigned other = one; other < 64; ++other) {
          check(permissions | uint64_t{1} << one | uint64_t{1} << other);
        }
      }
    }
  }
  CHECK(plain > 1000);
}

TEST_CASE("translation types of a legacy context entry") {
  const auto classify = [](const UnitRules& rules, uint64_t tt, uint64_t aw) {
    const std::array<uint64_t, 2> raw = {0x1001 | tt << 2, aw | 0x500};
    return Classify(rules, EntryKind::kLegacyContext, 0, raw);
  };
  const UnitRules rules = MakeRules();
  CHECK(classify(rules, 0, 2).outcome == Outcome::kSecondStage);
  CHECK(classify(rules, 0, 2).did == DomainId{5});
  CHECK(classify(rules, 0, 2).levels == 4);
  CHECK_FALSE(classify(rules, 0, 2).device_tlb);
  CHECK(classify(rules, 1, 2).device_tlb);
  CHECK(classify(rules, 2, 2).outcome == Outcome::kPassThrough);
  CHECK(classify(rules, 3, 2).condition == "LCT.4.2");
  // AW 0 and 4 to 7 beside the three widths that exist.
  for (const uint64_t aw : {0U, 4U, 5U, 6U, 7U})
    CHECK(classify(rules, 0, aw).condition == "LCT.4.1");
  for (const uint64_t aw : {1U, 2U, 3U}) CHECK(classify(rules, 0, aw).levels == aw + 2);
  // A width that this unit lacks; pass-through does not look at it.
  const UnitRules only_48 = MakeRules(false, (kRichCap & ~uint64_t{0x1f00}) | 0x400);
  CHECK(classify(only_48, 0, 1).condition == "LCT.4.1");
  CHECK(classify(only_48, 0, 2).outcome == Outcome::kSecondStage);
  CHECK(classify(only_48, 0, 3).condition == "LCT.4.1");
  CHECK(classify(only_48, 2, 1).outcome == Outcome::kPassThrough);
  // Widths of the first revisions, claimed: not walked, and that is said.
  const UnitRules obsolete = MakeRules(false, kRichCap | 0x1100);
  CHECK(classify(obsolete, 0, 0).outcome == Outcome::kUnsupported);
  CHECK(classify(obsolete, 0, 4).outcome == Outcome::kUnsupported);
  // Without the capability the type is refused.
  CHECK(classify(MakeRules(false, kRichCap, kServerEcap & ~uint64_t{4}), 1, 2).condition ==
        "LCT.4.2");
  CHECK(classify(MakeRules(false, kRichCap, kServerEcap & ~uint64_t{0x40}), 2, 2).condition ==
        "LCT.4.2");
}

TEST_CASE("translation types of a PASID entry") {
  const auto classify = [](const UnitRules& rules, uint64_t pgtt, uint64_t aw, uint64_t fspm) {
    const std::array<uint64_t, 8> raw = {0x1001 | aw << 2 | pgtt << 6, 0x7, 0x2000 | fspm << 2};
    return Classify(rules, EntryKind::kPasidEntry, 0, raw);
  };
  const UnitRules rules = MakeRules(true);
  CHECK(classify(rules, 1, 0, 0).outcome == Outcome::kFirstStage);
  CHECK(classify(rules, 1, 0, 0).first_levels == 4);
  CHECK(classify(rules, 1, 0, 0).first_target == PhysAddr(0x2000));
  CHECK(classify(rules, 1, 0, 1).first_levels == 5);
  CHECK(classify(rules, 1, 0, 2).condition == "SPT.4");
  CHECK(classify(rules, 2, 3, 3).outcome == Outcome::kSecondStage);
  CHECK(classify(rules, 2, 3, 3).levels == 5);
  CHECK(classify(rules, 2, 4, 0).condition == "SPT.4");
  CHECK(classify(rules, 3, 2, 1).outcome == Outcome::kNested);
  CHECK(classify(rules, 3, 0, 1).condition == "SPT.4");
  CHECK(classify(rules, 4, 0, 3).outcome == Outcome::kPassThrough);
  for (const uint64_t pgtt : {0U, 5U, 6U, 7U})
    CHECK(classify(rules, pgtt, 2, 0).condition == "SPT.4");
  const auto without = [&](uint64_t ecap_bit) {
    return MakeRules(true, kRichCap, (kServerEcap | kPasidBit) & ~ecap_bit);
  };
  CHECK(classify(without(uint64_t{1} << 47), 1, 0, 0).outcome == Outcome::kRejected);
  CHECK(classify(without(uint64_t{1} << 46), 2, 2, 0).outcome == Outcome::kRejected);
  CHECK(classify(without(uint64_t{1} << 26), 3, 2, 0).outcome == Outcome::kRejected);
  CHECK(classify(without(0x40), 4, 0, 0).outcome == Outcome::kRejected);
  const UnitRules no_5 = MakeRules(true, kRichCap & ~(uint64_t{1} << 60));
  CHECK(classify(no_5, 1, 0, 0).outcome == Outcome::kFirstStage);
  CHECK(classify(no_5, 1, 0, 1).condition == "SPT.4");
}

TEST_CASE("an explanation names bits, value, condition and the raw word") {
  const std::array<uint64_t, 2> raw = {0x1031, 2};
  CHECK(Explain(Classify(MakeRules(), EntryKind::kLegacyContext, 0, raw)) ==
        "reserved bits 11:4 are 0x3, expected 0 (LCT.3), quadword 0 is 0x1031");
  const std::array<uint64_t, 2> width = {0x1001, 4};
  CHECK(Explain(Classify(MakeRules(), EntryKind::kLegacyContext, 0, width)) ==
        "address width not supported: bits 2:0 are 0x4 (LCT.4.1), quadword 1 is 0x4");
  const std::array<uint64_t, 2> zero = {0x1001, 0};
  CHECK(Explain(Classify(MakeRules(), EntryKind::kLegacyContext, 0, zero)) ==
        "address width not supported: bits 2:0 are 0x0 (LCT.4.1), quadword 1 is 0x0");
  const std::array<uint64_t, 2> all = {0x1001 | 0xffff000000000000, 2};
  CHECK(Explain(Classify(MakeRules(), EntryKind::kLegacyContext, 0, all)) ==
        "reserved bits 63:46 are 0x3fffc, expected 0 (LCT.3), quadword 0 is 0xffff000000001001");
}

}  // namespace
}  // namespace dmaudit::test
