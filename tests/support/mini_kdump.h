// SPDX-License-Identifier: GPL-2.0-or-later
// A second, minimal reader of kdump-compressed files (version 6, 64-bit, little-endian), written
// from the format alone: what the writer's tests compare with. Trusts its input.
#ifndef DMAUDIT_TESTS_SUPPORT_MINI_KDUMP_H_
#define DMAUDIT_TESTS_SUPPORT_MINI_KDUMP_H_

#include <doctest/doctest.h>
#include <libdeflate.h>
#include <zstd.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "vmcore/container/page_codec.h"
#include "vmcore/dump.h"
#include "vmcore/memory/physical_memory.h"

namespace dmaudit::test {

class MiniKdump : public PhysicalMemory {
 public:
  struct Descriptor {
    uint64_t offset;
    uint32_t size;
    uint32_t flags;
  };

  explicit MiniKdump(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    REQUIRE(in);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto raw = AsBytes(text);
    file_.assign(raw.begin(), raw.end());
    REQUIRE(Text(0, 8) == "KDUMP   ");
    block_ = U32(428);
  }

  uint32_t U32(uint64_t at) const { return Load<uint32_t>(file_, at).value(); }
  uint64_t U64(uint64_t at) const { return Load<uint64_t>(file_, at).value(); }
  std::string Text(uint64_t at, uint64_t size) const {
    std::string text(AsText(SubSpan(file_, at, size).value()));
    return text.substr(0, text.find('\0'));
  }
  uint64_t Sub(uint64_t at) const { return U64(block_ + at); }
  uint64_t size() const { return file_.size(); }
  const std::vector<std::byte>& bytes() const { return file_; }

  uint64_t bitmap1_at() const { return (1 + uint64_t{U32(432)}) * block_; }
  uint64_t bitmap_bytes() const { return uint64_t{U32(436)} / 2 * block_; }
  bool InBitmap(unsigned which, uint64_t pfn) const {
    if (pfn >= Sub(96)) return false;
    const uint64_t at = bitmap1_at() + (which - 1) * bitmap_bytes() + pfn / 8;
    return (std::to_integer<unsigned>(file_.at(at)) >> (pfn % 8) & 1) != 0;
  }
  std::optional<Descriptor> Find(uint64_t pfn) const {
    if (!InBitmap(2, pfn)) return std::nullopt;
    uint64_t index = 0;
    for (uint64_t i = 0; i < pfn; ++i) index += InBitmap(2, i) ? 1u : 0u;
    return At(index);
  }
  // The descriptor of the index-th page that is stored.
  Descriptor At(uint64_t index) const {
    const uint64_t at = bitmap1_at() + 2 * bitmap_bytes() + index * 24;
    return {U64(at), U32(at + 8), U32(at + 12)};
  }
  std::vector<std::byte> PageBytes(const Descriptor& d) const {
    const auto stored = SubSpan(file_, d.offset, d.size).value();
    std::vector<std::byte> out(block_);
    size_t got = 0;
    switch (d.flags) {
      case 0:
        REQUIRE(d.size == block_);
        return {stored.begin(), stored.end()};
      case 1: {
        libdeflate_decompressor* z = libdeflate_alloc_decompressor();
        REQUIRE(libdeflate_zlib_decompress(z, stored.data(), stored.size(), out.data(), out.size(),
                                           &got) == LIBDEFLATE_SUCCESS);
        libdeflate_free_decompressor(z);
        break;
      }
      case 2:
      case 4: {
        const PageCodec codec = d.flags == 2 ? PageCodec::kLzo : PageCodec::kSnappy;
        REQUIRE(PageDecoder().Decode(codec, stored, out));
        got = out.size();
        break;
      }
      case 0x20:
        got = ZSTD_decompress(out.data(), out.size(), stored.data(), stored.size());
        break;
      default:
        FAIL("descriptor flags");
    }
    REQUIRE(got == block_);
    return out;
  }
  std::vector<DumpNote> Notes() const {
    std::vector<DumpNote> notes;
    uint64_t at = Sub(48);
    const uint64_t end = at + Sub(56);
    while (at < end) {
      const uint64_t name = U32(at), size = U32(at + 4);
      const uint64_t descriptor_at = at + 12 + (name + 3) / 4 * 4;
      const auto bytes = SubSpan(file_, descriptor_at, size).value();
      notes.push_back({Text(at + 12, name), U32(at + 8), {bytes.begin(), bytes.end()}});
      at = descriptor_at + (size + 3) / 4 * 4;
    }
    REQUIRE(at == end);
    return notes;
  }

  uint32_t page_size() const override { return block_; }
  std::unique_ptr<DecodeContext> MakeContext() const override {
    return std::make_unique<DecodeContext>();
  }
  void ReadPage(PhysAddr base, DecodeContext&, Page& page) const override {
    page.Reset(base, block_, PageStateHint(base));
    if (const auto d = Find(base.value() / block_)) page.bytes = PageBytes(*d);
  }
  ByteState PageStateHint(PhysAddr base) const override {
    const uint64_t pfn = base.value() / block_;
    if (!InBitmap(1, pfn)) return ByteState::kAbsent;
    return InBitmap(2, pfn) ? ByteState::kData : ByteState::kExcluded;
  }
  void VisitRam(const std::function<bool(PhysRange)>& visit) const override {
    for (uint64_t pfn = 0; pfn < Sub(96); ++pfn) {
      if (!InBitmap(1, pfn)) continue;
      if (!visit({PhysAddr(pfn * block_), PhysAddr(pfn * block_ + block_ - 1)})) return;
    }
  }

 private:
  std::vector<std::byte> file_;
  uint32_t block_ = 0;
};

}  // namespace dmaudit::test

#endif  // DMAUDIT_TESTS_SUPPORT_MINI_KDUMP_H_
