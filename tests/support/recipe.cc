// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>

#include "support/dump_builder.h"
#include "support/flatten.h"
#include "vmcore/dump.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit::test {
namespace {

[[noreturn]] void Bad(const std::string& what) { throw std::runtime_error(what); }

Words Split(const std::string& line) {
  std::istringstream stream(line);
  Words words;
  for (std::string word; stream >> word;) {
    if (word[0] == '#') break;
    words.push_back(word);
  }
  return words;
}

// What is expected of one page.
struct ExpectedPage {
  std::string state;                                    // "data", ..., or "mixed"
  uint64_t seed = 0;                                    // content of data
  bool zeros = false;                                   // data of zeros
  std::vector<std::pair<std::string, uint32_t>> parts;  // of "mixed": state and size
};

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
        Bad(fmt::format("line {}: {}", number, error.what()));
      }
    }
    BuildPending();
  }

  std::vector<RecipeFile> files() const { return files_; }
  std::string Check();

 private:
  void Line(const Words& words);
  void Mutate(const Words& words);
  void Flatten(const Words& words);
  void Expect(const Words& words);
  void BuildPending();
  RecipeFile& current() {
    if (files_.empty()) Bad("no dump yet");
    return files_[current_];
  }
  uint64_t Position(const std::string& word);
  const RecipeFile& Named(const std::string& name) const;

  void Complain(const std::string& what) { wrong_ += what + "\n"; }
  void CheckDump(const Dump& dump, const DiagnosticSink& sink);
  void CheckPage(const Dump& dump, DecodeContext& context, uint64_t frame,
                 const ExpectedPage& want);
  void CheckDescribed(const Dump& dump);

  std::unique_ptr<RecipeFormat> pending_;
  std::vector<RecipeFile> files_;
  size_t current_ = 0;
  Words open_;
  OpenOptions options_;

  bool expects_ = false;
  std::optional<std::string> error_;
  std::map<uint64_t, ExpectedPage> pages_;
  std::string says_;
  bool incomplete_ = false;
  std::vector<std::pair<std::string, std::string>> info_;
  std::string wrong_;
};

void RecipeRun::Line(const Words& words) {
  const std::string& verb = words[0];
  if (verb == "dump") {
    BuildPending();
    if (words.size() < 2) Bad("dump of what?");
    if (words[1] == "kdump") {
      pending_ = MakeKdumpFormat(words);
    } else if (words[1] == "elf") {
      pending_ = MakeElfFormat(words);
    } else if (words[1] == "lime" || words[1] == "avml" || words[1] == "raw") {
      pending_ = MakeImageFormat(words);
    } else {
      Bad("no such format: " + words[1]);
    }
    return;
  }
  if (verb == "expect") {
    BuildPending();
    return Expect(words);
  }
  static const std::set<std::string> mutations = {"set",  "put",  "fill",    "cut",    "append",
                                                  "name", "copy", "flatten", "record", "header",
                                                  "in",   "end",  "open",    "as-raw"};
  if (mutations.contains(verb)) {
    BuildPending();
    return Mutate(words);
  }
  if (!pending_) Bad("no such word: " + verb);
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
  Bad("no file " + name);
}

void RecipeRun::Mutate(const Words& words) {
  const std::string& verb = words[0];
  RecipeFile& file = current();
  const auto word = [&words](size_t i) -> const std::string& {
    if (i >= words.size()) Bad("a word is missing");
    return words[i];
  };
  if (verb == "set") {
    file.PutField(word(1), Position(word(2)));
  } else if (verb == "put") {
    file.Put(Position(word(1)), RecipeNumber(word(2)) / 8, Position(word(3)));
  } else if (verb == "fill") {
    const uint64_t at = Position(word(1));
    const uint64_t size = Position(word(2));
    if (at + size > file.bytes.size()) Bad("beyond the end");
    std::fill_n(file.bytes.begin() + static_cast<ptrdiff_t>(at), size,
                static_cast<std::byte>(RecipeNumber(word(3))));
  } else if (verb == "cut") {
    const uint64_t at = Position(word(1));
    if (at >= file.bytes.size()) Bad("cuts nothing");
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
      if (from + size > image.size()) Bad("beyond the image");
      stream.Record(from, std::span(image).subspan(from, size));
    }
  }
  file.bytes = std::move(stream.bytes());
  file.marks["stream_end"] = file.bytes.size();
}

void RecipeRun::Expect(const Words& words) {
  expects_ = true;
  const std::string what = words.size() > 1 ? words[1] : "";
  if (what == "error") {
    error_ = RecipeText(words, 2);
  } else if (what == "page") {
    const auto [first, last] = RecipeRange(words.at(2));
    for (uint64_t frame = first; frame <= last; ++frame) {
      ExpectedPage page;
      page.seed = frame;
      page.state = words.at(3);
      if (page.state == "mixed") {
        for (size_t i = 4; i < words.size(); ++i) {
          const size_t colon = words[i].find(':');
          page.parts.emplace_back(words[i].substr(0, colon),
                                  static_cast<uint32_t>(RecipeNumber(words[i].substr(colon + 1))));
        }
      } else if (words.size() > 4 && words[4] == "zeros") {
        page.zeros = true;
      } else if (words.size() > 4) {
        page.seed = RecipeNumber(words[4]);
      }
      if (!pages_.emplace(frame, page).second) Bad("a page is expected twice");
    }
  } else if (what == "says") {
    says_ = RecipeText(words, 2);
  } else if (what == "incomplete") {
    incomplete_ = true;
  } else if (what == "info") {
    info_.emplace_back(words.at(2), RecipeText(words, 3));
  } else {
    Bad("expects what?");
  }
}

std::string RecipeRun::Check() {
  if (!expects_) return "the recipe expects nothing\n";
  std::vector<DumpInput> inputs;
  Words names = open_;
  if (names.empty()) {
    for (const RecipeFile& file : files_) {
      if (!file.name.ends_with(".image")) names.push_back(file.name);
    }
  }
  for (const std::string& name : names) {
    inputs.push_back({name, std::make_shared<MemorySource>(Named(name).bytes)});
  }
  DiagnosticSink sink;
  const Result<std::vector<Dump>> dumps = OpenInputs(std::move(inputs), sink, options_);
  if (error_) {
    if (dumps) {
      Complain("opened, though an error is expected");
    } else if (dumps.error().message.find(*error_) == std::string::npos) {
      Complain("another error: " + dumps.error().message);
    }
    return wrong_;
  }
  if (!dumps) {
    Complain("does not open: " + dumps.error().message);
  } else if (dumps->size() != 1) {
    Complain(fmt::format("{} dumps", dumps->size()));
  } else {
    CheckDump(dumps->front(), sink);
  }
  return wrong_;
}

void RecipeRun::CheckDump(const Dump& dump, const DiagnosticSink& sink) {
  if (Ids(sink) != says_) Complain(fmt::format("says \"{}\", not \"{}\"", Ids(sink), says_));
  if (dump.info.incomplete != incomplete_) {
    Complain(incomplete_ ? "does not claim to be incomplete" : "claims to be incomplete");
  }
  if (incomplete_ && !sink.incomplete()) Complain("no diagnostic says that it is incomplete");
  const std::map<std::string, std::string> info = {{"format", dump.info.format},
                                                   {"detail", dump.info.format_detail},
                                                   {"machine", dump.info.machine},
                                                   {"compression", dump.info.compression}};
  for (const auto& [key, value] : info_) {
    if (key == "note") {
      const bool found =
          std::any_of(dump.notes.begin(), dump.notes.end(), [&value = value](const DumpNote& note) {
            return value == note.name + " " + std::string(AsText(note.descriptor));
          });
      if (!found) Complain("no note: " + value);
    } else if (info.at(key) != value) {
      Complain(fmt::format("{} is \"{}\", not \"{}\"", key, info.at(key), value));
    }
  }
  // Once in order, once against it: a context must not remember the wrong thing.
  const auto context = dump.memory->MakeContext();
  for (const auto& [frame, page] : pages_) CheckPage(dump, *context, frame, page);
  for (auto it = pages_.rbegin(); it != pages_.rend() && wrong_.empty(); ++it) {
    CheckPage(dump, *context, it->first, it->second);
  }
  CheckDescribed(dump);
}

void RecipeRun::CheckPage(const Dump& dump, DecodeContext& context, uint64_t frame,
                          const ExpectedPage& want) {
  const uint32_t size = dump.memory->page_size();
  const PhysAddr base(frame * size);
  Page page;
  dump.memory->ReadPage(base, context, page);
  std::string got;
  for (const PageExtent& extent : page.extents) {
    got += fmt::format("{}{}:{:#x}", got.empty() ? "" : " ", ToString(extent.state), extent.size);
  }
  std::string wanted;
  if (want.state == "mixed") {
    for (const auto& [state, bytes] : want.parts) {
      wanted += fmt::format("{}{}:{:#x}", wanted.empty() ? "" : " ", state, bytes);
    }
  } else {
    wanted = fmt::format("{}:{:#x}", want.state, size);
  }
  if (got != wanted) return Complain(fmt::format("page {:#x} is {}, not {}", frame, got, wanted));
  const std::vector<std::byte> content =
      want.zeros ? std::vector<std::byte>(size) : RecipePage(want.seed, size);
  for (const PageExtent& extent : page.extents) {
    const bool data = extent.state == ByteState::kData;
    for (uint32_t i = extent.offset; i < extent.offset + extent.size; ++i) {
      if (page.bytes[i] == (data ? content[i] : std::byte{0})) continue;
      return Complain(fmt::format("page {:#x}: byte {:#x} is wrong", frame, i));
    }
  }
  // What can be told without decoding is right, or too hopeful.
  const ByteState hint = dump.memory->PageStateHint(base);
  const PageExtent bad = page.FirstUnreadable(0, size);
  const bool decoding = hint == ByteState::kData &&
                        (bad.state == ByteState::kCorrupt || bad.state == ByteState::kTruncated);
  if (hint != bad.state && !(IsReadable(hint) && IsReadable(bad.state)) && !decoding) {
    Complain(fmt::format("page {:#x}: the hint is {}", frame, ToString(hint)));
  }
}

// Every page that the dump describes, and every page it says it stores, is expected to be
// something.
void RecipeRun::CheckDescribed(const Dump& dump) {
  const uint64_t size = dump.memory->page_size();
  constexpr uint64_t kMaxPages = 100000;
  constexpr unsigned kMaxComplaints = 20;
  uint64_t pages = 0;
  unsigned complaints = 0;
  dump.memory->VisitRam([&](PhysRange range) {
    for (uint64_t frame = range.first.value() / size; frame <= range.last.value() / size; ++frame) {
      const auto page = pages_.find(frame);
      if (page == pages_.end()) {
        Complain(fmt::format("nothing is expected of page {:#x}", frame));
        if (++complaints == kMaxComplaints) return false;
      }
      if (page != pages_.end() && page->second.state == "absent") {
        Complain(fmt::format("page {:#x} is described", frame));
      }
      if (++pages > kMaxPages) return false;
    }
    return true;
  });
  std::set<uint64_t> stored;
  dump.memory->VisitStored([&](PhysAddr base, uint32_t) {
    stored.insert(base.value() / size);
    return stored.size() < kMaxPages;
  });
  for (const auto& [frame, page] : pages_) {
    const bool data = page.state == "data";
    if (data && !stored.contains(frame)) {
      Complain(fmt::format("page {:#x} is not visited as stored", frame));
    }
    if ((page.state == "excluded" || page.state == "absent" || page.state == "lost") &&
        stored.contains(frame)) {
      Complain(fmt::format("page {:#x} is visited as stored", frame));
    }
  }
}

}  // namespace

void RecipeFile::Put(uint64_t offset, size_t size, uint64_t value) {
  if (size == 0 || size > 8 || offset > bytes.size() || size > bytes.size() - offset) {
    Bad(fmt::format("{} bytes at {:#x} are outside of the file", size, offset));
  }
  for (size_t i = 0; i < size; ++i) {
    const size_t shift = order == ByteOrder::kLittle ? i : size - 1 - i;
    bytes[offset + i] = static_cast<std::byte>(value >> (8 * shift));
  }
}

void RecipeFile::PutField(const std::string& field, uint64_t value) {
  const auto place = fields.find(field);
  if (place == fields.end()) Bad("no field " + field);
  Put(place->second.offset, place->second.size, value);
}

RecipeKeys::RecipeKeys(const Words& words, size_t from) {
  for (size_t i = from; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    if (equals == std::string::npos) Bad("not KEY=VALUE: " + words[i]);
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
  if (!values_.empty()) Bad("no such key: " + values_.begin()->first);
}

uint64_t RecipeNumber(const std::string& word) {
  char* end = nullptr;
  const bool negative = word.starts_with('-');
  const uint64_t value = std::strtoull(word.c_str() + (negative ? 1 : 0), &end, 0);
  if (word.empty() || *end != '\0') Bad("not a number: " + word);
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
  for (size_t i = from; i < words.size(); ++i) text += (i == from ? "" : " ") + words[i];
  for (size_t at; (at = text.find("\\n")) != std::string::npos;) text.replace(at, 2, "\n");
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

std::vector<RecipeFile> MakeRecipe(std::string_view recipe) { return RecipeRun(recipe).files(); }

std::string CheckRecipe(std::string_view recipe) {
  try {
    return RecipeRun(recipe).Check();
  } catch (const std::exception& error) {
    return fmt::format("the recipe is wrong: {}\n", error.what());
  }
}

}  // namespace dmaudit::test
