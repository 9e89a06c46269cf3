// SPDX-License-Identifier: GPL-2.0-or-later
// Parts that several JSON documents have in common, as keys of the object that is open.
#ifndef DMAUDIT_REPORT_JSON_PARTS_H_
#define DMAUDIT_REPORT_JSON_PARTS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/diagnostics.h"
#include "base/ids.h"
#include "base/known.h"
#include "kernel/machine.h"
#include "report/json_writer.h"
#include "vmcore/dump.h"

namespace dmaudit {

// "schema_version" and "tool".
void WriteTool(JsonWriter& json);
void WriteInput(JsonWriter& json, const DumpInfo& input);
void WriteKernel(JsonWriter& json, const KernelIdentity& kernel);
// "start" and "end".
void WriteRange(JsonWriter& json, const PhysRange& range);
// "bdf" and "pasid".
void WriteDeviceRef(JsonWriter& json, const Bdf& bdf, const std::optional<Pasid>& pasid);
void WriteDiagnostics(JsonWriter& json, const DiagnosticSink& sink);
// null where the text is empty.
void WriteOptional(JsonWriter& json, const std::string& key, const std::string& text);
void WriteTexts(JsonWriter& json, std::string_view key, const std::vector<std::string>& texts);

// {"value": ..., "origin": ..., "place": ..., "rivals": [...]} or null.
template <typename T, typename WriteValue>
void WriteKnown(JsonWriter& json, std::string_view key, const Known<T>& known, WriteValue write) {
  json.Key(key);
  if (!known) {
    json.Null();
    return;
  }
  const auto claim = [&](const Claim<T>& c) {
    json.Key("value");
    write(c.value);
    json.Key("origin").String(ToString(c.origin));
    json.Key("place").String(c.place);
  };
  json.BeginObject();
  claim(known.chosen());
  if (known.disagrees()) {
    json.Key("rivals").BeginArray();
    for (const Claim<T>& rival : known.claims()) {
      if (rival.value == known.value()) continue;
      json.BeginObject();
      claim(rival);
      json.EndObject();
    }
    json.EndArray();
  }
  json.EndObject();
}

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_JSON_PARTS_H_
