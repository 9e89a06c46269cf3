// SPDX-License-Identifier: GPL-2.0-or-later
// What tests of the walk share: units, a collecting visitor, and checks that hold after every walk.
#ifndef DMAUDIT_TESTS_DMAR_WALK_TEST_SUPPORT_H_
#define DMAUDIT_TESTS_DMAR_WALK_TEST_SUPPORT_H_

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "dmar/walk.h"
#include "support/table_builder.h"

namespace dmaudit::test {

// 39, 48 and 57 bits of second stage, MGAW 57, 16-bit domain ids, all page sizes, both first
// stages.
inline constexpr uint64_t kRichCap = 0x19ed008c40780e66;
// The scalable-mode server of the fact sheet: C QI DT IR EIM PT SC, NEST, SLTS, FLTS, SMTS, RPS,
// ...
inline constexpr uint64_t kServerEcap = 0x3ee9e86f050df;
inline constexpr uint64_t kPasidBit = uint64_t{1} << 40;

inline UnitState MakeUnit(PhysAddr root, bool scalable, uint64_t cap = kRichCap,
                          uint64_t ecap = kServerEcap | kPasidBit, unsigned haw = 46) {
  UnitState unit;
  unit.name = "dmar0";
  unit.cap = Known<uint64_t>(cap, Origin::kKernelShadow, "test");
  unit.ecap = Known<uint64_t>(ecap, Origin::kKernelShadow, "test");
  unit.rtaddr =
      Known<uint64_t>(root.value() | (scalable ? 0x400U : 0U), Origin::kKernelShadow, "test");
  unit.host_address_width = Known<unsigned>(haw, Origin::kKernelShadow, "test");
  return unit;
}

inline UnitRules MakeRules(bool scalable = false, uint64_t cap = kRichCap,
                           uint64_t ecap = kServerEcap | kPasidBit, unsigned haw = 46) {
  return UnitRules::For(MakeUnit(PhysAddr(0), scalable, cap, ecap, haw));
}

struct Row {
  uint64_t iova;
  uint64_t size;
  uint64_t pa;
  std::string perm;
  friend bool operator==(const Row&, const Row&) = default;
};
inline std::ostream& operator<<(std::ostream& out, const Row& row) {
  return out << fmt::format("{{{:#x}, {:#x}, {:#x}, {}}}", row.iova, row.size, row.pa, row.perm);
}

inline Row ToRow(const LiveRange& range) {
  return {range.iova.value(), range.size, range.pa.value(),
          std::string(ToString(range.permissions))};
}

class Collector : public RangeVisitor {
 public:
  bool OnTableVisit(const TableVisit& visit) override {
    visits.push_back(visit);
    ++open;
    return true;
  }
  void OnTableDone(const TableRoot&) override { --open; }
  void OnLeaf(const LivePiece& piece) override { pieces.push_back(piece); }
  bool OnRange(const LiveRange& range) override {
    rows.push_back(ToRow(range));
    return true;
  }
  void OnBound(const LiveRange& range) override { bound.push_back(ToRow(range)); }

  std::vector<TableVisit> visits;
  std::vector<LivePiece> pieces;
  std::vector<Row> rows;
  std::vector<Row> bound;
  int open = 0;
};

struct SpaceResult {
  WalkAccounting accounting;
  Collector collected;
  DiagnosticSink sink;
  const std::vector<Row>& rows() const { return collected.rows; }
};

// Ranges ascend, do not overlap, are maximal; every table entered was left; the counts close.
inline void CheckInvariants(const WalkAccounting& accounting, const Collector& collected) {
  CHECK(accounting.Closes());
  CHECK(collected.open == 0);
  for (size_t i = 1; i < collected.rows.size(); ++i) {
    const Row& before = collected.rows[i - 1];
    const Row& row = collected.rows[i];
    CHECK(before.iova + (before.size - 1) < row.iova);
    CHECK_FALSE((before.iova + before.size == row.iova && before.pa + before.size == row.pa &&
                 before.perm == row.perm));
  }
}

inline SpaceResult Walk(const AddressSpace& space, const UnitRules& rules,
                        const PhysicalMemory& memory) {
  SpaceResult result;
  MemorySession session(memory);
  result.accounting = WalkAddressSpace(space, rules, session, result.sink, result.collected);
  CheckInvariants(result.accounting, result.collected);
  return result;
}

inline AddressSpace SecondStage(PhysAddr top, uint8_t levels) {
  AddressSpace space;
  space.stage = Stage::kSecond;
  space.second = TableRoot{top, levels};
  return space;
}
inline AddressSpace FirstStage(PhysAddr top, uint8_t levels) {
  AddressSpace space;
  space.stage = Stage::kFirst;
  space.first = TableRoot{top, levels};
  return space;
}
inline AddressSpace Nested(PhysAddr second, uint8_t second_levels, PhysAddr first,
                           uint8_t first_levels) {
  AddressSpace space;
  space.stage = Stage::kNested;
  space.second = TableRoot{second, second_levels};
  space.first = TableRoot{first, first_levels};
  return space;
}

struct UnitResult {
  WalkAccounting accounting;
  std::vector<Attachment> attachments;
  DiagnosticSink sink;
};

inline UnitResult WalkUnit(const UnitState& unit, const PhysicalMemory& memory) {
  UnitResult result;
  MemorySession session(memory);
  const UnitRules rules = UnitRules::For(unit);
  const Result<WalkAccounting> walked =
      WalkAttachments(unit, rules, session, result.sink, [&](const Attachment& attachment) {
        result.attachments.push_back(attachment);
        return true;
      });
  REQUIRE(walked.has_value());
  result.accounting = *walked;
  CHECK(result.accounting.Closes());
  return result;
}

inline void CheckNoDiagnostics(const DiagnosticSink& sink) {
  for (const Diagnostic& diagnostic : sink.diagnostics()) {
    FAIL_CHECK(diagnostic.id, ": ", diagnostic.message);
  }
}

// Exactly one diagnostic, with this id, effect and text.
inline void CheckOnly(const DiagnosticSink& sink, std::string_view id, Effect effect,
                      std::string_view message) {
  REQUIRE(sink.diagnostics().size() == 1);
  CHECK(sink.diagnostics()[0].id == id);
  CHECK((sink.diagnostics()[0].effect == effect));
  CHECK(sink.diagnostics()[0].message == message);
}

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_DMAR_WALK_TEST_SUPPORT_H_
