// SPDX-License-Identifier: GPL-2.0-or-later
// Dumps made from a text recipe, with the state that every page must have: tests/recipes/README.md
// describes the language.
#ifndef DMAUDIT_TESTS_SUPPORT_RECIPE_H_
#define DMAUDIT_TESTS_SUPPORT_RECIPE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace dmaudit::test {

using Words = std::vector<std::string>;

// Throws std::runtime_error: a recipe must not say that.
[[noreturn]] void RecipeError(const std::string& what);

// A file under construction. Names for its places and fields are what mutations refer to.
struct RecipeFile {
  struct Field {
    uint64_t offset;
    size_t size;
  };
  std::string name = "dump";
  std::vector<std::byte> bytes;
  ByteOrder order = ByteOrder::kLittle;
  std::map<std::string, uint64_t> marks;
  std::map<std::string, Field> fields;

  void Put(uint64_t offset, size_t size, uint64_t value);
  void PutField(const std::string& field, uint64_t value);
  void Append(std::span<const std::byte> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
  }
};

// Describes one container format. Throws std::runtime_error on what a recipe must not say.
class RecipeFormat {
 public:
  virtual ~RecipeFormat() = default;
  // One line of the description.
  virtual void Describe(const Words& words) = 0;
  // One file, or the parts of a split dump.
  virtual std::vector<RecipeFile> Build() = 0;
};

// `words` are "dump FORMAT KEY=VALUE...".
std::unique_ptr<RecipeFormat> MakeKdumpFormat(const Words& words);
std::unique_ptr<RecipeFormat> MakeElfFormat(const Words& words);
std::unique_ptr<RecipeFormat> MakeImageFormat(const Words& words);  // lime, avml, raw

// KEY=VALUE words; each may be taken once, Done() complains about what is left.
class RecipeKeys {
 public:
  RecipeKeys(const Words& words, size_t from);
  std::string Text(const std::string& key, const std::string& fallback);
  uint64_t Number(const std::string& key, uint64_t fallback);
  void Done() const;

 private:
  std::map<std::string, std::string> values_;
};

uint64_t RecipeNumber(const std::string& word);
// "5" or "5-9".
std::pair<uint64_t, uint64_t> RecipeRange(const std::string& word);
// The rest of a line from the n-th word on, with \n for a line break.
std::string RecipeText(const Words& words, size_t from);
// What a page holds that a recipe gives the number `seed`.
std::vector<std::byte> RecipePage(uint64_t seed, size_t size);

// `size` bytes from physical address `first` on, where the page of `first` holds that of `seed`,
// the next one that of seed + 1, and so on.
std::vector<std::byte> RecipeMemory(uint64_t first, uint64_t size, uint64_t seed);

// The files a recipe makes, by name, in their order.
std::vector<RecipeFile> MakeRecipe(std::string_view recipe);

// Makes the dump, opens it and compares. Gives what is wrong, one per line; empty when all is as
// the recipe expects.
std::string CheckRecipe(std::string_view recipe);

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_RECIPE_H_
