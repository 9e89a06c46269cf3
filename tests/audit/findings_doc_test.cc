// SPDX-License-Identifier: GPL-2.0-or-later
// docs/findings.md is a projection of the registry of findings.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "audit/finding.h"

namespace dmaudit {
namespace {

TEST_CASE("every finding is documented with its severity and condition, and no other is") {
  std::ifstream file(DMAUDIT_DOCS "/findings.md");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  REQUIRE_FALSE(text.empty());
  size_t rows = 0;
  for (size_t at = text.find("\n| `"); at != std::string::npos; at = text.find("\n| `", at + 1))
    ++rows;
  CHECK(rows == findings::All().size());
  for (const FindingKind* kind : findings::All()) {
    const std::string row =
        fmt::format("| `{}` | {} | {} |\n", kind->id, ToString(kind->severity), kind->condition);
    CHECK_MESSAGE(text.find(row) != std::string::npos, "missing: " << row);
  }
}

TEST_CASE("ids are unique") {
  std::set<std::string_view> ids;
  for (const FindingKind* kind : findings::All()) CHECK(ids.insert(kind->id).second);
}

}  // namespace
}  // namespace dmaudit
