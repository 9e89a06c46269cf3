// SPDX-License-Identifier: GPL-2.0-or-later
// "dump lime", "dump avml" and "dump raw": images of memory with next to nothing around it.
#include <stdexcept>

#include "support/lime_builder.h"
#include "support/recipe.h"

namespace dmaudit::test {
namespace {

enum class Kind : uint8_t { kLime, kAvml, kRaw };

class ImageFormat : public RecipeFormat {
 public:
  ImageFormat(const Words& words, Kind kind) : kind_(kind) { RecipeKeys(words, 2).Done(); }

  void Describe(const Words& words) override {
    if (words[0] != "range") throw std::runtime_error("no such word: " + words[0]);
    const uint64_t first = RecipeNumber(words.at(1));
    const uint64_t size = RecipeNumber(words.at(2));
    RecipeKeys keys(words, 3);
    const uint64_t seed = keys.Number("seed", first / kTestPage);
    const uint64_t chunk = keys.Number("chunk", kTestPage);
    keys.Done();
    const std::vector<std::byte> content = RecipeMemory(first, size, seed);
    const std::string number = std::to_string(ranges_++);
    const size_t header = file_.bytes.size();
    const size_t data = header + (kind_ == Kind::kRaw ? 0 : kLimeHeaderSize);
    file_.marks["range:" + number] = header;
    file_.marks["data:" + number] = data;
    switch (kind_) {
      case Kind::kRaw:
        file_.Append(content);
        return;
      case Kind::kLime:
        AppendLimeRange(file_.bytes, first, content);
        break;
      case Kind::kAvml:
        AppendAvmlBlock(file_.bytes, first, content, chunk);
        file_.marks["length:" + number] = file_.bytes.size() - 8;
        break;
    }
    const std::string prefix = "range:" + number + ".";
    file_.fields[prefix + "magic"] = {header, 4};
    file_.fields[prefix + "version"] = {header + 4, 4};
    file_.fields[prefix + "start"] = {header + 8, 8};
    file_.fields[prefix + "end"] = {header + 16, 8};
  }

  std::vector<RecipeFile> Build() override { return {std::move(file_)}; }

 private:
  Kind kind_;
  RecipeFile file_;
  unsigned ranges_ = 0;
};

}  // namespace

std::unique_ptr<RecipeFormat> MakeImageFormat(const Words& words) {
  const Kind kind = words[1] == "lime"   ? Kind::kLime
                    : words[1] == "avml" ? Kind::kAvml
                                         : Kind::kRaw;
  return std::make_unique<ImageFormat>(words, kind);
}

}  // namespace dmaudit::test
