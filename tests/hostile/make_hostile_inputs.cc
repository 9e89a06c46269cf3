// SPDX-License-Identifier: GPL-2.0-or-later
// make_hostile_inputs FOLDER: writes every hostile input into FOLDER, and prints one line for each:
// file names with blanks between them, tab, name, tab, required outcome.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/bytes.h"
#include "hostile/hostile_inputs.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_hostile_inputs FOLDER\n", stderr);
    return 2;
  }
  unsigned number = 0;
  for (const dmaudit::test::HostileInput& input : dmaudit::test::HostileInputs()) {
    ++number;
    std::string names;
    for (size_t i = 0; i < input.files.size(); ++i) {
      const std::string name = fmt::format("{:03}{}", number, i == 0 ? "" : fmt::format("-{}", i));
      std::ofstream(std::filesystem::path(argv[1]) / name, std::ios::binary)
          << dmaudit::AsText(input.files[i]);
      names += (i == 0 ? "" : " ") + name;
    }
    fmt::print("{}\t{}\t{}\n", names, input.name, input.outcome);
  }
  return 0;
}
