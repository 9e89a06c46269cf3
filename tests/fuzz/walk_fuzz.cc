// SPDX-License-Identifier: GPL-2.0-or-later
// Tables made of the input, walked from the root table down. Whatever they hold, the walk ends, its
// counts close, ranges ascend without overlap, and the totals with memory equal the totals of the
// ranges.
//
// Input: 4 bytes of set-up (table mode and capabilities, host address width, two of CAP), then
// records of 8 bytes: page and entry (16 bits), kind (8 bits), target page (8 bits), low and high
// bits of the entry (16 bits each). Targets are mostly pages that exist, so that tables link up.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "dmar/tally.h"
#include "dmar/walk.h"
#include "support/fake_memory.h"

namespace dmaudit::test {
namespace {

constexpr uint64_t kBase = 0x100000;
constexpr unsigned kPages = 16;
// Enough for every shape of table; the rest of a walk would only repeat it.
constexpr size_t kMaxVisits = 4096;
constexpr int kMaxSpaces = 6;

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

class Checker : public RangeVisitor {
 public:
  bool OnTableVisit(const TableVisit& visit) override {
    Require(visit.table.levels >= 1 && visit.table.levels <= 5, "levels of a table");
    if (++visits_ > kMaxVisits) {
      cut = true;
      return false;
    }
    ++open;
    return true;
  }
  void OnTableDone(const TableRoot&) override { --open; }
  void OnLeaf(const LivePiece& piece) override {
    Require(piece.range.size > 0, "a live piece has bytes");
    pieces += piece.range.size;
  }
  bool OnRange(const LiveRange& range) override {
    const uint64_t first = range.iova.value();
    const uint64_t last = first + (range.size - 1);
    Require(range.size > 0 && last >= first, "a range does not wrap");
    Require(!any_ || first > last_, "ranges ascend without overlap");
    Require(range.permissions.any(), "a live range can be read or written");
    Require(range.pa.value() + (range.size - 1) < uint64_t{1} << 53, "physical addresses fit");
    any_ = true;
    last_ = last;
    mapped += range.size;
    ++ranges;
    return true;
  }

  bool cut = false;
  int open = 0;
  uint64_t mapped = 0;
  uint64_t pieces = 0;
  uint64_t ranges = 0;

 private:
  size_t visits_ = 0;
  bool any_ = false;
  uint64_t last_ = 0;
};

uint64_t Bits(std::span<const uint8_t> data, size_t at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= uint64_t{data[at + i]} << 8 * i;
  return value;
}

void Fill(FakeMemory& memory, std::span<const uint8_t> data) {
  for (unsigned i = 0; i < kPages; ++i) memory.AddZeroPage(PhysAddr(kBase + i * 0x1000));
  for (size_t at = 0; at + 8 <= data.size(); at += 8) {
    const uint64_t where = Bits(data, at, 2);
    const PhysAddr entry(kBase + (where >> 9) % kPages * 0x1000 + (where & 511) * 8);
    const uint64_t kind = data[at + 2];
    const uint64_t target = data[at + 3];
    const uint64_t low = Bits(data, at + 4, 2) & 0xfff;
    const uint64_t high = Bits(data, at + 6, 2) << 48;
    if (kind < 0xe0) {
      const uint64_t page = target < 0xf0 ? kBase + target % kPages * 0x1000 : target << 20;
      memory.WriteU64(entry, page | low | (kind < 0x20 ? high : 0));
    } else if (kind < 0xf0) {
      memory.WriteU64(entry, Bits(data, at + 3, 5));
    } else {
      memory.SetState(entry, 8, static_cast<ByteState>(target % kByteStateCount));
    }
  }
}

void WalkSpace(const AddressSpace& space, const UnitRules& rules, MemorySession& session) {
  if (space.stage == Stage::kPassThrough) return;
  DiagnosticSink sink;
  Checker checker;
  const WalkAccounting accounting = WalkAddressSpace(space, rules, session, sink, checker);
  Require(accounting.Closes(), "entries of a space add up");
  Require(checker.open == 0, "every table entered is left");
  Require(checker.mapped == checker.pieces, "ranges hold the pieces");

  DiagnosticSink tally_sink;
  Tally tally({{PhysAddr(kBase), PhysAddr(kBase + 0x7fff)}}, 4, [](size_t, const LiveRange&) {});
  Require(WalkAddressSpace(space, rules, session, tally_sink, tally).Closes(),
          "entries of a tallied space add up");
  const SpaceTotals totals = tally.totals();
  Require(totals.bytes_by_permission[0] == 0, "nothing is mapped without permission");
  // What a loop or a budget leaves out depends on the way that led there.
  for (const Diagnostic& diagnostic : sink.diagnostics()) {
    if (diagnostic.id == "walk.loop" || diagnostic.id == "walk.budget") return;
  }
  if (checker.cut) return;
  Require(totals.mapped_bytes == checker.mapped, "tallied bytes");
  Require(totals.ranges == checker.ranges, "tallied ranges");
}

void Walk(std::span<const uint8_t> data) {
  if (data.size() < 4) return;
  FakeMemory memory;
  Fill(memory, data.subspan(4));
  UnitState unit;
  unit.name = "dmar0";
  const uint8_t mode = data[0];
  unit.rtaddr = Known<uint64_t>(kBase | (mode & 3U) << 10, Origin::kUser, "fuzz");
  if ((mode & 4) == 0) {
    const uint64_t cap = uint64_t{data[2]} << 16 | uint64_t{data[3]} << 5 | 0x19ed008c40000006;
    unit.cap = Known<uint64_t>(cap, Origin::kUser, "fuzz");
  }
  if ((mode & 8) == 0) {
    const uint64_t ecap = (mode & 16) == 0 ? 0x103ee9e86f050df : 0x8;
    unit.ecap = Known<uint64_t>(ecap, Origin::kUser, "fuzz");
  }
  unit.host_address_width = Known<unsigned>(data[1], Origin::kUser, "fuzz");

  const UnitRules rules = UnitRules::For(unit);
  MemorySession session(memory);
  DiagnosticSink sink;
  std::vector<AddressSpace> spaces;
  const Result<WalkAccounting> walked =
      WalkAttachments(unit, rules, session, sink, [&](const Attachment& attachment) {
        spaces.push_back(attachment.space);
        return spaces.size() < kMaxSpaces;
      });
  if (!walked) return;
  Require(walked->Closes(), "entries of a unit add up");
  for (const AddressSpace& space : spaces) WalkSpace(space, rules, session);
}

}  // namespace
}  // namespace dmaudit::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dmaudit::test::Walk({data, size});
  return 0;
}
