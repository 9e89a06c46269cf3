// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/inheritance_report.h"
#include "report/json_parts.h"
#include "report/json_writer.h"

namespace dmaudit {
namespace {

void WriteCapture(JsonWriter& json, const AuditResult& audit, const Inheritance& inheritance) {
  const auto text = [&json](const std::string& value) { json.String(value); };
  const auto flag = [&json](bool value) { json.Bool(value); };
  const CaptureFacts& facts = audit.machine.capture;
  json.Key("capture").BeginObject();
  WriteKnown(json, "command_line", inheritance.command_line, text);
  WriteOptional(json, "no_command_line",
                inheritance.command_line ? std::string() : inheritance.no_command_line);
  WriteKnown(json, "loaded", audit.machine.crash_kernel_loaded, flag);
  json.Key("copy_rule").String(ToString(facts.copy_rule));
  WriteOptional(json, "copy_rule_from", facts.copy_rule_from);
  WriteKnown(json, "driver_off", facts.driver_off, flag);
  WriteKnown(json, "scalable", facts.scalable, flag);
  WriteKnown(json, "x2apic", facts.x2apic, flag);
  WriteIfKnown(json, "passthrough", inheritance.passthrough, flag);
  json.EndObject();
}

template <typename Fate>
void WritePossible(JsonWriter& json, std::string_view key, const std::vector<Possible<Fate>>& all) {
  json.Key(key).BeginArray();
  for (const Possible<Fate>& one : all) {
    json.BeginObject();
    json.Key("fate").String(ToString(one.fate));
    json.Key("reason").String(one.reason);
    WriteTexts(json, "when", one.when);
    json.EndObject();
  }
  json.EndArray();
}

void WriteUnits(JsonWriter& json, const AuditResult& audit, const Inheritance& inheritance) {
  const auto hex = [&json](auto value) { json.Hex(uint64_t{value}); };
  json.Key("units").BeginArray();
  for (size_t i = 0; i < audit.units.size(); ++i) {
    const UnitState& state = audit.units[i].state;
    json.BeginObject();
    json.Key("name").String(state.name);
    json.Key("ignored").Bool(state.ignored);
    WriteKnown(json, "ecap", state.ecap, hex);
    WriteKnown(json, "gcmd", state.gcmd, hex);
    WriteKnown(json, "rtaddr", state.rtaddr, hex);
    WriteKnown(json, "irta", state.irta, hex);
    WritePossible(json, "tables", inheritance.units[i].tables);
    WritePossible(json, "interrupts", inheritance.units[i].interrupts);
    json.EndObject();
  }
  json.EndArray();
}

void WriteHits(JsonWriter& json, std::string_view key, const std::optional<AddressHits>& hits) {
  WriteIfKnown(json, key, hits, [&json](const AddressHits& known) {
    json.BeginObject();
    json.Key("ranges").Number(known.ranges);
    json.Key("bytes").Number(known.bytes);
    json.Key("writable_ranges").Number(known.writable_ranges);
    json.Key("writable_bytes").Number(known.writable_bytes);
    json.EndObject();
  });
}

void WriteReach(JsonWriter& json, const std::optional<UntranslatedReach>& reach) {
  WriteIfKnown(json, "untranslated", reach, [&json](const UntranslatedReach& known) {
    json.BeginObject();
    WriteHits(json, "all", known.all);
    WriteHits(json, "same", known.same);
    WriteHits(json, "ram", known.ram);
    WriteHits(json, "crash_kernel", known.crash_kernel);
    WriteHits(json, "crash_image", known.image);
    json.Key("complete").Bool(known.complete);
    json.EndObject();
  });
}

void WriteFate(JsonWriter& json, const DeviceInheritance& fate) {
  // One for each of the unit's tables.
  json.Key("dma").BeginArray();
  for (const DmaFate one : fate.dma) json.String(ToString(one));
  json.EndArray();
  json.Key("driver_note").String(fate.driver_note);
  json.Key("driver_blocked").Bool(fate.driver_blocked);
}

// Devices of the kernel that no table names and whose requests nothing translated.
void WriteUntranslated(JsonWriter& json, const AuditResult& audit, const Inheritance& inheritance) {
  const DeviceInventory& inventory = audit.machine.inventory;
  json.Key("untranslated_devices").BeginArray();
  for (size_t i = 0; i < audit.untranslated.size(); ++i) {
    const UntranslatedDevice& device = audit.untranslated[i];
    const DeviceFacts& facts = inventory.devices[device.facts];
    json.BeginObject();
    json.Key("bdf").String(ToString(*facts.bdf));
    json.Key("because").String(ToString(device.why));
    WriteIfKnown(json, "unit", device.unit,
                 [&](size_t unit) { json.String(audit.units[unit].state.name); });
    json.Key("dma_ability").String(ToString(AbilityOf(facts, inventory)));
    WriteFate(json, inheritance.untranslated[i]);
    json.EndObject();
  }
  json.EndArray();
}

void WriteDevices(JsonWriter& json, const AuditResult& audit, const Inheritance& inheritance) {
  json.Key("devices").BeginArray();
  for (size_t i = 0; i < audit.devices.size(); ++i) {
    const AuditedDevice& device = audit.devices[i];
    const DeviceInheritance& fate = inheritance.devices[i];
    const AuditedDomain& domain = audit.domains[device.domain];
    json.BeginObject();
    WriteDeviceRef(json, device.bdf, device.pasid);
    json.Key("unit").String(audit.units[device.unit].state.name);
    json.Key("did").Number(domain.space.did.value);
    json.Key("stage").String(ToString(domain.space.stage));
    json.Key("dma_ability").String(ToString(device.ability));
    WriteFate(json, fate);
    WriteReach(json, inheritance.reach[device.domain]);
    json.EndObject();
  }
  json.EndArray();
}

}  // namespace

void WriteJsonInheritance(const DumpInfo& input, const AuditResult& audit,
                          const Inheritance& inheritance, const DiagnosticSink& sink,
                          Output& output) {
  JsonWriter json(output, JsonWriter::Style::kIndented);
  json.BeginObject();
  WriteTool(json);
  WriteInput(json, input);
  WriteKernel(json, audit.machine.identity);
  json.Key("complete").Bool(inheritance.complete());
  WriteTexts(json, "incomplete_because", inheritance.incomplete_because);
  // Present only when other devices were left out.
  if (audit.filter) json.Key("only_devices").String(ToString(*audit.filter));
  WriteCapture(json, audit, inheritance);
  WriteUnits(json, audit, inheritance);
  WriteDevices(json, audit, inheritance);
  WriteUntranslated(json, audit, inheritance);
  WriteDiagnostics(json, sink);
  json.EndObject();
  output.Write("\n");
}

}  // namespace dmaudit
