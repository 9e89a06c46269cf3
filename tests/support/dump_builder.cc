// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/dump_builder.h"

#include <libdeflate.h>
#include <lzo/lzo1x.h>
#include <snappy.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "base/bytes.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit::test {
namespace {

struct FieldPlace {
  std::string_view name;
  size_t offset;
  size_t size;
};

constexpr size_t kSub = kTestPage;  // the sub header is the second block
constexpr FieldPlace kKdumpFields[] = {
    {"header_version", 8, 4},
    {"status", 424, 4},
    {"block_size", 428, 4},
    {"sub_hdr_size", 432, 4},
    {"bitmap_blocks", 436, 4},
    {"max_mapnr", 440, 4},
    {"nr_cpus", 460, 4},
    {"phys_base", kSub + 0, 8},
    {"dump_level", kSub + 8, 4},
    {"split", kSub + 12, 4},
    {"start_pfn", kSub + 16, 8},
    {"end_pfn", kSub + 24, 8},
    {"offset_vmcoreinfo", kSub + 32, 8},
    {"size_vmcoreinfo", kSub + 40, 8},
    {"offset_note", kSub + 48, 8},
    {"size_note", kSub + 56, 8},
    {"offset_eraseinfo", kSub + 64, 8},
    {"size_eraseinfo", kSub + 72, 8},
    {"start_pfn_64", kSub + 80, 8},
    {"end_pfn_64", kSub + 88, 8},
    {"max_mapnr_64", kSub + 96, 8},
};
constexpr FieldPlace kDescriptorFields[] = {
    {"offset", 0, 8}, {"size", 8, 4}, {"flags", 12, 4}, {"page_flags", 16, 8}};
constexpr FieldPlace kElfFields[] = {
    {"ei_class", 4, 1}, {"ei_data", 5, 1},      {"e_type", 16, 2},      {"e_machine", 18, 2},
    {"e_phoff", 32, 8}, {"e_shoff", 40, 8},     {"e_flags", 48, 4},     {"e_ehsize", 52, 2},
    {"e_phnum", 56, 2}, {"e_phentsize", 54, 2}, {"e_shentsize", 58, 2}, {"e_shnum", 60, 2}};
constexpr FieldPlace kSegmentFields[] = {
    {"p_type", 0, 4},   {"p_flags", 4, 4},   {"p_offset", 8, 8}, {"p_vaddr", 16, 8},
    {"p_paddr", 24, 8}, {"p_filesz", 32, 8}, {"p_memsz", 40, 8}, {"p_align", 48, 8}};

constexpr FieldPlace kElf32Fields[] = {
    {"ei_class", 4, 1}, {"ei_data", 5, 1},      {"e_type", 16, 2},      {"e_machine", 18, 2},
    {"e_phoff", 28, 4}, {"e_shoff", 32, 4},     {"e_flags", 36, 4},     {"e_ehsize", 40, 2},
    {"e_phnum", 44, 2}, {"e_phentsize", 42, 2}, {"e_shentsize", 46, 2}, {"e_shnum", 48, 2}};
constexpr FieldPlace kSegment32Fields[] = {
    {"p_type", 0, 4},    {"p_offset", 4, 4}, {"p_vaddr", 8, 4},  {"p_paddr", 12, 4},
    {"p_filesz", 16, 4}, {"p_memsz", 20, 4}, {"p_flags", 24, 4}, {"p_align", 28, 4}};

template <size_t N>
const FieldPlace& Find(const FieldPlace (&fields)[N], std::string_view name) {
  for (const FieldPlace& field : fields) {
    if (field.name == name) return field;
  }
  throw std::logic_error("no field " + std::string(name));
}

// How far byte `i` of a number of `size` bytes is shifted.
size_t Shift(size_t i, size_t size, ByteOrder order) {
  return 8 * (order == ByteOrder::kLittle ? i : size - 1 - i);
}

void Put(std::vector<std::byte>& bytes, size_t at, size_t size, uint64_t value,
         ByteOrder order = ByteOrder::kLittle) {
  if (at + size > bytes.size()) throw std::logic_error("field outside of the image");
  for (size_t i = 0; i < size; ++i) {
    bytes[at + i] = static_cast<std::byte>(value >> Shift(i, size, order));
  }
}

uint64_t Take(const std::vector<std::byte>& bytes, size_t at, size_t size,
              ByteOrder order = ByteOrder::kLittle) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) {
    value |= std::to_integer<uint64_t>(bytes.at(at + i)) << Shift(i, size, order);
  }
  return value;
}

void PutText(std::vector<std::byte>& bytes, size_t at, std::string_view text) {
  std::memcpy(bytes.data() + at, text.data(), text.size());
}

void Append(std::vector<std::byte>& bytes, std::span<const std::byte> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

void PadTo(std::vector<std::byte>& bytes, size_t alignment) {
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
}

uint32_t FlagOf(PageCodec codec) {
  switch (codec) {
    case PageCodec::kRaw:
      return 0;
    case PageCodec::kZlib:
      return 1;
    case PageCodec::kLzo:
      return 2;
    case PageCodec::kSnappy:
      return 4;
    case PageCodec::kZstd:
      return 0x20;
  }
  return 0;
}

}  // namespace

std::vector<std::byte> PatternPage(uint64_t seed) {
  std::vector<std::byte> page(kTestPage);
  for (size_t i = 0; i < page.size(); i += 8) {
    StoreUnchecked<uint64_t>(page, i, (seed << 32) | (i / 64 + 1));
  }
  return page;
}

std::vector<std::byte> Compress(PageCodec codec, std::span<const std::byte> page) {
  std::vector<std::byte> out(page.size() * 2 + 1024);
  switch (codec) {
    case PageCodec::kRaw:
      return {page.begin(), page.end()};
    case PageCodec::kZlib: {
      libdeflate_compressor* compressor = libdeflate_alloc_compressor(6);
      out.resize(
          libdeflate_zlib_compress(compressor, page.data(), page.size(), out.data(), out.size()));
      libdeflate_free_compressor(compressor);
      return out;
    }
    case PageCodec::kLzo: {
      std::vector<std::byte> work(LZO1X_1_MEM_COMPRESS);
      lzo_uint size = 0;
      lzo1x_1_compress(reinterpret_cast<const unsigned char*>(page.data()), page.size(),
                       reinterpret_cast<unsigned char*>(out.data()), &size, work.data());
      out.resize(size);
      return out;
    }
    case PageCodec::kSnappy: {
      size_t size = 0;
      snappy::RawCompress(reinterpret_cast<const char*>(page.data()), page.size(),
                          reinterpret_cast<char*>(out.data()), &size);
      out.resize(size);
      return out;
    }
    case PageCodec::kZstd:
      out.resize(ZSTD_compress(out.data(), out.size(), page.data(), page.size(), 1));
      return out;
  }
  return {};
}

std::vector<std::byte> MakeNote(std::string_view name, uint32_t type, std::string_view descriptor,
                                ByteOrder order) {
  std::vector<std::byte> note(12);
  StoreUnchecked<uint32_t>(note, 0, static_cast<uint32_t>(name.size() + 1), order);
  StoreUnchecked<uint32_t>(note, 4, static_cast<uint32_t>(descriptor.size()), order);
  StoreUnchecked<uint32_t>(note, 8, type, order);
  Append(note, AsBytes(name));
  note.push_back(std::byte{0});
  PadTo(note, 4);
  Append(note, AsBytes(descriptor));
  PadTo(note, 4);
  return note;
}

KdumpImage& KdumpImage::Set(std::string_view field, uint64_t value) {
  const FieldPlace& place = Find(kKdumpFields, field);
  Put(bytes, place.offset, place.size, value);
  return *this;
}

uint64_t KdumpImage::Get(std::string_view field) const {
  const FieldPlace& place = Find(kKdumpFields, field);
  return Take(bytes, place.offset, place.size);
}

KdumpImage& KdumpImage::SetDescriptor(uint64_t index, std::string_view field, uint64_t value) {
  const FieldPlace& place = Find(kDescriptorFields, field);
  Put(bytes, descriptors + index * 24 + place.offset, place.size, value);
  return *this;
}

uint64_t KdumpImage::GetDescriptor(uint64_t index, std::string_view field) const {
  const FieldPlace& place = Find(kDescriptorFields, field);
  return Take(bytes, descriptors + index * 24 + place.offset, place.size);
}

KdumpBuilder& KdumpBuilder::AddPage(uint64_t frame, std::vector<std::byte> content,
                                    PageCodec codec) {
  return AddStored(frame, Compress(codec, content), FlagOf(codec));
}

KdumpBuilder& KdumpBuilder::AddStored(uint64_t frame, std::vector<std::byte> stored,
                                      uint32_t flags) {
  pages_[frame] = {true, false, flags, std::move(stored)};
  return *this;
}

KdumpBuilder& KdumpBuilder::AddExcluded(uint64_t frame) {
  pages_[frame] = {};
  return *this;
}

KdumpBuilder& KdumpBuilder::AddLost(uint64_t frame) {
  pages_[frame] = {true, true, 0, {}};
  return *this;
}

KdumpImage KdumpBuilder::Build() const {
  KdumpImage image;
  std::vector<std::byte>& bytes = image.bytes;
  bytes.resize(kTestPage + 104);
  PutText(bytes, 0, "KDUMP   ");
  PutText(bytes, 12, "Linux");
  PutText(bytes, 77, "host");
  PutText(bytes, 142, release);
  PutText(bytes, 207, "#1 SMP test");
  PutText(bytes, 272, machine);
  image.Set("header_version", static_cast<uint32_t>(version));
  image.Set("status", status);
  image.Set("block_size", kTestPage);
  image.Set("max_mapnr", std::min<uint64_t>(max_mapnr, UINT32_MAX));
  image.Set("nr_cpus", 1);
  image.Set("dump_level", 31);
  image.Set("end_pfn_64", max_mapnr);
  image.Set("max_mapnr_64", max_mapnr);
  if (!notes.empty()) {
    image.Set("offset_note", bytes.size()).Set("size_note", notes.size());
    Append(bytes, notes);
  }
  if (!vmcoreinfo.empty()) {
    image.Set("offset_vmcoreinfo", bytes.size()).Set("size_vmcoreinfo", vmcoreinfo.size());
    Append(bytes, AsBytes(vmcoreinfo));
  }
  PadTo(bytes, kTestPage);
  image.bitmap1 = bytes.size();
  image.Set("sub_hdr_size", image.bitmap1 / kTestPage - 1);
  const uint64_t bitmap_blocks = (max_mapnr - 1) / 8 / kTestPage + 1;
  image.bitmap2 = image.bitmap1 + (two_bitmaps ? bitmap_blocks * kTestPage : 0);
  image.descriptors = image.bitmap2 + bitmap_blocks * kTestPage;
  image.Set("bitmap_blocks", (image.descriptors - image.bitmap1) / kTestPage);
  bytes.resize(image.descriptors);
  const auto set_bit = [&bytes](uint64_t bitmap, uint64_t frame) {
    bytes[bitmap + frame / 8] |= std::byte{1} << (frame % 8);
  };
  uint64_t stored = 0;
  for (const auto& [frame, entry] : pages_) {
    if (entry.stored || two_bitmaps) set_bit(image.bitmap1, frame);
    if (entry.stored) set_bit(image.bitmap2, frame);
    if (entry.stored) ++stored;
  }
  image.data = image.descriptors + stored * 24;
  bytes.resize(image.data);
  uint64_t index = 0;
  for (const auto& [frame, entry] : pages_) {
    if (!entry.stored) continue;
    if (!entry.lost) {
      image.SetDescriptor(index, "offset", bytes.size());
      image.SetDescriptor(index, "size", entry.bytes.size());
      image.SetDescriptor(index, "flags", entry.flags);
      Append(bytes, entry.bytes);
    }
    ++index;
  }
  return image;
}

ElfImage& ElfImage::Set(std::string_view field, uint64_t value) {
  const FieldPlace& place = wide ? Find(kElfFields, field) : Find(kElf32Fields, field);
  Put(bytes, place.offset, place.size, value, order);
  return *this;
}

ElfImage& ElfImage::SetSegment(uint64_t index, std::string_view field, uint64_t value) {
  const FieldPlace& place = wide ? Find(kSegmentFields, field) : Find(kSegment32Fields, field);
  Put(bytes, program_headers + index * (wide ? 56 : 32) + place.offset, place.size, value, order);
  return *this;
}

uint64_t ElfImage::GetSegment(uint64_t index, std::string_view field) const {
  const FieldPlace& place = wide ? Find(kSegmentFields, field) : Find(kSegment32Fields, field);
  return Take(bytes, program_headers + index * (wide ? 56 : 32) + place.offset, place.size, order);
}

ElfBuilder& ElfBuilder::AddLoad(uint64_t physical, std::vector<std::byte> content,
                                uint64_t memory_size, uint64_t virtual_address) {
  loads_.push_back({physical, std::move(content), memory_size, virtual_address});
  return *this;
}

ElfImage ElfBuilder::Build() const {
  ElfImage image;
  std::vector<std::byte>& bytes = image.bytes;
  const uint64_t count = 1 + loads_.size();
  const uint64_t entry = wide ? 56 : 32;
  const uint64_t section_size = wide ? 64 : 40;
  const uint64_t section = program_headers + count * entry;  // section header 0, when wanted
  image.program_headers = program_headers;
  image.wide = wide;
  image.order = order;
  bytes.resize(section + (extended_numbering ? section_size : 0));
  PutText(bytes, 0,
          "\x7f"
          "ELF");
  bytes[6] = std::byte{1};  // EI_VERSION
  image.Set("ei_class", wide ? 2 : 1).Set("ei_data", order == ByteOrder::kLittle ? 1 : 2);
  image.Set("e_type", 4).Set("e_machine", machine);
  image.Set("e_phoff", program_headers).Set("e_phentsize", entry);
  image.Set("e_ehsize", program_headers == 64 ? 64 : 8);
  image.Set("e_phnum", extended_numbering ? 0xffff : count);
  if (extended_numbering) {
    image.Set("e_shoff", section).Set("e_shentsize", section_size).Set("e_shnum", 1);
    StoreUnchecked<uint32_t>(bytes, section + (wide ? 44 : 28), static_cast<uint32_t>(count),
                             order);
  }
  image.SetSegment(0, "p_type", 4).SetSegment(0, "p_offset", bytes.size());
  image.SetSegment(0, "p_filesz", notes.size()).SetSegment(0, "p_memsz", notes.size());
  Append(bytes, notes);
  uint64_t index = 1;
  for (const Load& load : loads_) {
    bytes.resize(bytes.size() + padding);
    image.SetSegment(index, "p_type", 1).SetSegment(index, "p_offset", bytes.size());
    image.SetSegment(index, "p_vaddr", load.virtual_address);
    image.SetSegment(index, "p_paddr", load.physical);
    image.SetSegment(index, "p_filesz", load.content.size());
    image.SetSegment(index, "p_memsz", std::max<uint64_t>(load.memory_size, load.content.size()));
    Append(bytes, load.content);
    ++index;
  }
  return image;
}

Result<Dump> OpenBytes(std::vector<std::byte> bytes, DiagnosticSink& sink) {
  return OpenDump(std::make_shared<MemorySource>(std::move(bytes)), "dump", sink);
}

Page ReadPageAt(const Dump& dump, uint64_t address) {
  const std::unique_ptr<DecodeContext> context = dump.memory->MakeContext();
  Page page;
  dump.memory->ReadPage(PhysAddr(address).AlignDown(dump.memory->page_size()), *context, page);
  return page;
}

ByteState StateAt(const Dump& dump, uint64_t address) {
  const Page page = ReadPageAt(dump, address);
  if (page.extents.size() != 1) throw std::logic_error("page with several states");
  return page.extents[0].state;
}

std::vector<PhysRange> RamOf(const Dump& dump) {
  std::vector<PhysRange> ranges;
  dump.memory->VisitRam([&](PhysRange range) {
    ranges.push_back(range);
    return true;
  });
  return ranges;
}

std::string Ids(const DiagnosticSink& sink) {
  std::string ids;
  for (const Diagnostic& diagnostic : sink.diagnostics()) {
    if (!ids.empty()) ids += " ";
    ids += diagnostic.id;
    if (diagnostic.count != 1) ids += "*" + std::to_string(diagnostic.count);
  }
  return ids;
}

}  // namespace dmaudit::test
