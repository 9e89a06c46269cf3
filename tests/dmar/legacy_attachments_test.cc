// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include "dmar/walk_test_support.h"

namespace dmaudit::test {
namespace {

// One function, 00:1f.2, translated by three levels.
struct OneFunction {
  FakeMemory memory;
  TableBuilder build{memory};
  PhysAddr root = build.NewPage();
  PhysAddr top = build.NewPage();
  PhysAddr context = build.AttachLegacy(root, 0, 0xfa, top, 3, 5);

  UnitResult Walk() { return WalkUnit(MakeUnit(root, false), memory); }
};

TEST_CASE("functions come in bus and function order with what translates them") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr root = build.NewPage();
  const PhysAddr top = build.NewPage();
  build.AttachLegacy(root, 255, 255, top, 5, 0xffff);
  build.AttachLegacy(root, 0, 0, top, 3, 0);
  const PhysAddr with_tlb = build.AttachLegacy(root, 0, 8, top, 4, 7);
  build.Xor(with_tlb, 1 << 2);
  const PhysAddr through = build.AttachLegacy(root, 2, 0x10, PhysAddr(0), 4, 1);
  build.Xor(through, 2 << 2);
  UnitState unit = MakeUnit(root, false);
  unit.segment = 3;
  const UnitResult got = WalkUnit(unit, memory);
  CheckNoDiagnostics(got.sink);
  REQUIRE(got.attachments.size() == 4);
  const auto& first = got.attachments[0];
  CHECK(first.bdf == Bdf{3, 0, 0});
  CHECK_FALSE(first.pasid);
  CHECK(first.without_pasid);
  CHECK(first.space.stage == Stage::kSecond);
  CHECK(first.space.second == TableRoot{top, 3});
  CHECK(first.address_width == 39);
  CHECK_FALSE(first.device_tlb);
  CHECK(got.attachments[1].bdf == Bdf{3, 0, 8});
  CHECK(got.attachments[1].device_tlb);
  CHECK(got.attachments[1].space.did == DomainId{7});
  REQUIRE(got.attachments[1].path.size() == 2);
  CHECK(got.attachments[1].path[0].kind == "root");
  CHECK(got.attachments[1].path[0].address == root);
  CHECK(got.attachments[1].path[1].kind == "context");
  CHECK(got.attachments[1].path[1].address == with_tlb);
  CHECK(got.attachments[1].path[1].raw == (top.value() | 5));
  CHECK(got.attachments[1].path[1].raw_high == 0x702);
  CHECK(got.attachments[2].bdf == Bdf{3, 2, 0x10});
  CHECK(got.attachments[2].space.stage == Stage::kPassThrough);
  CHECK_FALSE(got.attachments[2].space.second);
  CHECK(got.attachments[2].address_width == 46);
  CHECK(got.attachments[3].bdf == Bdf{3, 255, 255});
  CHECK(got.attachments[3].space.did == DomainId{0xffff});
  CHECK(got.attachments[3].address_width == 57);
  CHECK(got.accounting ==
        WalkAccounting{
            .visited = 256 + 3 * 256, .tables = 3, .leaves = 4, .not_present = 4 * 256 - 7});
}

TEST_CASE("equal tables and tag make equal spaces") {
  OneFunction t;
  t.build.AttachLegacy(t.root, 1, 0, t.top, 3, 5);
  t.build.AttachLegacy(t.root, 1, 1, t.top, 3, 6);
  const UnitResult got = t.Walk();
  REQUIRE(got.attachments.size() == 3);
  CHECK(got.attachments[0].space == got.attachments[1].space);
  CHECK(got.attachments[0].space != got.attachments[2].space);
}

TEST_CASE("one mutation each of root and context") {
  SUBCASE("root not present") {
    OneFunction t;
    t.build.Xor(t.root, 1);
    const UnitResult got = t.Walk();
    CHECK(got.attachments.empty());
    CheckNoDiagnostics(got.sink);
  }
  SUBCASE("reserved bit of the root entry") {
    OneFunction t;
    t.build.Xor(PhysAddr(t.root.value() + 8), 1);
    const UnitResult got = t.Walk();
    CHECK(got.attachments.empty());
    CHECK(got.accounting.rejected == 1);
    CheckOnly(got.sink, "walk.reserved-bits", Effect::kNote,
              "dmar0: root table 0x100000: entry 0x0: reserved bits 63:0 are 0x1, expected 0 "
              "(LRT.3), quadword 1 is 0x1");
  }
  SUBCASE("reserved bits of the context entry") {
    OneFunction t;
    t.build.Xor(t.context, 0x30);
    const UnitResult got = t.Walk();
    CHECK(got.attachments.empty());
    CheckOnly(got.sink, "walk.reserved-bits", Effect::kNote,
              "dmar0: context table 0x102000: entry 0xfa: reserved bits 11:4 are 0x3, expected 0 "
              "(LCT.3), quadword 0 is 0x101031");
  }
  SUBCASE("undefined translation type") {
    OneFunction t;
    t.build.Xor(t.context, 3 << 2);
    const UnitResult got = t.Walk();
    CHECK(got.attachments.empty());
    CheckOnly(
        got.sink, "walk.unsupported", Effect::kNote,
        "dmar0: context table 0x102000: entry 0xfa: translation type is not defined: bits 3:2 "
        "are 0x3 (LCT.4.2), quadword 0 is 0x10100d");
  }
  SUBCASE("the mark that a capture kernel leaves is ignored by hardware") {
    OneFunction t;
    t.build.Xor(PhysAddr(t.context.value() + 8), 8);
    CHECK(t.Walk().attachments.size() == 1);
  }
  SUBCASE("unreadable root table") {
    OneFunction t;
    t.memory.SetPageState(t.root, ByteState::kExcluded);
    const UnitResult got = t.Walk();
    CHECK(got.attachments.empty());
    CHECK(got.accounting == WalkAccounting{.visited = 256, .unreadable = 256});
    CHECK(got.sink.incomplete());
    CHECK(got.sink.diagnostics()[0].id == "walk.unreadable");
  }
  SUBCASE("context table outside the dump") {
    OneFunction t;
    t.build.Set(t.root, 0x3ff00000001);
    const UnitResult got = t.Walk();
    CHECK(got.accounting.unreadable == 256);
    CHECK(got.sink.incomplete());
    CHECK(got.sink.diagnostics()[0].id == "walk.wild-pointer");
  }
  SUBCASE("half of a context entry redacted") {
    OneFunction t;
    t.memory.SetState(PhysAddr(t.context.value() + 8), 8, ByteState::kRedacted);
    const UnitResult got = t.Walk();
    CHECK(got.attachments.empty());
    CHECK(got.accounting.unreadable == 1);
    CHECK(got.sink.incomplete());
  }
}

TEST_CASE("a form that is legal but not walked leaves the audit incomplete") {
  OneFunction t;
  t.build.Set(PhysAddr(t.context.value() + 8), 0x500);  // AW 0: 30 bits
  const UnitResult got = WalkUnit(MakeUnit(t.root, false, kRichCap | 0x100), t.memory);
  CHECK(got.attachments.empty());
  REQUIRE(got.sink.diagnostics().size() == 1);
  CHECK(got.sink.diagnostics()[0].id == "walk.unsupported");
  CHECK(got.sink.incomplete());
}

TEST_CASE("unknown capabilities drop nothing") {
  OneFunction t;
  t.build.Xor(t.context, 2 << 2);
  UnitState unit = MakeUnit(t.root, false);
  unit.cap = {};
  unit.ecap = {};
  unit.host_address_width = {};
  const UnitResult got = WalkUnit(unit, t.memory);
  REQUIRE(got.attachments.size() == 1);
  CHECK(got.attachments[0].space.stage == Stage::kPassThrough);
  CHECK_FALSE(got.sink.incomplete());
  REQUIRE(got.sink.diagnostics().size() == 3);
  CHECK(got.sink.diagnostics()[0].message ==
        "dmar0: CAP and ECAP are not known: everything that some unit could accept is taken as "
        "valid");
  CHECK(got.sink.diagnostics()[2].id == "walk.doubtful");
}

TEST_CASE("table modes: abort blocks all, the extended one is refused by name") {
  OneFunction t;
  UnitState unit = MakeUnit(t.root, false);
  unit.rtaddr = Known<uint64_t>(t.root.value() | 0xc00, Origin::kUser, "test");
  const UnitResult abort = WalkUnit(unit, t.memory);
  CHECK(abort.attachments.empty());
  CHECK(abort.accounting == WalkAccounting{});
  CheckOnly(abort.sink, "walk.abort-mode", Effect::kNote,
            "dmar0: RTADDR 0x100c00 selects abort mode: every request is blocked");

  MemorySession session(t.memory);
  DiagnosticSink sink;
  const auto fail = [&](const UnitState& state) {
    const Result<WalkAccounting> got = WalkAttachments(state, UnitRules::For(state), session, sink,
                                                       [](const Attachment&) { return true; });
    REQUIRE_FALSE(got.has_value());
    return got.error();
  };
  unit.rtaddr = Known<uint64_t>(t.root.value() | 0x800, Origin::kUser, "test");
  CHECK(fail(unit).code == ErrorCode::kUnsupported);
  CHECK(fail(unit).message ==
        "RTADDR 0x100800 selects the extended context mode of VT-d revision 2.x (TTM 10), "
        "whose tables are not walked");
  unit.rtaddr = {};
  CHECK(fail(unit).code == ErrorCode::kUnknown);
}

TEST_CASE("the visitor can end the walk") {
  OneFunction t;
  t.build.AttachLegacy(t.root, 1, 0, t.top, 3, 5);
  MemorySession session(t.memory);
  DiagnosticSink sink;
  const UnitState unit = MakeUnit(t.root, false);
  int seen = 0;
  const auto got = WalkAttachments(unit, UnitRules::For(unit), session, sink,
                                   [&](const Attachment&) { return ++seen < 1; });
  REQUIRE(got.has_value());
  CHECK(got->Closes());
  CHECK(seen == 1);
}

}  // namespace
}  // namespace dmaudit::test
