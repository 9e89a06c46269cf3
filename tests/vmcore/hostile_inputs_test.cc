// SPDX-License-Identifier: GPL-2.0-or-later
// Every hostile input has exactly the outcome that its row requires.
#include "hostile/hostile_inputs.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <memory>
#include <set>
#include <utility>

#include "support/dump_builder.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit {
namespace {

using namespace test;

// The state of a known page; what a page with several states lacks counts.
std::string StateOf(const Dump& dump, const KnownPage& known) {
  const Page page = ReadPageAt(dump, known.first);
  for (const PageExtent& extent : page.extents) {
    if (!IsReadable(extent.state)) return std::string(ToString(extent.state));
  }
  return page.bytes == PatternPage(known.second) ? "data" : "elsewhere";
}

std::string Outcome(const HostileInput& input) {
  DiagnosticSink sink;
  std::vector<DumpInput> files;
  for (const std::vector<std::byte>& file : input.files) {
    files.push_back({"dump", std::make_shared<MemorySource>(file)});
  }
  const Result<std::vector<Dump>> dumps = OpenInputs(std::move(files), sink);
  if (!dumps) return "refused: " + dumps.error().message;
  if (dumps->size() != 1) return fmt::format("{} dumps", dumps->size());
  const Dump& dump = dumps->front();
  std::string outcome;
  for (const KnownPage& page : input.pages) outcome += StateOf(dump, page) + " ";
  outcome += "|";
  for (const std::string& id : {Ids(sink)}) {
    if (!id.empty()) outcome += " " + id;
  }
  return outcome;
}

TEST_CASE("hostile inputs: at least 150, all different") {
  std::set<std::string> names;
  std::set<std::vector<std::vector<std::byte>>> contents;
  for (const HostileInput& input : HostileInputs()) {
    CHECK_MESSAGE(names.insert(input.name).second, input.name);
    CHECK_MESSAGE(contents.insert(input.files).second, input.name);
  }
  CHECK(names.size() >= 150);
}

TEST_CASE("hostile inputs: each has the outcome that its row requires") {
  for (const HostileInput& input : HostileInputs()) {
    const std::string outcome = Outcome(input);
    constexpr std::string_view kRefused = "refused: ";
    CAPTURE(input.name);
    if (input.outcome.starts_with(kRefused)) {
      const std::string_view words = input.outcome.substr(kRefused.size());
      CHECK(outcome.starts_with("refused: dump: "));
      CHECK(outcome.find('\n') == std::string::npos);
      CHECK_MESSAGE(outcome.find(words) != std::string::npos, outcome);
    } else {
      CHECK(outcome == input.outcome);
    }
  }
}

}  // namespace
}  // namespace dmaudit
