// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

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

}  // namespace
}  // namespace dmaudit
