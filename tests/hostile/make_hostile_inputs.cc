// SPDX-License-Identifier: GPL-2.0-or-later
// make_hostile_inputs FOLDER: writes every hostile input into FOLDER, and prints one line for each:
// file name, tab, name, tab, required outcome.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "hostile/hostile_inputs.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_hostile_inputs FOLDER\n", stderr);
    return 2;
  }
  unsigned number = 0;
  for (const dmaudit::test::HostileInput& input : dmaudit::test::HostileInputs()) {
    const std::string file = fmt::format("{:03}", ++number);
    std::ofstream(std::filesystem::path(argv[1]) / file, std::ios::binary)
        << dmaudit::AsText(input.bytes);
    fmt::print("{}\t{}\t{}\n", file, input.name, input.outcome);
  }
  return 0;
}
