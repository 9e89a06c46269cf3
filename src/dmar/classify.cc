// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/classify.h"

#include <fmt/format.h>

#include <bit>
#include <optional>

#include "base/bits.h"
#include "dmar/hw/first_stage_entry.h"
#include "dmar/hw/legacy_context_entry.h"
#include "dmar/hw/legacy_root_entry.h"
#include "dmar/hw/pasid_directory_entry.h"
#include "dmar/hw/pasid_entry.h"
#include "dmar/hw/scalable_context_entry.h"
#include "dmar/hw/scalable_root_entry.h"
#include "dmar/hw/second_stage_entry.h"

namespace dmaudit {
namespace {

constexpr std::string_view kReservedBits = EntryVerdict::kReservedBits;

// Builds one verdict, first reason first: a rejection ends it, a doubt is kept and reading goes on.
class Verdict {
 public:
  // Returns false when the entry is rejected.
  bool CheckReserved(const ReservedBits& reserved, uint8_t word, uint64_t raw,
                     std::string_view condition) {
    if ((raw & reserved.certain) != 0) {
      Reject(condition, kReservedBits, word, raw, reserved.certain);
      return false;
    }
    if ((raw & reserved.doubtful) != 0) {
      Doubt(condition, kReservedBits, word, raw, reserved.doubtful);
    }
    return true;
  }

  // Returns false when the capability is known to be absent.
  bool Require(Tri capability, std::string_view condition, std::string_view reason, uint8_t word,
               uint64_t raw, const Field& field) {
    if (capability == Tri::kNo) {
      Reject(condition, reason, word, raw, field.mask());
      return false;
    }
    if (capability == Tri::kUnknown) Doubt(condition, reason, word, raw, field.mask());
    return true;
  }

  void Reject(std::string_view condition, std::string_view reason, uint8_t word, uint64_t raw,
              uint64_t mask) {
    verdict_.outcome = Outcome::kRejected;
    verdict_.unsure = false;
    Explain(condition, reason, word, raw, mask);
  }
  void Unsupported(std::string_view condition, std::string_view reason, uint8_t word, uint64_t raw,
                   uint64_t mask) {
    Reject(condition, reason, word, raw, mask);
    verdict_.outcome = Outcome::kUnsupported;
  }
  void Doubt(std::string_view condition, std::string_view reason, uint8_t word, uint64_t raw,
             uint64_t mask) {
    if (verdict_.unsure) return;
    verdict_.unsure = true;
    Explain(condition, reason, word, raw, mask);
  }

  EntryVerdict& operator*() { return verdict_; }
  EntryVerdict* operator->() { return &verdict_; }

 private:
  void Explain(std::string_view condition, std::string_view reason, uint8_t word, uint64_t raw,
               uint64_t mask) {
    verdict_.condition = condition;
    verdict_.reason = reason;
    verdict_.word = word;
    verdict_.raw = raw;
    verdict_.mask = mask;
  }

  EntryVerdict verdict_;
};

PhysAddr AddressIn(const Field& field, uint64_t raw) { return PhysAddr(raw & field.mask()); }

EntryVerdict ClassifyLegacyRoot(const UnitRules& rules, std::span<const uint64_t> raw) {
  Verdict v;
  if (hw::legacy_root::kP.Get(raw[0]) == 0) return *v;
  for (uint8_t i = 0; i < 2; ++i) {
    if (!v.CheckReserved(rules.legacy_root[i], i, raw[i], "LRT.3")) return *v;
  }
  v->outcome = Outcome::kTable;
  v->target = AddressIn(hw::legacy_root::kCtp, raw[0]);
  return *v;
}

EntryVerdict ClassifyScalableRoot(const UnitRules& rules, std::span<const uint64_t> raw) {
  Verdict v;
  if (hw::scalable_root::kP.Get(raw[0]) == 0) return *v;
  if (!v.CheckReserved(rules.scalable_root, 0, raw[0], "SRT.3")) return *v;
  v->outcome = Outcome::kTable;
  v->target = AddressIn(hw::scalable_root::kCtp, raw[0]);
  return *v;
}

// Second-stage levels for a value of AW that was read from quadword `word`.
bool SetSecondStage(Verdict& v, const UnitRules& rules, uint64_t aw, const Field& field,
                    std::string_view condition, uint8_t word, uint64_t raw) {
  constexpr std::string_view kReason = "address width not supported";
  const Tri supported = rules.second_levels[static_cast<size_t>(aw)];
  if (!v.Require(supported, condition, kReason, word, raw, field)) return false;
  const auto levels = static_cast<uint8_t>(aw + 2);
  if (levels < 3 || levels > UnitRules::kMaxLevels) {
    // A unit that claims the 30-bit or 64-bit width of the first revisions. With unknown
    // capabilities it is not such a unit.
    if (supported == Tri::kUnknown) {
      v.Reject(condition, kReason, word, raw, field.mask());
    } else {
      v.Unsupported(condition, "30-bit and 64-bit tables are not walked", word, raw, field.mask());
    }
    return false;
  }
  v->levels = levels;
  return true;
}

EntryVerdict ClassifyLegacyContext(const UnitRules& rules, std::span<const uint64_t> raw) {
  namespace lc = hw::legacy_context;
  Verdict v;
  if (lc::kP.Get(raw[0]) == 0) return *v;
  for (uint8_t i = 0; i < 2; ++i) {
    if (!v.CheckReserved(rules.legacy_context[i], i, raw[i], "LCT.3")) return *v;
  }
  v->did = DomainId{static_cast<uint16_t>(lc::kDid.Get(raw[1]))};
  switch (lc::kTt.Get(raw[0])) {
    case lc::kTtPassThrough:
      // AW should be the largest supported width; what hardware does with another one is not
      // settled (LGN.1.3), so the device may get through.
      if (!v.Require(rules.pass_through, "LCT.4.2", "pass-through not supported", 0, raw[0],
                     lc::kTt)) {
        return *v;
      }
      v->outcome = Outcome::kPassThrough;
      return *v;
    case lc::kTtTablesAndDeviceTlb:
      if (!v.Require(rules.device_tlb, "LCT.4.2", "device-TLB not supported", 0, raw[0], lc::kTt)) {
        return *v;
      }
      v->device_tlb = true;
      break;
    case lc::kTtTables:
      break;
    default:
      v.Reject("LCT.4.2", "translation type is not defined", 0, raw[0], lc::kTt.mask());
      return *v;
  }
  if (!SetSecondStage(v, rules, lc::kAw.Get(raw[1]), lc::kAw, "LCT.4.1", 1, raw[1])) return *v;
  v->outcome = Outcome::kSecondStage;
  v->target = AddressIn(lc::kSsptptr, raw[0]);
  return *v;
}

EntryVerdict ClassifyScalableContext(const UnitRules& rules, std::span<const uint64_t> raw) {
  namespace sc = hw::scalable_context;
  Verdict v;
  if (sc::kP.Get(raw[0]) == 0) return *v;
  for (uint8_t i = 0; i < 4; ++i) {
    if (!v.CheckReserved(rules.scalable_context[i], i, raw[i], "SCT.3")) return *v;
  }
  // SCT.4 rejects invalid programming; which fields it looks at is not known, so none is held
  // against the entry.
  if (sc::kDte.Get(raw[0]) != 0 && rules.device_tlb != Tri::kYes) {
    v.Doubt("SCT.4", "device-TLB enabled without support", 0, raw[0], sc::kDte.mask());
  }
  if (sc::kPaside.Get(raw[0]) != 0 && rules.pasid != Tri::kYes) {
    v.Doubt("SCT.4", "PASID enabled without support", 0, raw[0], sc::kPaside.mask());
  }
  if (sc::kPre.Get(raw[0]) != 0 && rules.page_requests != Tri::kYes) {
    v.Doubt("SCT.4", "page requests enabled without support", 0, raw[0], sc::kPre.mask());
  }
  v->outcome = Outcome::kTable;
  v->target = AddressIn(sc::kPasiddirptr, raw[0]);
  v->device_tlb = sc::kDte.Get(raw[0]) != 0;
  return *v;
}

EntryVerdict ClassifyPasidDirectory(const UnitRules& rules, std::span<const uint64_t> raw) {
  Verdict v;
  if (hw::pasid_directory::kP.Get(raw[0]) == 0) return *v;
  if (!v.CheckReserved(rules.pasid_directory, 0, raw[0], "SPD.3")) return *v;
  v->outcome = Outcome::kTable;
  v->target = AddressIn(hw::pasid_directory::kSmptblptr, raw[0]);
  return *v;
}

bool SetFirstStage(Verdict& v, const UnitRules& rules, std::span<const uint64_t> raw) {
  namespace pe = hw::pasid;
  const uint64_t mode = pe::kFspm.Get(raw[2]);
  if (mode >= 2) {
    v.Reject("SPT.4", "first-stage paging mode is not defined", 2, raw[2], pe::kFspm.mask());
    return false;
  }
  if (mode == 1 && !v.Require(rules.first_five_levels, "SPT.4", "5-level first stage not supported",
                              2, raw[2], pe::kFspm)) {
    return false;
  }
  v->first_levels = mode == 1 ? 5 : 4;
  v->first_target = AddressIn(pe::kFsptptr, raw[2]);
  return true;
}

EntryVerdict ClassifyPasidEntry(const UnitRules& rules, std::span<const uint64_t> raw) {
  namespace pe = hw::pasid;
  Verdict v;
  if (pe::kP.Get(raw[0]) == 0) return *v;
  for (uint8_t i = 0; i < 8; ++i) {
    if (!v.CheckReserved(rules.pasid_entry[i], i, raw[i], "SPT.3")) return *v;
  }
  v->did = DomainId{static_cast<uint16_t>(pe::kDid.Get(raw[1]))};
  const auto set_second = [&] {
    v->target = AddressIn(pe::kSsptptr, raw[0]);
    return SetSecondStage(v, rules, pe::kAw.Get(raw[0]), pe::kAw, "SPT.4", 0, raw[0]);
  };
  const auto require = [&](Tri capability, std::string_view reason) {
    return v.Require(capability, "SPT.4", reason, 0, raw[0], pe::kPgtt);
  };
  switch (pe::kPgtt.Get(raw[0])) {
    case pe::kPgttFirst:
      if (!require(rules.first_stage, "first stage not supported")) return *v;
      if (!SetFirstStage(v, rules, raw)) return *v;
      v->outcome = Outcome::kFirstStage;
      return *v;
    case pe::kPgttSecond:
      if (!require(rules.second_stage, "second stage not supported")) return *v;
      if (!set_second()) return *v;
      v->outcome = Outcome::kSecondStage;
      return *v;
    case pe::kPgttNested:
      if (!require(rules.nested, "nested translation not supported")) return *v;
      if (!set_second() || !SetFirstStage(v, rules, raw)) return *v;
      v->outcome = Outcome::kNested;
      return *v;
    case pe::kPgttPassThrough:
      if (!require(rules.pass_through, "pass-through not supported")) return *v;
      v->outcome = Outcome::kPassThrough;
      return *v;
    default:
      v.Reject("SPT.4", "translation type is not defined", 0, raw[0], pe::kPgtt.mask());
      return *v;
  }
}

// The part that both stages share: table or leaf, and its reserved bits. `large` is PS.
void FinishPaging(Verdict& v, uint8_t level, uint64_t raw, bool large, uint64_t address_mask,
                  Tri leaf_allowed, const ReservedBits& table, const ReservedBits& leaf,
                  std::string_view condition) {
  const bool is_leaf = level == 1 || (large && level <= 3);
  if (is_leaf && level > 1 &&
      !v.Require(leaf_allowed, condition, "page size not supported", 0, raw,
                 hw::second_stage::kPs)) {
    return;
  }
  if (!v.CheckReserved(is_leaf ? leaf : table, 0, raw, condition)) return;
  if (!is_leaf) {
    v->outcome = Outcome::kTable;
    v->target = PhysAddr(raw & address_mask);
    return;
  }
  v->outcome = Outcome::kLeaf;
  v->size = uint64_t{1} << (12 + 9 * (level - 1U));
  v->target = PhysAddr(raw & address_mask & ~(v->size - 1));
}

EntryVerdict ClassifySecondStage(const UnitRules& rules, uint8_t level, uint64_t raw) {
  namespace ss = hw::second_stage;
  Verdict v;
  v->permissions = {ss::kR.Get(raw) != 0, ss::kW.Get(raw) != 0};
  if (!IsPresentInSecondStage(raw)) return *v;
  const size_t i = level - 1U;
  FinishPaging(v, level, raw, ss::kPs.Get(raw) != 0, ss::kAddress.mask(),
               rules.second_leaf_allowed[i], rules.second_table[i], rules.second_leaf[i],
               rules.scalable ? "SSS.3" : "LSL.2");
  return *v;
}

EntryVerdict ClassifyFirstStage(const UnitRules& rules, uint8_t level, uint64_t raw) {
  namespace fs = hw::first_stage;
  Verdict v;
  if (fs::kP.Get(raw) == 0) return *v;
  v->permissions = {true, fs::kRw.Get(raw) != 0};
  v->user = fs::kUs.Get(raw) != 0;
  const size_t i = level - 1U;
  FinishPaging(v, level, raw, fs::kPs.Get(raw) != 0, fs::kAddress.mask(),
               rules.first_leaf_allowed[i], rules.first_table[i], rules.first_leaf[i], "SFS.3");
  return *v;
}

}  // namespace

EntryVerdict Classify(const UnitRules& rules, EntryKind kind, uint8_t level,
                      std::span<const uint64_t> raw) {
  switch (kind) {
    case EntryKind::kLegacyRoot:
      return ClassifyLegacyRoot(rules, raw);
    case EntryKind::kScalableRoot:
      return ClassifyScalableRoot(rules, raw);
    case EntryKind::kLegacyContext:
      return ClassifyLegacyContext(rules, raw);
    case EntryKind::kScalableContext:
      return ClassifyScalableContext(rules, raw);
    case EntryKind::kPasidDirectory:
      return ClassifyPasidDirectory(rules, raw);
    case EntryKind::kPasidEntry:
      return ClassifyPasidEntry(rules, raw);
    case EntryKind::kSecondStage:
      return ClassifySecondStage(rules, level, raw[0]);
    case EntryKind::kFirstStage:
      return ClassifyFirstStage(rules, level, raw[0]);
  }
  return {};
}

std::string Explain(const EntryVerdict& verdict) {
  // The run of masked bits that holds the lowest offending one, or the lowest run when none is set.
  const uint64_t offending = verdict.bits() != 0 ? verdict.bits() : verdict.mask;
  unsigned low = offending == 0 ? 0 : static_cast<unsigned>(std::countr_zero(offending));
  while (low > 0 && (verdict.mask >> (low - 1) & 1) != 0) --low;
  const auto width = static_cast<uint8_t>(std::countr_one(verdict.mask >> low));
  const Field run{static_cast<uint8_t>(width == 0 ? low : low + width - 1U),
                  static_cast<uint8_t>(low), "run"};
  const std::string place =
      run.high == run.low ? fmt::format("{}", run.low) : fmt::format("{}:{}", run.high, run.low);
  std::string out =
      verdict.reason == kReservedBits
          ? fmt::format("{} {} are {:#x}, expected 0", verdict.reason, place, run.Get(verdict.raw))
          : fmt::format("{}: bits {} are {:#x}", verdict.reason, place, run.Get(verdict.raw));
  if (!verdict.condition.empty()) out += fmt::format(" ({})", verdict.condition);
  return out + fmt::format(", quadword {} is {:#x}", verdict.word, verdict.raw);
}

}  // namespace dmaudit
