// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/json_writer.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace dmaudit {
namespace {

TEST_CASE("what is written is what a JSON parser reads") {
  for (const JsonWriter::Style style :
       {JsonWriter::Style::kIndented, JsonWriter::Style::kCompact}) {
    StringOutput out;
    JsonWriter json(out, style);
    json.BeginObject();
    json.Key("empty").BeginArray().EndArray();
    json.Key("list").BeginArray().Number(UINT64_MAX).Null().Bool(true).BeginObject().EndObject();
    json.EndArray();
    json.Key("hex").Hex(0);
    json.EndObject();
    const nlohmann::json parsed = nlohmann::json::parse(out.text());
    CHECK(parsed["empty"].empty());
    CHECK(parsed["list"][0] == UINT64_MAX);
    CHECK(parsed["list"][1].is_null());
    CHECK(parsed["list"][3].is_object());
    CHECK(parsed["hex"] == "0x0");
  }
}

TEST_CASE("no text of a dump can break out of a string") {
  StringOutput out;
  JsonWriter json(out, JsonWriter::Style::kCompact);
  json.String("quote \" backslash \\ escape \x1b[0m bad \xff end");
  const nlohmann::json parsed = nlohmann::json::parse(out.text());
  CHECK(parsed == "quote \" backslash \\ escape \\x1b[0m bad \\xff end");
}

}  // namespace
}  // namespace dmaudit
