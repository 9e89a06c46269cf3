// SPDX-License-Identifier: GPL-2.0-or-later
// Files that no writer wrote: a well-formed image, one lie, and what must come of it.
#ifndef DMAUDIT_TESTS_HOSTILE_HOSTILE_INPUTS_H_
#define DMAUDIT_TESTS_HOSTILE_HOSTILE_INPUTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dmaudit::test {

// A page of the well-formed image: where it is, and the seed of its PatternPage.
using KnownPage = std::pair<uint64_t, uint64_t>;

struct HostileInput {
  std::string name;                           // "elf: e_phnum 0"
  std::vector<std::vector<std::byte>> files;  // several: parts of a split dump
  std::vector<KnownPage> pages;
  // "refused: WORDS": opening is one error with these words. Otherwise the state of each known
  // page, "|", and the ids of the diagnostics. A page that is "data" has the bytes of the
  // well-formed image; "elsewhere" is data that the lie moved to another place of the file.
  std::string_view outcome;
};

std::vector<HostileInput> HostileInputs();

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_HOSTILE_HOSTILE_INPUTS_H_
