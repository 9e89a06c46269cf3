// SPDX-License-Identifier: GPL-2.0-or-later
// recipes check FOLDER...: makes the dump of every *.recipe below the folders and compares what is
// read with what the recipe expects. recipes make RECIPE FOLDER: writes the files of one recipe.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "base/bytes.h"
#include "support/recipe.h"

namespace {

namespace fs = std::filesystem;

std::string ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int Check(int count, char** folders) {
  std::set<fs::path> recipes;
  for (int i = 0; i < count; ++i) {
    for (const auto& entry : fs::recursive_directory_iterator(folders[i])) {
      if (entry.path().extension() == ".recipe") recipes.insert(entry.path());
    }
  }
  unsigned failed = 0;
  for (const fs::path& path : recipes) {
    const std::string wrong = dmaudit::test::CheckRecipe(ReadText(path));
    if (wrong.empty()) continue;
    ++failed;
    std::printf("%s\n%s\n", path.c_str(), wrong.c_str());
  }
  std::printf("%zu recipes, %u failed\n", recipes.size(), failed);
  return failed == 0 && !recipes.empty() ? 0 : 1;
}

int Make(const char* recipe, const fs::path& folder) {
  fs::create_directories(folder);
  for (const auto& file : dmaudit::test::MakeRecipe(ReadText(recipe))) {
    std::ofstream(folder / file.name, std::ios::binary) << dmaudit::AsText(file.bytes);
    std::printf("%s\n", (folder / file.name).c_str());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "check" && argc > 2) return Check(argc - 2, argv + 2);
  if (verb == "make" && argc == 4) return Make(argv[2], argv[3]);
  std::fputs("usage: recipes check FOLDER... | recipes make RECIPE FOLDER\n", stderr);
  return 2;
}
