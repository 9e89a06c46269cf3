// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "audit/unit_coverage.h"
#include "report/json_devices.h"
#include "report/json_parts.h"
#include "report/json_writer.h"
#include "report/report.h"

namespace dmaudit {
namespace {

void WriteCrashKernel(JsonWriter& json, const MachineState& machine) {
  json.Key("crashkernel");
  if (!machine.reservations) {
    json.Null();
    return;
  }
  json.BeginArray();
  for (const Reservation& reservation : *machine.reservations) {
    if (!reservation.range) continue;
    json.BeginObject();
    json.Key("name").String(ToString(reservation.kind));
    WriteRange(json, reservation.range.value());
    json.Key("origin").String(ToString(reservation.range.chosen().origin));
    json.Key("place").String(reservation.range.chosen().place);
    if (reservation.range.disagrees()) {
      json.Key("rivals").BeginArray();
      for (const Claim<PhysRange>& rival : reservation.range.claims()) {
        if (rival.value == reservation.range.value()) continue;
        json.BeginObject();
        WriteRange(json, rival.value);
        json.Key("origin").String(ToString(rival.origin));
        json.Key("place").String(rival.place);
        json.EndObject();
      }
      json.EndArray();
    }
    json.EndObject();
  }
  json.EndArray();
}

void WriteCrashImage(JsonWriter& json, const std::optional<CrashImage>& image) {
  json.Key("crash_image");
  if (!image) {
    json.Null();
    return;
  }
  json.BeginObject();
  json.Key("place").String(fmt::format("kimage @ {:#x}", image->address.value()));
  json.Key("file_mode");
  if (image->file_mode) {
    json.Bool(*image->file_mode);
  } else {
    json.Null();
  }
  json.Key("complete").Bool(image->complete);
  json.Key("segments").BeginArray();
  for (const ImageSegment& segment : image->segments) {
    json.BeginObject();
    WriteRange(json, segment.range);
    json.Key("loaded_bytes").Number(segment.loaded_bytes);
    WriteOptional(json, "role", std::string(ToString(segment.role)));
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
}

void WriteAccounting(JsonWriter& json, const WalkAccounting& a) {
  json.BeginObject();
  json.Key("visited").Number(a.visited);
  json.Key("tables").Number(a.tables);
  json.Key("leaves").Number(a.leaves);
  json.Key("not_present").Number(a.not_present);
  json.Key("dead").Number(a.dead);
  json.Key("rejected").Number(a.rejected);
  json.Key("unreadable").Number(a.unreadable);
  json.EndObject();
}

void WriteUnits(JsonWriter& json, const AuditResult& result) {
  const auto hex = [&json](auto value) { json.Hex(uint64_t{value}); };
  json.Key("units").BeginArray();
  for (const AuditedUnit& unit : result.units) {
    const UnitState& state = unit.state;
    json.BeginObject();
    json.Key("name").String(state.name);
    json.Key("segment").Number(state.segment);
    json.Key("status").String(ToString(unit.status));
    WriteOptional(json, "status_reason", unit.status_reason);
    WriteKnown(json, "register_base", state.register_base,
               [&json](PhysAddr a) { json.Hex(a.value()); });
    WriteKnown(json, "version", state.version, hex);
    WriteKnown(json, "cap", state.cap, hex);
    WriteKnown(json, "ecap", state.ecap, hex);
    WriteKnown(json, "gcmd", state.gcmd, hex);
    WriteKnown(json, "rtaddr", state.rtaddr, hex);
    WriteKnown(json, "iqa", state.iqa, hex);
    WriteKnown(json, "irta", state.irta, hex);
    WriteKnown(json, "pqa", state.pqa, hex);
    WriteKnown(json, "host_address_width", state.host_address_width,
               [&json](unsigned bits) { json.Number(bits); });
    json.Key("devices").Number(unit.devices);
    json.Key("entries");
    WriteAccounting(json, unit.accounting);
    json.EndObject();
  }
  json.EndArray();
}

void WriteRoot(JsonWriter& json, std::string_view key, const std::optional<TableRoot>& root) {
  WriteIfKnown(json, key, root, [&json](const TableRoot& known) {
    json.BeginObject();
    json.Key("address").Hex(known.table.value());
    json.Key("levels").Number(known.levels);
    json.EndObject();
  });
}

void WriteScopes(JsonWriter& json, const FirmwareScopes& scopes) {
  json.Key("firmware_scopes").BeginObject();
  json.Key("complete").Bool(scopes.complete);
  json.Key("scopes").BeginArray();
  const auto flag = [&json](bool value) { json.Bool(value); };
  for (const FirmwareScope& scope : scopes.scopes) {
    json.BeginObject();
    json.Key("kind").String(ToString(scope.kind));
    WriteIfKnown(json, "segment", scope.segment, [&json](uint16_t value) { json.Number(value); });
    if (scope.registers) json.Key("register_base").Hex(scope.registers->value());
    if (scope.range) WriteRange(json, *scope.range);
    if (scope.kind == ScopeKind::kUnit || scope.kind == ScopeKind::kAtsRoot) {
      WriteIfKnown(json, "covers_rest", scope.flag, flag);
    } else if (scope.kind == ScopeKind::kAtsDevices) {
      WriteIfKnown(json, "ats_required", scope.flag, flag);
    }
    json.Key("devices").BeginArray();
    for (const Bdf& bdf : scope.devices) json.String(ToString(bdf));
    json.EndArray();
    json.Key("absent_devices").Number(scope.absent);
    json.Key("unplaced_devices").Number(scope.unplaced);
    json.Key("origin").String(ToString(scope.origin));
    json.Key("place").String(scope.place);
    if (!scope.rivals.empty()) {
      json.Key("rivals").BeginArray();
      for (const Claim<std::string>& rival : scope.rivals) {
        json.BeginObject();
        json.Key("value").String(rival.value);
        json.Key("origin").String(ToString(rival.origin));
        json.Key("place").String(rival.place);
        json.EndObject();
      }
      json.EndArray();
    }
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
}

void WriteDomains(JsonWriter& json, const AuditResult& result) {
  json.Key("domains").BeginArray();
  for (const AuditedDomain& domain : result.domains) {
    json.BeginObject();
    json.Key("unit").String(result.units[domain.unit].state.name);
    json.Key("did").Number(domain.space.did.value);
    json.Key("stage").String(ToString(domain.space.stage));
    WriteRoot(json, "second_stage", domain.space.second);
    WriteRoot(json, "first_stage", domain.space.first);
    json.Key("address_width").Number(domain.address_width);
    json.Key("mapped_bytes").Number(domain.mapped_bytes);
    json.Key("writable_bytes").Number(domain.writable_bytes);
    json.Key("ranges").Number(domain.ranges);
    json.Key("table_pages").Number(domain.table_pages);
    json.Key("identity").String(ToString(domain.identity));
    json.Key("identity_bytes").Number(domain.identity_bytes);
    json.Key("devices").BeginArray();
    for (const size_t index : domain.devices) {
      json.BeginObject();
      WriteDeviceRef(json, result.devices[index].bdf, result.devices[index].pasid);
      json.EndObject();
    }
    json.EndArray();
    json.Key("entries");
    WriteAccounting(json, domain.accounting);
    json.EndObject();
  }
  json.EndArray();
}

void WriteDevices(JsonWriter& json, const AuditResult& result) {
  json.Key("devices").BeginArray();
  for (const AuditedDevice& device : result.devices) {
    const AuditedDomain& domain = result.domains[device.domain];
    json.BeginObject();
    WriteDeviceRef(json, device.bdf, device.pasid);
    json.Key("unit").String(result.units[device.unit].state.name);
    json.Key("did").Number(domain.space.did.value);
    json.Key("stage").String(ToString(domain.space.stage));
    json.Key("device_tlb").Bool(device.device_tlb);
    json.Key("dma_ability").String(ToString(device.ability));
    // That of requests without a PASID is among the facts of the device.
    if (!device.without_pasid()) {
      WriteIfKnown(json, "domain_type", TypeOf(device, result.machine.inventory),
                   [&json](DomainType type) { json.String(ToString(type)); });
    }
    WriteIfKnown(json, "facts", device.facts,
                 [&](size_t index) { WriteDeviceFacts(json, result, index); });
    json.EndObject();
  }
  json.EndArray();
}

void WriteEvidence(JsonWriter& json, const std::vector<EntryRef>& evidence) {
  json.Key("evidence").BeginArray();
  for (const EntryRef& entry : evidence) {
    json.BeginObject();
    json.Key("kind").String(entry.kind);
    if (entry.level != 0) json.Key("level").Number(entry.level);
    json.Key("address").Hex(entry.address.value());
    json.Key("raw").Hex(entry.raw);
    json.Key("raw_high").Hex(entry.raw_high);
    json.EndObject();
  }
  json.EndArray();
}

void WriteFindings(JsonWriter& json, const AuditResult& result) {
  json.Key("findings").BeginArray();
  for (const Finding& finding : result.findings) {
    json.BeginObject();
    json.Key("id").String(finding.kind->id);
    json.Key("severity").String(ToString(finding.kind->severity));
    json.Key("message").String(finding.message);
    json.Key("subject").BeginObject();
    json.Key("units").BeginArray();
    for (const std::string& unit : finding.units) json.String(unit);
    json.EndArray();
    json.Key("devices").BeginArray();
    for (const DeviceRef& device : finding.devices) {
      json.BeginObject();
      WriteDeviceRef(json, device.bdf, device.pasid);
      json.Key("dma_ability").String(ToString(device.ability));
      json.EndObject();
    }
    json.EndArray();
    if (!finding.devices.empty()) json.Key("idle").Bool(finding.idle);
    if (finding.domain) json.Key("did").Number(finding.domain->value);
    if (finding.reservation) json.Key("reservation").String(ToString(*finding.reservation));
    if (finding.reserved) WriteRange(json, *finding.reserved);
    if (finding.overlap_count != 0) {
      json.Key("overlap_count").Number(finding.overlap_count);
      json.Key("overlap_bytes").Number(finding.overlap_bytes);
      json.Key("overlaps").BeginArray();
      for (const Overlap& overlap : finding.overlaps) {
        json.BeginObject();
        json.Key("iova").Hex(overlap.range.iova.value());
        json.Key("len").Hex(overlap.range.size);
        json.Key("pa").Hex(overlap.range.pa.value());
        json.Key("perm").String(ToString(overlap.range.permissions));
        WriteRange(json, overlap.overlap);
        json.EndObject();
      }
      json.EndArray();
      json.Key("hits_crash_image");
      if (finding.hits_image) {
        json.Bool(*finding.hits_image);
      } else {
        json.Null();
      }
      json.Key("crash_image_segments").BeginArray();
      for (const size_t index : finding.image_segments) json.Number(index);
      json.EndArray();
    }
    json.EndObject();
    WriteEvidence(json, finding.evidence);
    json.EndObject();
  }
  json.EndArray();
}

void WriteViews(JsonWriter& json, const AuditResult& result) {
  const ViewCounts& views = result.views;
  json.BeginObject();
  json.Key("attached").Number(views.attached);
  json.Key("agree").Number(views.agree);
  json.Key("differ").Number(views.differ);
  json.Key("unknown").Number(views.unknown);
  json.Key("unknown_because").BeginArray();
  for (const UnknownViews& unknown : views.gaps) {
    json.BeginObject();
    json.Key("reason").String(ToString(unknown.gap));
    json.Key("text").String(Describe(unknown.gap));
    json.Key("devices").BeginArray();
    for (const size_t index : unknown.devices) {
      json.String(ToString(*result.machine.inventory.devices[index].bdf));
    }
    json.EndArray();
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
}

}  // namespace

void WriteJsonReport(const DumpInfo& input, const AuditResult& result, const DiagnosticSink& sink,
                     Output& output) {
  JsonWriter json(output, JsonWriter::Style::kIndented);
  json.BeginObject();
  WriteTool(json);
  WriteInput(json, input);
  WriteKernel(json, result.machine.identity);
  json.Key("verdict").String(result.has_findings() ? "findings" : "clean");
  json.Key("complete").Bool(result.complete());
  WriteTexts(json, "incomplete_because", result.incomplete_because);
  // Present only when other devices were left out.
  if (result.filter) json.Key("only_devices").String(ToString(*result.filter));
  WriteCrashKernel(json, result.machine);
  json.Key("crashkernel_loaded");
  if (result.machine.crash_kernel_loaded) {
    json.Bool(result.machine.crash_kernel_loaded.value());
  } else {
    json.Null();
  }
  WriteCrashImage(json, result.machine.crash_image);
  WriteUnits(json, result);
  WriteScopes(json, result.machine.scopes);
  WriteDomains(json, result);
  WriteDevices(json, result);
  WriteOtherDevices(json, result);
  WriteFindings(json, result);
  json.Key("coverage").BeginObject();
  json.Key("entries");
  WriteAccounting(json, result.accounting);
  json.Key("pages_read").Number(result.pages_read);
  json.Key("kernel_view");
  WriteViews(json, result);
  const CoverageCounts counts = CountCoverage(result);
  json.Key("behind_unit").BeginObject();
  json.Key("yes").Number(counts.unit);
  json.Key("no").Number(counts.none);
  json.Key("unknown").Number(counts.unknown);
  json.EndObject();
  json.EndObject();
  WriteDiagnostics(json, sink);
  json.EndObject();
  output.Write("\n");
}

void WriteJsonError(const std::vector<std::string>& paths, const Error& error, Output& output) {
  JsonWriter json(output, JsonWriter::Style::kIndented);
  json.BeginObject();
  WriteTool(json);
  json.Key("input").BeginObject();
  json.Key("paths").BeginArray();
  for (const std::string& path : paths) json.String(path);
  json.EndArray();
  json.EndObject();
  json.Key("error").BeginObject();
  json.Key("message").String(error.message);
  json.EndObject();
  json.EndObject();
  output.Write("\n");
}

}  // namespace dmaudit
