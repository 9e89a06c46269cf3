// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "dmar/attachment_walk.h"
#include "dmar/walk_test_support.h"

namespace dmaudit::test {
namespace {

constexpr uint64_t kRpsBit = uint64_t{1} << 49;
constexpr uint64_t kPaside = 8;

// One function with one directory page; PASID 0 has a second stage of four levels.
struct OneFunction {
  FakeMemory memory;
  TableBuilder build{memory};
  PhysAddr root = build.NewPage();
  PhysAddr top = build.NewPage();
  PhysAddr directory = build.NewPage();
  PhysAddr context;
  PhysAddr entry;

  explicit OneFunction(uint8_t devfn = 0x10) {
    context = build.AttachScalable(root, 1, devfn, directory);
    entry = build.SetSecondStage(directory, 0, top, 4, 9);
  }
  UnitResult Walk(uint64_t ecap = kServerEcap | kPasidBit) {
    return WalkUnit(MakeUnit(root, true, kRichCap, ecap), memory);
  }
  void SetRidPasid(uint32_t pasid) { build.Set(PhysAddr(context.value() + 8), pasid); }
};

// (PASID, without_pasid, did) of each attachment.
std::vector<std::array<uint32_t, 3>> Shown(const UnitResult& result) {
  std::vector<std::array<uint32_t, 3>> out;
  for (const Attachment& a : result.attachments) {
    out.push_back({a.pasid->value, a.without_pasid ? 1U : 0U, a.space.did.value});
  }
  return out;
}
using Rows = std::vector<std::array<uint32_t, 3>>;

TEST_CASE("the halves of a root entry: last function of the lower, first of the upper") {
  for (const uint8_t devfn : std::array<uint8_t, 4>{0, 0x7f, 0x80, 0xff}) {
    CAPTURE(devfn);
    OneFunction t(devfn);
    const UnitResult got = t.Walk();
    CheckNoDiagnostics(got.sink);
    REQUIRE(got.attachments.size() == 1);
    const Attachment& a = got.attachments[0];
    CHECK(a.bdf == Bdf{0, 1, devfn});
    CHECK(a.pasid == Pasid{0});
    CHECK(a.space.stage == Stage::kSecond);
    CHECK(a.space.second == TableRoot{t.top, 4});
    CHECK(a.space.did == DomainId{9});
    CHECK_FALSE(a.space.pasid_requests);
    CHECK(a.address_width == 48);
    REQUIRE(a.path.size() == 4);
    CHECK(a.path[0].address == TableBuilder::ScalableRootEntry(t.root, 1, devfn >= 0x80));
    CHECK(a.path[1].address == t.context);
    CHECK(a.path[2].kind == "pasid-directory");
    CHECK(a.path[2].address == t.directory);
    CHECK(a.path[3].kind == "pasid");
    CHECK(a.path[3].address == t.entry);
    CHECK(a.path[3].raw_high == 9);
    CHECK(got.accounting == WalkAccounting{.visited = 512 + 128 + 128 + 64,
                                           .tables = 3,
                                           .leaves = 1,
                                           .not_present = 511 + 127 + 127 + 63});
  }
}

TEST_CASE("every translation type of a PASID entry") {
  OneFunction t;
  t.build.Xor(t.context, kPaside | 4);  // DTE too
  t.build.SetFirstStage(t.directory, 1, PhysAddr(0x5000), 5, 2);
  t.build.SetNested(t.directory, 2, t.top, 3, PhysAddr(0x6000), 4, 3);
  t.build.SetPasid(t.directory, 3, TableBuilder::kPassThrough | 1, 4);
  const UnitResult got = t.Walk();
  CheckNoDiagnostics(got.sink);
  CHECK(Shown(got) == Rows{{0, 1, 9}, {1, 0, 2}, {2, 0, 3}, {3, 0, 4}});
  CHECK(got.attachments[1].space.stage == Stage::kFirst);
  CHECK(got.attachments[1].space.first == TableRoot{PhysAddr(0x5000), 5});
  CHECK_FALSE(got.attachments[1].space.second);
  CHECK(got.attachments[1].address_width == 57);
  CHECK(got.attachments[1].space.pasid_requests);
  CHECK(got.attachments[1].device_tlb);
  CHECK(got.attachments[2].space.stage == Stage::kNested);
  CHECK(got.attachments[2].space.second == TableRoot{t.top, 3});
  CHECK(got.attachments[2].space.first == TableRoot{PhysAddr(0x6000), 4});
  CHECK(got.attachments[3].space.stage == Stage::kPassThrough);
}

TEST_CASE("without PASIDE only the entry of requests without PASID is reachable") {
  OneFunction t;
  t.build.SetSecondStage(t.directory, 5, t.top, 4, 2);
  t.build.SetSecondStage(t.directory, 100, t.top, 4, 3);
  UnitResult got = t.Walk();
  CHECK(Shown(got) == Rows{{0, 1, 9}});
  CHECK(got.accounting.dead == 2);
  t.SetRidPasid(100);
  got = t.Walk();
  CHECK(Shown(got) == Rows{{0, 1, 3}});
  CHECK(got.accounting.dead == 2);
  // A unit that does not honour RID_PASID uses PASID 0.
  got = t.Walk((kServerEcap | kPasidBit) & ~kRpsBit);
  CHECK(Shown(got) == Rows{{0, 1, 9}});
}

TEST_CASE("with PASIDE a chosen entry shows for both kinds of requests") {
  OneFunction t;
  t.build.Xor(t.context, kPaside);
  t.build.SetSecondStage(t.directory, 5, t.top, 4, 2);
  UnitResult got = t.Walk();
  CHECK(Shown(got) == Rows{{0, 1, 9}, {5, 0, 2}});
  CHECK(got.attachments[0].space.pasid_requests);
  t.SetRidPasid(5);
  got = t.Walk();
  CHECK(Shown(got) == Rows{{0, 1, 2}, {0, 0, 9}, {5, 0, 2}});
  CHECK_FALSE(got.attachments[0].space.pasid_requests);
  CHECK(got.attachments[1].space.pasid_requests);
}

TEST_CASE("when it is not known whether RID_PASID counts, both candidates are shown") {
  OneFunction t;
  t.build.SetSecondStage(t.directory, 5, t.top, 4, 2);
  t.SetRidPasid(5);
  UnitState unit = MakeUnit(t.root, true);
  unit.ecap = {};
  const UnitResult got = WalkUnit(unit, t.memory);
  CHECK(Shown(got) == Rows{{0, 1, 9}, {0, 1, 2}});
  CHECK_FALSE(got.sink.incomplete());
}

TEST_CASE("the directory's size: last PASID inside, first one beyond") {
  for (const unsigned pdts : {0U, 2U, 3U, 7U}) {
    CAPTURE(pdts);
    FakeMemory memory;
    TableBuilder build(memory);
    const PhysAddr root = build.NewPage();
    const PhysAddr top = build.NewPage();
    const PhysAddr directory = build.NewPages(33);
    const PhysAddr context = build.AttachScalable(root, 0, 0, directory, pdts);
    const uint32_t limit = uint32_t{1} << (pdts + 13);
    build.Xor(context, kPaside);
    build.SetSecondStage(directory, limit - 1, top, 4, 1);
    build.SetSecondStage(directory, limit, top, 4, 2);
    const auto walk = [&] { return WalkUnit(MakeUnit(root, true), memory); };
    CHECK(Shown(walk()) == Rows{{limit - 1, 0, 1}});
    CHECK(walk().accounting.visited == 512 + 128 + limit / 64 + 64);
    if (limit > 0xfffff) continue;
    build.Xor(context, kPaside);
    build.Set(PhysAddr(context.value() + 8), limit - 1);
    CHECK(Shown(walk()) == Rows{{0, 1, 1}});
    build.Set(PhysAddr(context.value() + 8), limit);
    const UnitResult beyond = walk();
    CHECK(beyond.attachments.empty());
    CheckOnly(beyond.sink, "walk.blocked", Effect::kNote,
              fmt::format("dmar0: context of 0000:00:00.0: RID_PASID {0:#x} is beyond the "
                          "directory's {0:#x} (SCT.9)",
                          limit));
  }
}

TEST_CASE("supervisor access comes from RID_PRIV or from SRE, each for its own requests") {
  constexpr uint64_t kRidPriv = 1 << 20;
  constexpr uint64_t kRpriv = uint64_t{1} << 53;
  constexpr uint64_t kSrs = uint64_t{1} << 31;
  OneFunction t;
  const PhysAddr own = t.build.SetFirstStage(t.directory, 0, PhysAddr(0x5000), 4, 1);
  const PhysAddr other = t.build.SetFirstStage(t.directory, 7, PhysAddr(0x5000), 4, 2);
  t.build.Xor(t.context, kPaside);
  const auto supervisor = [&](uint64_t ecap) {
    const UnitResult got = t.Walk(ecap | kPasidBit);
    REQUIRE(got.attachments.size() == 2);
    return std::array<bool, 2>{got.attachments[0].space.supervisor_access,
                               got.attachments[1].space.supervisor_access};
  };
  CHECK(supervisor(kServerEcap) == std::array<bool, 2>{false, false});
  t.build.Set(PhysAddr(t.context.value() + 8), kRidPriv);
  CHECK(supervisor(kServerEcap) == std::array<bool, 2>{false, false});  // RPRIVS is missing
  CHECK(supervisor(kServerEcap | kRpriv) == std::array<bool, 2>{true, false});
  t.build.Set(PhysAddr(t.context.value() + 8), 0);
  t.build.Xor(PhysAddr(other.value() + 16), 1);  // SRE
  CHECK(supervisor(kServerEcap) == std::array<bool, 2>{false, true});
  CHECK(supervisor(kServerEcap & ~kSrs) == std::array<bool, 2>{false, false});
  t.build.Xor(PhysAddr(own.value() + 16), 1);
  CHECK(supervisor(kServerEcap) == std::array<bool, 2>{true, true});
  // WPE counts where there is supervisor access only.
  CHECK_FALSE(t.Walk().attachments[0].space.write_protect);
  t.build.Xor(PhysAddr(own.value() + 16), 0x10);
  CHECK(t.Walk().attachments[0].space.write_protect);
}

TEST_CASE("one mutation each of the four tables") {
  SUBCASE("root half not present") {
    OneFunction t;
    t.build.Xor(TableBuilder::ScalableRootEntry(t.root, 1, false), 1);
    const UnitResult got = t.Walk();
    CHECK(got.attachments.empty());
    CheckNoDiagnostics(got.sink);
  }
  SUBCASE("reserved bits") {
    OneFunction root;
    root.build.Xor(TableBuilder::ScalableRootEntry(root.root, 1, false), 2);
    CheckOnly(root.Walk().sink, "walk.reserved-bits", Effect::kNote,
              "dmar0: root table 0x100000: entry 0x1: reserved bits 11:1 are 0x1, expected 0 "
              "(SRT.3), quadword 0 is 0x103003");
    OneFunction context;
    context.build.Set(PhysAddr(context.context.value() + 24), 1);
    CheckOnly(context.Walk().sink, "walk.reserved-bits", Effect::kNote,
              "dmar0: context table 0x103000: entry 0x10: reserved bits 63:0 are 0x1, expected 0 "
              "(SCT.3), quadword 3 is 0x1");
    OneFunction directory;
    directory.build.Xor(directory.directory, 0x800);
    CheckOnly(directory.Walk().sink, "walk.reserved-bits", Effect::kNote,
              "dmar0: PASID directory 0x102000: entry 0x0: reserved bits 11:2 are 0x200, "
              "expected 0 (SPD.3), quadword 0 is 0x104801");
    OneFunction entry;
    entry.build.Set(PhysAddr(entry.entry.value() + 56), 0x8000000000000000);
    const UnitResult got = entry.Walk();
    CHECK(got.attachments.empty());
    CheckOnly(got.sink, "walk.reserved-bits", Effect::kNote,
              "dmar0: PASID table 0x104000: entry 0x0: reserved bits 63:0 are 0x8000000000000000, "
              "expected 0 (SPT.3), quadword 7 is 0x8000000000000000");
  }
  SUBCASE("a PASID entry cleared to FPD alone is not present") {
    OneFunction t;
    t.build.Set(t.entry, 2);
    const UnitResult got = t.Walk();
    CHECK(got.attachments.empty());
    CheckNoDiagnostics(got.sink);
  }
  SUBCASE("a PASID entry half cleared, still present") {
    OneFunction t;
    t.build.Set(t.entry, 1);
    const UnitResult got = t.Walk();
    CHECK(got.attachments.empty());
    REQUIRE(got.sink.diagnostics().size() == 1);
    CHECK(got.sink.diagnostics()[0].id == "walk.unsupported");
  }
  SUBCASE("unknown bytes on each of the four tables") {
    for (int which = 0; which < 4; ++which) {
      CAPTURE(which);
      OneFunction t;
      const std::array<PhysAddr, 4> at = {t.root, t.context, t.directory, t.entry};
      const std::array<uint64_t, 4> entries = {512, 128, 128, 64};
      t.memory.SetPageState(at[static_cast<size_t>(which)], ByteState::kExcluded);
      const UnitResult got = t.Walk();
      CHECK(got.attachments.empty());
      CHECK(got.accounting.unreadable == entries[static_cast<size_t>(which)]);
      CHECK(got.sink.incomplete());
    }
  }
}

TEST_CASE("what SCT.4 may or may not refuse is accepted and said") {
  OneFunction t;
  t.build.Xor(t.context, kPaside);
  const UnitResult got = t.Walk(kServerEcap);  // without ECAP.PASID
  CHECK(got.attachments.size() == 1);
  REQUIRE(got.sink.diagnostics().size() == 1);
  CHECK(got.sink.diagnostics()[0].id == "walk.doubtful");
}

TEST_CASE("a unit said to run in scalable mode without having it is walked all the same") {
  OneFunction t;
  const UnitResult got = t.Walk((kServerEcap | kPasidBit) & ~(uint64_t{1} << 43));
  CHECK(got.attachments.size() == 1);
  CheckOnly(
      got.sink, "walk.doubtful", Effect::kNote,
      "dmar0: RTADDR 0x100400 selects scalable mode, which ECAP does not have (RTA.1): walked "
      "all the same");
}

TEST_CASE("all functions sharing one full-size directory: it is read once") {
  FakeMemory memory;
  TableBuilder build(memory);
  const PhysAddr root = build.NewPage();
  const PhysAddr contexts = build.NewPage();
  const PhysAddr directory = build.NewPages(32);
  const PhysAddr pasids = build.NewPage();
  for (uint64_t half = 0; half < 512; ++half) {
    build.Set(PhysAddr(root.value() + half * 8), contexts.value() | 1);
  }
  for (uint64_t i = 0; i < 128; ++i) {
    build.Set(PhysAddr(contexts.value() + i * 32), directory.value() | 7 << 9 | 1);
  }
  build.Set(directory, pasids.value() | 1);
  build.Set(pasids, TableBuilder::kPassThrough | 1);
  const UnitResult got = WalkUnit(MakeUnit(root, true), memory);
  CHECK(got.attachments.size() == 65536);
  CHECK(got.accounting.visited == 512 + 512 * 128 + 16384 + 64);
  CheckNoDiagnostics(got.sink);

  // Every entry of the directory leads to the table, and every PASID may be used: 2^16 * 2^14 rows.
  for (uint64_t i = 0; i < 16384; ++i) {
    build.Set(PhysAddr(directory.value() + i * 8), pasids.value() | 1);
  }
  for (uint64_t i = 0; i < 128; ++i) build.Xor(PhysAddr(contexts.value() + i * 32), kPaside);
  MemorySession session(memory);
  DiagnosticSink sink;
  const UnitState unit = MakeUnit(root, true);
  uint64_t rows = 0;
  const auto flood = WalkAttachments(unit, UnitRules::For(unit), session, sink,
                                     [&](const Attachment&) { return ++rows > 0; });
  REQUIRE(flood.has_value());
  CHECK(flood->Closes());
  CHECK(rows == AttachmentWalk::kMaxAttachments);
  CHECK(sink.incomplete());
  CHECK(sink.diagnostics().back().id == "walk.budget");
}

// 65,536 functions, of 128 context entries that differ in RID_PASID, with one full-size directory
// of which every entry leads to the same table of refused entries.
struct RefusedPasids {
  explicit RefusedPasids(uint64_t context_bits) : build(memory), root(build.NewPage()) {
    const PhysAddr contexts = build.NewPage();
    const PhysAddr directory = build.NewPages(32);
    const PhysAddr pasids = build.NewPage();
    for (uint64_t half = 0; half < 512; ++half) {
      build.Set(PhysAddr(root.value() + half * 8), contexts.value() | 1);
    }
    for (uint64_t i = 0; i < 128; ++i) {
      const PhysAddr entry(contexts.value() + i * 32);
      build.Set(entry, directory.value() | 7 << 9 | context_bits | 1);
      build.Set(PhysAddr(entry.value() + 8), i + 1);
    }
    for (uint64_t i = 0; i < 16384; ++i) {
      build.Set(PhysAddr(directory.value() + i * 8), pasids.value() | 1);
    }
    constexpr uint64_t kUndefinedType = 7 << 6;
    for (uint64_t i = 0; i < 64; ++i) {
      build.Set(PhysAddr(pasids.value() + i * 64), kUndefinedType | 1);
    }
  }

  FakeMemory memory;
  TableBuilder build;
  PhysAddr root;
};

TEST_CASE("a directory that requests with PASID reach is read once, whatever RID_PASID is") {
  const RefusedPasids t(kPaside);
  const UnitResult got = WalkUnit(MakeUnit(t.root, true), t.memory);
  CHECK(got.attachments.empty());
  CHECK(got.accounting.visited == 512 + 512 * 128 + 16384 + 16384 * 64);
  CHECK_FALSE(got.sink.incomplete());
}

TEST_CASE("present PASID entries draw more on the budget of a unit than empty ones") {
  const RefusedPasids t(0);  // each RID_PASID selects another entry
  const UnitResult got = WalkUnit(MakeUnit(t.root, true), t.memory);
  CHECK(got.accounting.visited < 5'000'000);
  CHECK(got.sink.incomplete("walk.budget"));
}

}  // namespace
}  // namespace dmaudit::test
