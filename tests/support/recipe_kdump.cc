// SPDX-License-Identifier: GPL-2.0-or-later
// "dump kdump": kdump-compressed files of every version, word size, byte order and block size.
#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>

#include "support/dump_builder.h"
#include "support/recipe.h"

namespace dmaudit::test {
namespace {

struct Place {
  const char* name;
  size_t offset, size;
};

// Main header and sub header fields, by layout: crash diskdump.h, counted by hand.
constexpr Place kMain64[] = {{"header_version", 8, 4},  {"status", 424, 4},
                             {"block_size", 428, 4},    {"sub_hdr_size", 432, 4},
                             {"bitmap_blocks", 436, 4}, {"max_mapnr", 440, 4},
                             {"nr_cpus", 460, 4}};
constexpr Place kMain32[] = {{"header_version", 8, 4},  {"status", 412, 4},
                             {"block_size", 416, 4},    {"sub_hdr_size", 420, 4},
                             {"bitmap_blocks", 424, 4}, {"max_mapnr", 428, 4},
                             {"nr_cpus", 448, 4}};
constexpr Place kSub64[] = {
    {"phys_base", 0, 8},         {"dump_level", 8, 4},      {"split", 12, 4},
    {"start_pfn", 16, 8},        {"end_pfn", 24, 8},        {"offset_vmcoreinfo", 32, 8},
    {"size_vmcoreinfo", 40, 8},  {"offset_note", 48, 8},    {"size_note", 56, 8},
    {"offset_eraseinfo", 64, 8}, {"size_eraseinfo", 72, 8}, {"start_pfn_64", 80, 8},
    {"end_pfn_64", 88, 8},       {"max_mapnr_64", 96, 8}};
constexpr Place kSub32[] = {
    {"phys_base", 0, 4},         {"dump_level", 4, 4},      {"split", 8, 4},
    {"start_pfn", 12, 4},        {"end_pfn", 16, 4},        {"offset_vmcoreinfo", 20, 8},
    {"size_vmcoreinfo", 28, 4},  {"offset_note", 32, 8},    {"size_note", 40, 4},
    {"offset_eraseinfo", 44, 8}, {"size_eraseinfo", 52, 4}, {"start_pfn_64", 56, 8},
    {"end_pfn_64", 64, 8},       {"max_mapnr_64", 72, 8}};
constexpr Place kSub32Padded[] = {
    {"phys_base", 0, 4},         {"dump_level", 4, 4},      {"split", 8, 4},
    {"start_pfn", 12, 4},        {"end_pfn", 16, 4},        {"offset_vmcoreinfo", 24, 8},
    {"size_vmcoreinfo", 32, 4},  {"offset_note", 40, 8},    {"size_note", 48, 4},
    {"offset_eraseinfo", 56, 8}, {"size_eraseinfo", 64, 4}, {"start_pfn_64", 72, 8},
    {"end_pfn_64", 80, 8},       {"max_mapnr_64", 88, 8}};
constexpr size_t kSubSize = 104;

struct Codec {
  const char* name;
  PageCodec codec;
  uint32_t flag;
};
constexpr Codec kCodecs[] = {{"raw", PageCodec::kRaw, 0},
                             {"zlib", PageCodec::kZlib, 1},
                             {"lzo", PageCodec::kLzo, 2},
                             {"snappy", PageCodec::kSnappy, 4},
                             {"zstd", PageCodec::kZstd, 0x20}};

struct StoredPage {
  bool stored = false;
  bool lost = false;
  bool zero = false;  // shares the zero page
  uint32_t flags = 0;
  std::vector<std::byte> bytes;
};

struct Part {
  std::string name;
  uint64_t first, end;  // end excluded
};

class KdumpFormat : public RecipeFormat {
 public:
  explicit KdumpFormat(const Words& words) {
    RecipeKeys keys(words, 2);
    version_ = keys.Number("version", 6);
    layout_ = keys.Text("layout", "64");
    order_ = keys.Text("order", "little") == "big" ? ByteOrder::kBig : ByteOrder::kLittle;
    block_ = keys.Number("block", 4096);
    bitmaps_ = keys.Number("bitmaps", 2);
    max_mapnr_ = keys.Number("max_mapnr", 64);
    machine_ = keys.Text("machine", "x86_64");
    if (machine_ == "none") machine_.clear();
    signature_ = keys.Text("signature", "KDUMP");
    status_ = keys.Number("status", 0);
    room_ = keys.Number("room", UINT64_MAX);
    zero_page_ = keys.Number("zeropage", 0) != 0;
    keys.Done();
  }

  void Describe(const Words& words) override {
    if (words[0] == "page") {
      const auto [first, last] = RecipeRange(words.at(1));
      for (uint64_t frame = first; frame <= last; ++frame) {
        AddPage(frame, words.at(2), words.size() > 3 ? RecipeNumber(words[3]) : frame);
      }
    } else if (words[0] == "note") {
      const std::vector<std::byte> note =
          Note(words.at(1), static_cast<uint32_t>(RecipeNumber(words.at(2))), RecipeText(words, 3));
      notes_.insert(notes_.end(), note.begin(), note.end());
    } else if (words[0] == "vmcoreinfo") {
      vmcoreinfo_ = RecipeText(words, 1);
    } else if (words[0] == "eraseinfo") {
      eraseinfo_ = RecipeText(words, 1);
    } else if (words[0] == "split") {
      uint64_t first = 0;
      for (size_t i = 1; i <= words.size(); ++i) {
        const uint64_t end = i < words.size() ? RecipeNumber(words[i]) : max_mapnr_;
        parts_.push_back({"part" + std::to_string(i - 1), first, end});
        first = end;
      }
    } else if (words[0] == "part") {
      parts_.push_back({words.at(1), RecipeNumber(words.at(2)), RecipeNumber(words.at(3))});
    } else {
      throw std::runtime_error("no such word: " + words[0]);
    }
  }

  std::vector<RecipeFile> Build() override {
    if (parts_.empty()) return {BuildPart("dump", false, 0, max_mapnr_)};
    std::vector<RecipeFile> files;
    for (const Part& part : parts_)
      files.push_back(BuildPart(part.name, true, part.first, part.end));
    return files;
  }

 private:
  void AddPage(uint64_t frame, const std::string& kind, uint64_t seed) {
    StoredPage page;
    if (kind == "lost") {
      page.stored = page.lost = true;
    } else if (kind == "zero") {
      page.stored = page.zero = true;
    } else if (kind != "excluded") {
      const auto codec = std::find_if(std::begin(kCodecs), std::end(kCodecs),
                                      [&](const Codec& c) { return kind == c.name; });
      if (codec == std::end(kCodecs)) throw std::runtime_error("no such kind of page: " + kind);
      page.stored = true;
      page.flags = codec->flag;
      page.bytes = Compress(codec->codec, RecipePage(seed, block_));
    }
    if (!pages_.emplace(frame, std::move(page)).second) {
      throw std::runtime_error("the page is there twice");
    }
  }

  std::vector<std::byte> Note(const std::string& name, uint32_t type,
                              const std::string& text) const {
    std::vector<std::byte> note = MakeNote(name, type, text);
    if (order_ == ByteOrder::kBig) {
      for (auto word = note.begin(); word != note.begin() + 12; word += 4) {
        std::reverse(word, word + 4);
      }
    }
    return note;
  }

  void AddFields(RecipeFile& file) const {
    const auto add = [&file](std::span<const Place> places, uint64_t base) {
      for (const Place& place : places) {
        file.fields[place.name] = {base + place.offset, place.size};
      }
    };
    const bool wide = layout_ == "64" || layout_ == "32time";
    add(wide ? std::span<const Place>(kMain64) : kMain32, 0);
    if (layout_ == "64") {
      add(kSub64, block_);
    } else if (layout_ == "32") {
      add(kSub32, block_);
    } else if (layout_ == "32pad" || layout_ == "32time") {
      add(kSub32Padded, block_);
    } else {
      throw std::runtime_error("no such layout: " + layout_);
    }
  }

  void PutText(RecipeFile& file, size_t at, const std::string& text) const {
    std::memcpy(file.bytes.data() + at, text.data(), text.size());
  }

  void PadToBlock(RecipeFile& file) const {
    file.bytes.resize((file.bytes.size() + block_ - 1) / block_ * block_);
  }

  RecipeFile BuildPart(const std::string& name, bool split, uint64_t first, uint64_t end) const {
    RecipeFile file;
    file.name = name;
    file.order = order_;
    file.bytes.resize(block_ + kSubSize);
    AddFields(file);
    PutText(file, 0, signature_ + std::string(8 - signature_.size(), ' '));
    PutText(file, 12, "Linux");
    PutText(file, 77, "host");
    PutText(file, 142, "6.1.0-test");
    PutText(file, 207, "#1 SMP test");
    PutText(file, 272, machine_);
    file.PutField("header_version", version_);
    file.PutField("status", status_);
    file.PutField("block_size", block_);
    file.PutField("max_mapnr", std::min<uint64_t>(max_mapnr_, UINT32_MAX));
    file.PutField("nr_cpus", 1);
    if (version_ >= 1 && signature_ == "KDUMP") {
      file.PutField("dump_level", 31);
      PutSplit(file, split, first, end);
      PutNotes(file);
    }
    PadToBlock(file);
    PutPages(file, first, end);
    if (!eraseinfo_.empty()) {
      file.PutField("offset_eraseinfo", file.bytes.size());
      file.PutField("size_eraseinfo", eraseinfo_.size());
      file.Append(AsBytes(eraseinfo_));
    }
    return file;
  }

  void PutSplit(RecipeFile& file, bool split, uint64_t first, uint64_t end) const {
    if (version_ >= 2 && split) {
      file.PutField("split", 1);
      file.PutField("start_pfn", first);
      file.PutField("end_pfn", end);
    }
    if (version_ >= 6) {
      file.PutField("start_pfn_64", first);
      file.PutField("end_pfn_64", end);
      file.PutField("max_mapnr_64", max_mapnr_);
    }
  }

  void PutNotes(RecipeFile& file) const {
    file.marks["notes"] = file.bytes.size();
    if (version_ >= 4 && !notes_.empty()) {
      file.PutField("offset_note", file.bytes.size());
      file.PutField("size_note", notes_.size());
      file.Append(notes_);
    }
    if (version_ >= 3 && !vmcoreinfo_.empty()) {
      file.PutField("offset_vmcoreinfo", file.bytes.size());
      file.PutField("size_vmcoreinfo", vmcoreinfo_.size());
      file.Append(AsBytes(vmcoreinfo_));
    }
  }

  void PutPages(RecipeFile& file, uint64_t first, uint64_t end) const {
    const uint64_t bitmap1 = file.bytes.size();
    file.PutField("sub_hdr_size", bitmap1 / block_ - 1);
    const uint64_t bitmap_size = ((max_mapnr_ + 7) / 8 + block_ - 1) / block_ * block_;
    const uint64_t bitmap2 = bitmaps_ == 2 ? bitmap1 + bitmap_size : bitmap1;
    const uint64_t descriptors = bitmap2 + bitmap_size;
    file.PutField("bitmap_blocks", (descriptors - bitmap1) / block_);
    file.bytes.resize(descriptors);
    // Room for the descriptors of all pages, also in a part that has few of them.
    uint64_t room = 0;
    for (const auto& [frame, page] : pages_) {
      if (page.stored || bitmaps_ == 2) SetBit(file, bitmap1, frame);
      if (page.stored) SetBit(file, bitmap2, frame);
      if (page.stored) ++room;
    }
    if (room_ != UINT64_MAX) room = room_;
    file.marks["bitmap1"] = bitmap1;
    file.marks["bitmap2"] = bitmap2;
    file.marks["descriptors"] = descriptors;
    file.marks["data"] = descriptors + room * 24;
    file.bytes.resize(descriptors + room * 24);
    uint64_t zero_page = 0;
    if (zero_page_) {
      zero_page = file.bytes.size();
      file.bytes.resize(file.bytes.size() + block_);
    }
    uint64_t at = descriptors;
    for (const auto& [frame, page] : pages_) {
      if (!page.stored || frame < first || frame >= end) continue;
      const std::string tag = std::to_string(frame);
      const uint64_t descriptor = at;
      at += 24;
      file.marks["desc:" + tag] = descriptor;
      file.fields["desc:" + tag + ".offset"] = {descriptor, 8};
      file.fields["desc:" + tag + ".size"] = {descriptor + 8, 4};
      file.fields["desc:" + tag + ".flags"] = {descriptor + 12, 4};
      if (page.lost) continue;
      uint64_t data = file.bytes.size();
      if (page.zero && zero_page != 0) {
        data = zero_page;
      } else if (page.zero) {
        zero_page = data;
        file.bytes.resize(file.bytes.size() + block_);
      } else {
        file.Append(page.bytes);
      }
      file.marks["page:" + tag] = data;
      file.Put(descriptor, 8, data);
      file.Put(descriptor + 8, 4, page.zero ? block_ : page.bytes.size());
      file.Put(descriptor + 12, 4, page.flags);
    }
  }

  static void SetBit(RecipeFile& file, uint64_t bitmap, uint64_t frame) {
    file.bytes.at(bitmap + frame / 8) |= std::byte{1} << (frame % 8);
  }

  uint64_t version_, block_, bitmaps_, max_mapnr_, status_;
  uint64_t room_;   // descriptors before the data of pages
  bool zero_page_;  // makedumpfile -d 1 and QEMU: there, whether a page shares it or not
  std::string layout_, machine_, signature_;
  ByteOrder order_;
  std::map<uint64_t, StoredPage> pages_;
  std::vector<std::byte> notes_;
  std::string vmcoreinfo_, eraseinfo_;
  std::vector<Part> parts_;  // of a split dump
};

}  // namespace

std::unique_ptr<RecipeFormat> MakeKdumpFormat(const Words& words) {
  return std::make_unique<KdumpFormat>(words);
}

}  // namespace dmaudit::test
