// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "report/output.h"
#include "report/report.h"

namespace dmaudit {
namespace {

TEST_CASE("diagnostics beyond those listed keep their effect") {
  DiagnosticSink sink;
  for (size_t i = 0; i < DiagnosticSink::kMaxPerId + 2; ++i) {
    sink.Incomplete("gap", "gap {}", i);
    sink.Note("harmless", "note {}", i);
  }
  StringOutput out;
  WriteJsonReport({}, {}, sink, out);
  const nlohmann::json report = nlohmann::json::parse(out.text());
  size_t sums = 0;
  for (const nlohmann::json& diagnostic : report["diagnostics"]) {
    CHECK(diagnostic["effect"] == (diagnostic["id"] == "gap" ? "incomplete" : "note"));
    if (diagnostic["count"] != 2) continue;
    ++sums;
  }
  CHECK(sums == 2);
}

AuditResult WithUnknownViews() {
  AuditResult result;
  for (const uint8_t devfn : std::to_array<uint8_t>({0x08, 0x10, 0x18})) {
    result.machine.inventory.devices.emplace_back().bdf = Bdf{0, 0, devfn};
  }
  result.coverage.resize(3);
  result.views.attached = result.views.unknown = 3;
  result.views.gaps = {{ViewGap::kUnitUnreadable, {0, 2}}, {ViewGap::kTopUnknown, {1}}};
  return result;
}

TEST_CASE("why a view is not known is in both reports, by reasons") {
  StringOutput out;
  WriteJsonReport({}, WithUnknownViews(), DiagnosticSink(), out);
  const nlohmann::json gaps =
      nlohmann::json::parse(out.text())["coverage"]["kernel_view"]["unknown_because"];
  REQUIRE(gaps.size() == 2);
  CHECK(gaps[0]["reason"] == "unit-unreadable");
  CHECK(gaps[0]["devices"] == nlohmann::json({"0000:00:01.0", "0000:00:03.0"}));
  CHECK(gaps[1]["reason"] == "top-unknown");
  CHECK(gaps[1]["text"] == Describe(ViewGap::kTopUnknown));
  CHECK(gaps[1]["devices"] == nlohmann::json({"0000:00:02.0"}));

  StringOutput text;
  WriteTextReport({}, WithUnknownViews(), {}, text);
  CHECK(text.text().find("2 devices: the kernel's structure of the unit could not be read\n") !=
        std::string::npos);
  CHECK(text.text().find("1 device: the top table of the kernel's domain is not known\n") !=
        std::string::npos);
}

TEST_CASE("every reason of an unknown view has a word in the schema") {
  using nlohmann::literals::operator""_json_pointer;
  std::ifstream file(DMAUDIT_DOCS "/report.schema.json");
  const nlohmann::json schema = nlohmann::json::parse(file);
  const nlohmann::json words = schema.at(
      "/$defs/report/properties/coverage/properties/kernel_view/properties/unknown_because/items/"
      "properties/reason/enum"_json_pointer);
  REQUIRE(words.size() == static_cast<size_t>(ViewGap::kInherited) + 1);
  for (size_t i = 0; i < words.size(); ++i) {
    CHECK(words[i] == ToString(static_cast<ViewGap>(i)));
  }
}

}  // namespace
}  // namespace dmaudit
