// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <set>
#include <sstream>
#include <utility>

#include "support/flatten.h"
#include "support/recipe_expectations.h"
#include "vmcore/dump.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit::test {
namespace {

Words Split(const std::string& line) {
  std::istringstream stream(line);
  Words words;
  for (std::string word; stream >> word;) {
    if (word[0] == '#') break;
    words.push_back(word);
  }
  return words;
}

class RecipeRun {
 public:
  explicit RecipeRun(std::string_view text) {
    std::istringstream stream{std::string(text)};
    unsigned number = 0;
    for (std::string line; std::getline(stream, line);) {
      ++number;
      const Words words = Split(line);
      if (words.empty()) continue;
      try {
        Line(words);
      } catch (const std::exception& error) {
        RecipeError(fmt::format("line {}: {}", number, error.what()));
      }
    }
    BuildPending();
  }

  std::vector<RecipeFile> files() const { return files_; }
  std::string Check() const;

 private:
  void Line(const Words& words);
  void Mutate(const Words& words);
  void Flatten(const Words& words);
  void BuildPending();
  RecipeFile& current() {
    if (files_.empty()) RecipeError("no dump yet");
    return files_[current_];
  }
  uint64_t Position(const std::string& word);
  const RecipeFile& Named(const std::string& name) const;

  std::unique_ptr<RecipeFormat> pending_;
  std::vector<RecipeFile> files_;
  size_t current_ = 0;
  Words open_;
  OpenOptions options_;
  RecipeExpectations expectations_;
};

void RecipeRun::Line(const Words& words) {
  const std::string& verb = words[0];
  if (verb == "dump") {
    BuildPending();
    if (words.size() < 2) RecipeError("dump of what?");
    if (words[1] == "kdump") {
      pending_ = MakeKdumpFormat(words);
    } else if (words[1] == "elf") {
      pending_ = MakeElfFormat(words);
    } else if (words[1] == "lime" || words[1] == "avml" || words[1] == "raw") {
      pending_ = MakeImageFormat(words);
    } else {
      RecipeError("no such format: " + words[1]);
    }
    return;
  }
  if (verb == "expect") {
    BuildPending();
    return expectations_.Add(words);
  }
  static const std::set<std::string> mutations = {"set",  "put",  "fill",    "cut",    "append",
                                                  "name", "copy", "flatten", "record", "header",
                                                  "in",   "end",  "open",    "as-raw"};
  if (mutations.contains(verb)) {
    BuildPending();
    return Mutate(words);
  }
  if (!pending_) RecipeError("no such word: " + verb);
  pending_->Describe(words);
}

void RecipeRun::BuildPending() {
  if (!pending_) return;
  current_ = files_.size();
  for (RecipeFile& file : pending_->Build()) {
    file.marks["end"] = file.bytes.size();
    files_.push_back(std::move(file));
  }
  pending_.reset();
}

uint64_t RecipeRun::Position(const std::string& word) {
  const size_t sign = word.find_first_of("+-", 1);
  const std::string name = word.substr(0, sign);
  const auto mark = current().marks.find(name);
  uint64_t value = mark != current().marks.end() ? mark->second : RecipeNumber(name);
  if (sign != std::string::npos) {
    const uint64_t by = RecipeNumber(word.substr(sign + 1));
    value = word[sign] == '+' ? value + by : value - by;
  }
  return value;
}

const RecipeFile& RecipeRun::Named(const std::string& name) const {
  for (const RecipeFile& file : files_) {
    if (file.name == name) return file;
  }
  RecipeError("no file " + name);
}

void RecipeRun::Mutate(const Words& words) {
  const std::string& verb = words[0];
  RecipeFile& file = current();
  const auto word = [&words](size_t i) -> const std::string& {
    if (i >= words.size()) RecipeError("a word is missing");
    return words[i];
  };
  if (verb == "set") {
    file.PutField(word(1), Position(word(2)));
  } else if (verb == "put") {
    file.Put(Position(word(1)), RecipeNumber(word(2)) / 8, Position(word(3)));
  } else if (verb == "fill") {
    const uint64_t at = Position(word(1));
    const uint64_t size = Position(word(2));
    if (at + size > file.bytes.size()) RecipeError("beyond the end");
    std::fill_n(file.bytes.begin() + static_cast<ptrdiff_t>(at), size,
                static_cast<std::byte>(RecipeNumber(word(3))));
  } else if (verb == "cut") {
    const uint64_t at = Position(word(1));
    if (at >= file.bytes.size()) RecipeError("cuts nothing");
    file.bytes.resize(at);
  } else if (verb == "append") {
    file.bytes.resize(file.bytes.size() + RecipeNumber(word(1)),
                      static_cast<std::byte>(words.size() > 2 ? RecipeNumber(words[2]) : 0));
  } else if (verb == "name") {
    file.name = word(1);
  } else if (verb == "copy") {
    RecipeFile copy = Named(word(1));
    copy.name = word(2);
    files_.push_back(std::move(copy));
    current_ = files_.size() - 1;
  } else if (verb == "in") {
    const RecipeFile* named = &Named(word(1));
    current_ = static_cast<size_t>(named - files_.data());
  } else if (verb == "open") {
    open_.assign(words.begin() + 1, words.end());
  } else if (verb == "as-raw") {
    options_.raw_base = PhysAddr(RecipeNumber(word(1)));
  } else {
    Flatten(words);
  }
}

// "flatten records=N seed=N" turns the whole file into a stream. "flatten by-hand" starts one to
// which "record FROM SIZE [BYTE]", "header OFFSET SIZE" and "end" add.
void RecipeRun::Flatten(const Words& words) {
  RecipeFile& file = current();
  const std::string& verb = words[0];
  if (verb == "flatten" && words.size() == 2 && words[1] == "by-hand") {
    RecipeFile image = file;
    image.name = file.name + ".image";
    file.bytes = FlatStream().bytes();
    files_.push_back(std::move(image));
    return;
  }
  if (verb == "flatten") {
    RecipeKeys keys(words, 1);
    const uint64_t size = keys.Number("records", 4096);
    const uint64_t seed = keys.Number("seed", 0);
    keys.Done();
    file.bytes = test::Flatten(file.bytes, size, seed);
    file.marks["stream_end"] = file.bytes.size();
    return;
  }
  FlatStream stream;
  stream.bytes() = std::move(file.bytes);
  if (verb == "end") {
    stream.End();
  } else if (verb == "header") {
    stream.Header(static_cast<int64_t>(RecipeNumber(words.at(1))),
                  static_cast<int64_t>(RecipeNumber(words.at(2))));
  } else if (verb == "record") {
    const std::vector<std::byte>& image = Named(file.name + ".image").bytes;
    const uint64_t from = Position(words.at(1));
    uint64_t size =
        words.at(2)[0] == '+' ? RecipeNumber(words[2].substr(1)) : Position(words[2]) - from;
    if (words.size() > 3) {
      stream.Record(from,
                    std::vector<std::byte>(size, static_cast<std::byte>(RecipeNumber(words[3]))));
    } else {
      if (from + size > image.size()) RecipeError("beyond the image");
      stream.Record(from, std::span(image).subspan(from, size));
    }
  }
  file.bytes = std::move(stream.bytes());
  file.marks["stream_end"] = file.bytes.size();
}

std::string RecipeRun::Check() const {
  Words names = open_;
  if (names.empty()) {
    for (const RecipeFile& file : files_) {
      if (!file.name.ends_with(".image")) names.push_back(file.name);
    }
  }
  std::vector<DumpInput> inputs;
  for (const std::string& name : names) {
    inputs.push_back({name, std::make_shared<MemorySource>(Named(name).bytes)});
  }
  return expectations_.Check(std::move(inputs), options_);
}

}  // namespace

std::vector<RecipeFile> MakeRecipe(std::string_view recipe) { return RecipeRun(recipe).files(); }

std::string CheckRecipe(std::string_view recipe) {
  try {
    return RecipeRun(recipe).Check();
  } catch (const std::exception& error) {
    return fmt::format("the recipe is wrong: {}\n", error.what());
  }
}

}  // namespace dmaudit::test
