// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/json_parts.h"

#include "base/version.h"

namespace dmaudit {
namespace {

constexpr uint64_t kSchemaVersion = 1;

}  // namespace

void WriteTool(JsonWriter& json) {
  json.Key("schema_version").Number(kSchemaVersion);
  json.Key("tool").BeginObject();
  json.Key("name").String("dmaudit");
  json.Key("version").String(kVersion);
  json.EndObject();
}

void WriteOptional(JsonWriter& json, const std::string& key, const std::string& text) {
  json.Key(key);
  if (text.empty()) {
    json.Null();
  } else {
    json.String(text);
  }
}

void WriteTexts(JsonWriter& json, std::string_view key, const std::vector<std::string>& texts) {
  json.Key(key).BeginArray();
  for (const std::string& text : texts) json.String(text);
  json.EndArray();
}

void WriteRange(JsonWriter& json, const PhysRange& range) {
  json.Key("start").Hex(range.first.value());
  json.Key("end").Hex(range.last.value());
}

void WriteInput(JsonWriter& json, const DumpInfo& input) {
  json.Key("input").BeginObject();
  json.Key("paths").BeginArray();
  for (const std::string& path : input.paths) json.String(path);
  json.EndArray();
  json.Key("format").String(input.format);
  WriteOptional(json, "format_detail", input.format_detail);
  WriteOptional(json, "compression", input.compression);
  WriteOptional(json, "machine", input.machine);
  json.Key("file_size").Number(input.file_size);
  json.Key("incomplete").Bool(input.incomplete);
  json.Key("distilled").Bool(input.distilled);
  json.EndObject();
}

void WriteKernel(JsonWriter& json, const KernelIdentity& kernel) {
  const auto text = [&json](const std::string& s) { json.String(s); };
  json.Key("kernel").BeginObject();
  WriteKnown(json, "release", kernel.release, text);
  WriteKnown(json, "version", kernel.version, text);
  WriteKnown(json, "build_id", kernel.build_id, text);
  WriteKnown(json, "command_line", kernel.command_line, text);
  json.Key("crash_time");
  if (kernel.crash_time) {
    json.Number(*kernel.crash_time);
  } else {
    json.Null();
  }
  WriteOptional(json, "panic", kernel.panic_line);
  WriteOptional(json, "symbols_from", kernel.symbols_from);
  WriteOptional(json, "types_from", kernel.types_from);
  WriteOptional(json, "whose_tables", kernel.whose_tables);
  json.Key("two_kernels").Bool(kernel.two_kernels);
  json.EndObject();
}

void WriteDeviceRef(JsonWriter& json, const Bdf& bdf, const std::optional<Pasid>& pasid) {
  json.Key("bdf").String(ToString(bdf));
  WriteIfKnown(json, "pasid", pasid, [&json](Pasid value) { json.Number(value.value); });
}

void WriteDiagnostics(JsonWriter& json, const DiagnosticSink& sink) {
  json.Key("diagnostics").BeginArray();
  for (const Diagnostic& diagnostic : sink.diagnostics()) {
    json.BeginObject();
    json.Key("id").String(diagnostic.id);
    json.Key("effect").String(diagnostic.effect == Effect::kIncomplete ? "incomplete" : "note");
    json.Key("message").String(diagnostic.message);
    json.Key("count").Number(diagnostic.count);
    json.EndObject();
  }
  for (const auto& [id, count] : sink.suppressed()) {
    json.BeginObject();
    json.Key("id").String(id);
    json.Key("effect").String(sink.incomplete(id) ? "incomplete" : "note");
    json.Key("message").String("more of the same kind, not listed");
    json.Key("count").Number(count);
    json.EndObject();
  }
  json.EndArray();
}

}  // namespace dmaudit
