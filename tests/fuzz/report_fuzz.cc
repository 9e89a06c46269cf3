// SPDX-License-Identifier: GPL-2.0-or-later
// The whole pipeline over a small whole machine in which the input has changed words and page
// states: kernel discovery, walks, findings, both reports and the rows. Whatever was changed, it
// ends, its counts close, a page that was taken away from the path to a known overlap never makes
// the result clean and complete, and the outputs agree. The input is the capture kernel's command
// line as well.
//
// Input: records of 12 bytes: region and page (16 bits), word and operation (16 bits), value (64
// bits).
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "audit/audit.h"
#include "audit/inheritance.h"
#include "audit/mappings.h"
#include "base/bytes.h"
#include "report/inheritance_report.h"
#include "report/report.h"
#include "support/machine_scene.h"
#include "support/patched_memory.h"
#include "support/table_builder.h"

namespace dmaudit::test {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

constexpr uint64_t kTables = 0xb000000;   // root table's descendants
constexpr uint64_t kTarget = 0x20003000;  // inside crashk_res of the scene
constexpr uint64_t kTargetIova = 0x5000;

// The machine before any change: one device that can write into the crash kernel's memory.
struct Machine {
  FakeMemory memory;
  DumpInfo info;
  std::vector<DumpNote> notes;
};

const Machine& Original() {
  static const Machine machine = [] {
    MachineScene scene;
    scene.Build();
    TableBuilder tables(scene.memory(), kTables);
    const PhysAddr root(MachineScene::kRoot);
    const PhysAddr top = tables.NewPage();
    tables.AttachLegacy(root, 0, 0x08, top, 3, 7);
    tables.Map(top, 3, kTargetIova, kTarget);
    tables.Map(top, 3, 0x40000000, 0x8000000);
    return Machine{scene.memory(), scene.dump.info, scene.dump.notes};
  }();
  return machine;
}

struct Region {
  uint64_t base;
  uint64_t pages;
};
// Kernel variables and objects, page tables, root table and DMA tables. Symbol and type tables have
// fuzzers of their own.
const std::array<Region, 5> kRegions = {{{MachineScene::Physical(MachineScene::kData), 16},
                                         {MachineScene::Physical(MachineScene::kSlab), 64},
                                         {MachineScene::Physical(MachineScene::kTopTable), 4},
                                         {MachineScene::kRoot, 4},
                                         {kTables, 8}}};

void Apply(std::span<const std::byte> record, PatchedMemory& memory) {
  const auto where = LoadUnchecked<uint16_t>(record, 0);
  const auto how = LoadUnchecked<uint16_t>(record, 2);
  const auto value = LoadUnchecked<uint64_t>(record, 4);
  const Region& region = kRegions[where % kRegions.size()];
  const uint64_t page = region.base + (where / kRegions.size() % region.pages) * 4096;
  const PhysAddr at(page + (how & 511) * 8);
  switch (how >> 9 & 3) {
    case 0:
      memory.WriteU64(at, value);
      break;
    case 1:
      memory.WriteU64(at, MachineScene::kSlab + (value & 0x3ffff8));
      break;  // a kernel pointer
    case 2:
      memory.WriteU64(at, (kTables + (value & 7) * 4096) | (value >> 52));
      break;  // a table link
    case 3:
      memory.SetPageState(at, static_cast<ByteState>(2 + value % (kByteStateCount - 2)));
      break;
  }
}

// Whatever is known, something becomes of every unit, and the same number of things of every
// device.
void CheckInheritance(const DumpInfo& info, const AuditResult& audit, std::string_view line,
                      MemorySession& session, DiagnosticSink& sink) {
  for (const bool known : {false, true}) {
    CaptureKernel given;
    if (known) given.command_line.Add(std::string(line), Origin::kUser, "fuzz");
    const Inheritance inheritance = PredictInheritance(audit, given, session, sink);
    for (const UnitInheritance& unit : inheritance.units) {
      Require(!unit.tables.empty() && !unit.interrupts.empty(), "a unit has an outcome");
      for (const auto& one : unit.tables) {
        Require(one.when.empty() == (unit.tables.size() == 1), "only the only outcome is certain");
      }
      Require(unit.tables.size() == 1 || !inheritance.complete(), "an open outcome is a gap");
    }
    for (size_t i = 0; i < inheritance.devices.size(); ++i) {
      Require(inheritance.devices[i].dma.size() ==
                  inheritance.units[audit.devices[i].unit].tables.size(),
              "an outcome of DMA for each outcome of the tables");
    }
    StringOutput json, text;
    WriteJsonInheritance(info, audit, inheritance, sink, json);
    WriteTextInheritance(info, audit, inheritance, {false, true}, text);
    Require(!json.text().empty() && !text.text().empty(), "predictions are written");
  }
}

}  // namespace
}  // namespace dmaudit::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dmaudit;
  using namespace dmaudit::test;
  constexpr size_t kRecord = 12;
  constexpr size_t kMaxRecords = 64;  // more only hides what the first ones did
  auto memory = std::make_unique<PatchedMemory>(Original().memory);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  bool states_only = true;
  for (size_t i = 0; i < kMaxRecords && (i + 1) * kRecord <= size; ++i) {
    const std::span<const std::byte> record = bytes.subspan(i * kRecord, kRecord);
    states_only = states_only && (LoadUnchecked<uint16_t>(record, 2) >> 9 & 3) == 3;
    Apply(record, *memory);
  }
  Dump dump;
  dump.info = Original().info;
  dump.notes = Original().notes;
  dump.memory = std::move(memory);

  DiagnosticSink sink;
  MemorySession session(*dump.memory);
  const Result<AuditResult> result = RunAudit(dump, session, {}, sink);
  if (!result) return 0;
  Require(result->accounting.Closes(), "accounting closes");
  Require(result->complete() != sink.incomplete(), "completeness and diagnostics agree");
  // Taking pages away changes no fact: the overlap is found, or something is known to be missing.
  if (states_only) {
    Require(result->worst() == Severity::kCritical || !result->complete(), "no false all-clear");
  }
  for (const Finding& finding : result->findings) {
    Require(!finding.message.empty() && !finding.headline.empty(), "a finding says something");
  }
  StringOutput json, text;
  WriteJsonReport(dump.info, *result, sink, json);
  WriteTextReport(dump.info, *result, {false, true}, text);
  Require(!json.text().empty() && !text.text().empty(), "reports are written");
  uint64_t rows = 0;
  DiagnosticSink row_sink;
  const Result<bool> streamed =
      StreamMappings(dump, session, {}, row_sink, [&](const MappingRow& row) {
        Require(row.size != 0, "a row covers something");
        return ++rows < 4096;
      });
  Require(streamed.has_value(), "rows of a machine that was audited");
  CheckInheritance(dump.info, *result, AsText(bytes), session, sink);
  return 0;
}
