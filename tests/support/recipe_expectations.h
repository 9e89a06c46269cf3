// SPDX-License-Identifier: GPL-2.0-or-later
// What a recipe expects of the dump that it makes.
#ifndef DMAUDIT_TESTS_SUPPORT_RECIPE_EXPECTATIONS_H_
#define DMAUDIT_TESTS_SUPPORT_RECIPE_EXPECTATIONS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/diagnostics.h"
#include "support/recipe.h"
#include "vmcore/dump.h"

namespace dmaudit::test {

class RecipeExpectations {
 public:
  // "expect WHAT ...".
  void Add(const Words& words);
  // Opens the dump. Gives what is wrong, one per line; empty when all is as expected.
  std::string Check(std::vector<DumpInput> inputs, const OpenOptions& options) const;

 private:
  // What is expected of one page.
  struct ExpectedPage {
    std::string state;                                    // "data", ..., or "mixed"
    uint64_t seed = 0;                                    // content of data
    bool zeros = false;                                   // data of zeros
    std::vector<std::pair<std::string, uint32_t>> parts;  // of "mixed": state and size
  };

  std::string CheckDump(const Dump& dump, const DiagnosticSink& sink) const;
  // Gives nothing, or what is wrong.
  static std::string CheckPage(const Dump& dump, DecodeContext& context, uint64_t frame,
                               const ExpectedPage& want);
  std::string CheckDescribed(const Dump& dump) const;

  bool any_ = false;
  std::optional<std::string> error_;
  std::map<uint64_t, ExpectedPage> pages_;
  std::string says_;
  bool incomplete_ = false;
  std::vector<std::pair<std::string, std::string>> info_;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_RECIPE_EXPECTATIONS_H_
