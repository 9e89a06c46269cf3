// SPDX-License-Identifier: GPL-2.0-or-later
// Well-formed ELF and kdump-compressed images for tests. A malformed case is one of these plus one
// visible mutation by field name.
#ifndef DMAUDIT_TESTS_SUPPORT_DUMP_BUILDER_H_
#define DMAUDIT_TESTS_SUPPORT_DUMP_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/diagnostics.h"
#include "base/result.h"
#include "vmcore/container/page_codec.h"
#include "vmcore/dump.h"

namespace dmaudit::test {

inline constexpr uint32_t kTestPage = 4096;

// Different, well compressible bytes for every seed.
std::vector<std::byte> PatternPage(uint64_t seed);

// `page` as a writer stores it.
std::vector<std::byte> Compress(PageCodec codec, std::span<const std::byte> page);

// One note: name with its NUL, both parts padded to 4 bytes.
std::vector<std::byte> MakeNote(std::string_view name, uint32_t type, std::string_view descriptor,
                                ByteOrder order = ByteOrder::kLittle);

class KdumpImage {
 public:
  std::vector<std::byte> bytes;
  uint64_t bitmap1 = 0;  // file positions
  uint64_t bitmap2 = 0;
  uint64_t descriptors = 0;
  uint64_t data = 0;

  // A field of the main or the sub header, by its name in the kernel's and makedumpfile's sources.
  KdumpImage& Set(std::string_view field, uint64_t value);
  uint64_t Get(std::string_view field) const;
  // "offset", "size", "flags" or "page_flags" of the n-th descriptor.
  KdumpImage& SetDescriptor(uint64_t index, std::string_view field, uint64_t value);
  uint64_t GetDescriptor(uint64_t index, std::string_view field) const;
};

class KdumpBuilder {
 public:
  int32_t version = 6;
  uint32_t status = 0;
  std::string machine = "x86_64";
  std::string release = "6.1.0-test";
  std::vector<std::byte> notes;  // behind the sub header
  std::string vmcoreinfo;        // behind the notes, reached by the pointer of the sub header only
  uint64_t max_mapnr = 64;
  bool two_bitmaps = true;

  KdumpBuilder& AddPage(uint64_t frame, std::vector<std::byte> content,
                        PageCodec codec = PageCodec::kRaw);
  // A page whose stored form and descriptor flags are given as they are.
  KdumpBuilder& AddStored(uint64_t frame, std::vector<std::byte> stored, uint32_t flags);
  KdumpBuilder& AddExcluded(uint64_t frame);
  KdumpBuilder& AddLost(uint64_t frame);

  KdumpImage Build() const;

 private:
  struct Entry {
    bool stored = false;
    bool lost = false;
    uint32_t flags = 0;
    std::vector<std::byte> bytes;
  };
  std::map<uint64_t, Entry> pages_;
};

class ElfImage {
 public:
  std::vector<std::byte> bytes;
  uint64_t program_headers = 64;  // file position
  bool wide = true;               // 64-bit headers
  ByteOrder order = ByteOrder::kLittle;

  ElfImage& Set(std::string_view field, uint64_t value);  // "e_phnum", ...
  // "p_type", ... of the n-th program header; 0 is PT_NOTE, the loads follow.
  ElfImage& SetSegment(uint64_t index, std::string_view field, uint64_t value);
  uint64_t GetSegment(uint64_t index, std::string_view field) const;
};

class ElfBuilder {
 public:
  uint64_t program_headers = 64;    // e_phoff; QEMU leaves room for section headers
  bool extended_numbering = false;  // PN_XNUM with the number in section header 0
  uint64_t padding = 0;             // bytes between segments: makes offsets unaligned
  bool wide = true;                 // 64-bit headers
  ByteOrder order = ByteOrder::kLittle;
  uint16_t machine = 62;  // x86-64
  std::vector<std::byte> notes;

  // `memory_size` beyond the content is what a filter left out.
  ElfBuilder& AddLoad(uint64_t physical, std::vector<std::byte> content, uint64_t memory_size = 0,
                      uint64_t virtual_address = 0);
  ElfImage Build() const;

 private:
  struct Load {
    uint64_t physical;
    std::vector<std::byte> content;
    uint64_t memory_size;
    uint64_t virtual_address;
  };
  std::vector<Load> loads_;
};

// Opens bytes as a dump named "dump".
Result<Dump> OpenBytes(std::vector<std::byte> bytes, DiagnosticSink& sink);

Page ReadPageAt(const Dump& dump, uint64_t address);
// The state of a page that has only one.
ByteState StateAt(const Dump& dump, uint64_t address);
std::vector<PhysRange> RamOf(const Dump& dump);

// "" when there is no diagnostic, else their ids with counts: for CHECK(Ids(sink) == "...").
std::string Ids(const DiagnosticSink& sink);

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_DUMP_BUILDER_H_
