// SPDX-License-Identifier: GPL-2.0-or-later
// "dump elf": ELF vmcores of both widths and byte orders.
#include <elf.h>

#include <algorithm>
#include <stdexcept>

#include "support/dump_builder.h"
#include "support/recipe.h"
#include "vmcore/container/state_note.h"

namespace dmaudit::test {
namespace {

struct Place {
  const char* name;
  size_t offset32, size32, offset64, size64;
};

#define DMAUDIT_PLACE(structure, member)                                             \
  {                                                                                  \
#member, offsetof(Elf32_##structure, member), sizeof(Elf32_##structure::member), \
        offsetof(Elf64_##structure, member), sizeof(Elf64_##structure::member)       \
  }
constexpr Place kHeader[] = {DMAUDIT_PLACE(Ehdr, e_type),    DMAUDIT_PLACE(Ehdr, e_machine),
                             DMAUDIT_PLACE(Ehdr, e_version), DMAUDIT_PLACE(Ehdr, e_phoff),
                             DMAUDIT_PLACE(Ehdr, e_shoff),   DMAUDIT_PLACE(Ehdr, e_flags),
                             DMAUDIT_PLACE(Ehdr, e_ehsize),  DMAUDIT_PLACE(Ehdr, e_phentsize),
                             DMAUDIT_PLACE(Ehdr, e_phnum),   DMAUDIT_PLACE(Ehdr, e_shentsize),
                             DMAUDIT_PLACE(Ehdr, e_shnum)};
constexpr Place kSegment[] = {DMAUDIT_PLACE(Phdr, p_type),   DMAUDIT_PLACE(Phdr, p_offset),
                              DMAUDIT_PLACE(Phdr, p_vaddr),  DMAUDIT_PLACE(Phdr, p_paddr),
                              DMAUDIT_PLACE(Phdr, p_filesz), DMAUDIT_PLACE(Phdr, p_memsz)};

struct Load {
  uint64_t physical, file_size, memory_size, virtual_address, seed;
};

class ElfFormat : public RecipeFormat {
 public:
  explicit ElfFormat(const Words& words) {
    RecipeKeys keys(words, 2);
    wide_ = keys.Number("class", 64) == 64;
    order_ = keys.Text("order", "little") == "big" ? ByteOrder::kBig : ByteOrder::kLittle;
    machine_ = keys.Number("machine", EM_X86_64);
    headers_at_ = keys.Number("phoff", wide_ ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr));
    extended_ = keys.Number("xnum", 0) != 0;
    padding_ = keys.Number("padding", 0);
    keys.Done();
  }

  void Describe(const Words& words) override {
    if (words[0] == "note") {
      AddNote(words.at(1), static_cast<uint32_t>(RecipeNumber(words.at(2))), RecipeText(words, 3));
    } else if (words[0] == "missing") {
      AddMissing(words);
    } else if (words[0] == "load") {
      RecipeKeys keys(words, 2);
      Load load{};
      load.physical = RecipeNumber(words.at(1));
      load.file_size = keys.Number("file", kTestPage);
      load.memory_size = keys.Number("mem", load.file_size);
      load.virtual_address = keys.Number("virtual", 0);
      load.seed = keys.Number("seed", load.physical / kTestPage);
      keys.Done();
      loads_.push_back(load);
    } else {
      throw std::runtime_error("no such word: " + words[0]);
    }
  }

  std::vector<RecipeFile> Build() override {
    RecipeFile file;
    file.order = order_;
    const size_t header = wide_ ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    const size_t entry = wide_ ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    const size_t section = wide_ ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
    const size_t count = loads_.size() + 1;
    file.bytes.resize(headers_at_ + count * entry + section);
    Name(file, "", kHeader, 0);
    const std::string identification = {0x7f,
                                        'E',
                                        'L',
                                        'F',
                                        static_cast<char>(wide_ ? 2 : 1),
                                        static_cast<char>(order_ == ByteOrder::kBig ? 2 : 1),
                                        1};
    std::ranges::copy(AsBytes(identification), file.bytes.begin());
    file.PutField("e_type", ET_CORE);
    file.PutField("e_machine", machine_);
    file.PutField("e_version", 1);
    file.PutField("e_phoff", headers_at_);
    file.PutField("e_ehsize", header);
    file.PutField("e_phentsize", entry);
    file.PutField("e_phnum", extended_ ? PN_XNUM : count);
    if (extended_) {
      const size_t at = headers_at_ + count * entry;
      file.PutField("e_shoff", at);
      file.PutField("e_shentsize", section);
      file.PutField("e_shnum", 1);
      const size_t info = wide_ ? offsetof(Elf64_Shdr, sh_info) : offsetof(Elf32_Shdr, sh_info);
      file.fields["sh_info"] = {at + info, 4};
      file.PutField("sh_info", count);
    }
    Segment(file, "note", 0, {0, notes_.size(), notes_.size(), 0, 0}, PT_NOTE);
    file.marks["notes"] = file.bytes.size();
    file.Append(notes_);
    for (size_t i = 0; i < loads_.size(); ++i) {
      file.bytes.resize(file.bytes.size() + padding_, std::byte{0xee});
      const std::string name = "load:" + std::to_string(i);
      Segment(file, name, i + 1, loads_[i], PT_LOAD);
      file.marks[name] = file.bytes.size();
      file.Append(RecipeMemory(loads_[i].physical, loads_[i].file_size, loads_[i].seed));
    }
    return {std::move(file)};
  }

 private:
  void AddNote(const std::string& name, uint32_t type, std::string_view text) {
    const std::vector<std::byte> note = MakeNote(name, type, text, order_);
    notes_.insert(notes_.end(), note.begin(), note.end());
  }

  // "missing STATE FIRST LAST", three words for each range.
  void AddMissing(const Words& words) {
    std::vector<MissingRange> ranges;
    for (size_t i = 1; i < words.size(); i += 3) {
      const ByteState state = words[i] == "lost"        ? ByteState::kLost
                              : words[i] == "truncated" ? ByteState::kTruncated
                              : words[i] == "corrupt"   ? ByteState::kCorrupt
                                                        : ByteState::kExcluded;
      ranges.push_back(
          {{PhysAddr(RecipeNumber(words.at(i + 1))), PhysAddr(RecipeNumber(words.at(i + 2)))},
           state});
    }
    const DumpNote note = EncodeStateNote(ranges);
    AddNote(note.name, note.type, AsText(note.descriptor));
  }

  void Name(RecipeFile& file, const std::string& prefix, std::span<const Place> places,
            size_t at) const {
    for (const Place& place : places) {
      file.fields[prefix + place.name] = wide_
                                             ? RecipeFile::Field{at + place.offset64, place.size64}
                                             : RecipeFile::Field{at + place.offset32, place.size32};
    }
  }

  void Segment(RecipeFile& file, const std::string& name, size_t index, const Load& load,
               uint64_t type) const {
    const size_t entry = wide_ ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    Name(file, name + ".", kSegment, headers_at_ + index * entry);
    file.PutField(name + ".p_type", type);
    file.PutField(name + ".p_offset", file.bytes.size());
    file.PutField(name + ".p_vaddr", load.virtual_address);
    file.PutField(name + ".p_paddr", load.physical);
    file.PutField(name + ".p_filesz", load.file_size);
    file.PutField(name + ".p_memsz", load.memory_size);
  }

  bool wide_ = true;
  ByteOrder order_ = ByteOrder::kLittle;
  uint64_t machine_ = EM_X86_64;
  uint64_t headers_at_ = 64;
  bool extended_ = false;
  uint64_t padding_ = 0;
  std::vector<std::byte> notes_;
  std::vector<Load> loads_;
};

}  // namespace

std::unique_ptr<RecipeFormat> MakeElfFormat(const Words& words) {
  return std::make_unique<ElfFormat>(words);
}

}  // namespace dmaudit::test
