// SPDX-License-Identifier: GPL-2.0-or-later
// Words, places and contents of recipes.
#include <fmt/format.h>

#include <cstdlib>
#include <stdexcept>

#include "support/dump_builder.h"
#include "support/recipe.h"

namespace dmaudit::test {

void RecipeError(const std::string& what) { throw std::runtime_error(what); }

void RecipeFile::Put(uint64_t offset, size_t size, uint64_t value) {
  if (size == 0 || size > 8 || offset > bytes.size() || size > bytes.size() - offset) {
    RecipeError(fmt::format("{} bytes at {:#x} are outside of the file", size, offset));
  }
  for (size_t i = 0; i < size; ++i) {
    const size_t shift = order == ByteOrder::kLittle ? i : size - 1 - i;
    bytes[offset + i] = static_cast<std::byte>(value >> (8 * shift));
  }
}

void RecipeFile::PutField(const std::string& field, uint64_t value) {
  const auto place = fields.find(field);
  if (place == fields.end()) RecipeError("no field " + field);
  Put(place->second.offset, place->second.size, value);
}

RecipeKeys::RecipeKeys(const Words& words, size_t from) {
  for (size_t i = from; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    if (equals == std::string::npos) RecipeError("not KEY=VALUE: " + words[i]);
    values_[words[i].substr(0, equals)] = words[i].substr(equals + 1);
  }
}

std::string RecipeKeys::Text(const std::string& key, const std::string& fallback) {
  const auto found = values_.extract(key);
  return found.empty() ? fallback : found.mapped();
}

uint64_t RecipeKeys::Number(const std::string& key, uint64_t fallback) {
  const auto found = values_.extract(key);
  return found.empty() ? fallback : RecipeNumber(found.mapped());
}

void RecipeKeys::Done() const {
  if (!values_.empty()) RecipeError("no such key: " + values_.begin()->first);
}

uint64_t RecipeNumber(const std::string& word) {
  char* end = nullptr;
  const bool negative = word.starts_with('-');
  const uint64_t value = std::strtoull(word.c_str() + (negative ? 1 : 0), &end, 0);
  if (word.empty() || *end != '\0') RecipeError("not a number: " + word);
  return negative ? 0 - value : value;
}

std::pair<uint64_t, uint64_t> RecipeRange(const std::string& word) {
  const size_t dash = word.find('-');
  const uint64_t first = RecipeNumber(word.substr(0, dash));
  if (dash == std::string::npos) return {first, first};
  return {first, RecipeNumber(word.substr(dash + 1))};
}

std::string RecipeText(const Words& words, size_t from) {
  std::string text;
  for (size_t i = from; i < words.size(); ++i) {
    if (i != from) text += ' ';
    text += words[i];
  }
  for (size_t at; (at = text.find("\\n")) != std::string::npos;) {
    text[at] = '\n';
    text.erase(at + 1, 1);
  }
  return text;
}

std::vector<std::byte> RecipePage(uint64_t seed, size_t size) {
  std::vector<std::byte> page(size);
  for (size_t i = 0; i < size; i += 8) {
    StoreUnchecked<uint64_t>(page, i, (seed << 32) | (i / 64 + 1));
  }
  return page;
}

std::vector<std::byte> RecipeMemory(uint64_t first, uint64_t size, uint64_t seed) {
  std::vector<std::byte> memory;
  const uint64_t skip = first % kTestPage;
  for (uint64_t done = 0; done < skip + size; done += kTestPage, ++seed) {
    const std::vector<std::byte> page = RecipePage(seed, kTestPage);
    memory.insert(memory.end(), page.begin(), page.end());
  }
  memory.erase(memory.begin(), memory.begin() + static_cast<ptrdiff_t>(skip));
  memory.resize(static_cast<size_t>(size));
  return memory;
}

}  // namespace dmaudit::test
