// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "hostile/lies.h"
#include "support/dump_builder.h"

namespace dmaudit::test {

void AddKdump(std::vector<HostileInput>& inputs) {
  using Image = KdumpImage;
  KdumpBuilder builder;
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=x\n");
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib);
  builder.AddPage(5, PatternPage(2), PageCodec::kZlib).AddExcluded(6);
  builder.AddPage(9, PatternPage(3));
  const std::vector<Lie<Image>> lies = {
      {"block_size 0", [](Image& i) { i.Set("block_size", 0); },
       "refused: kdump header at 0x1ac: block size is 0x0, expected a power of"},
      {"block_size 1", [](Image& i) { i.Set("block_size", 1); },
       "refused: kdump header at 0x1ac: block size is 0x1, expected a power of"},
      {"block_size 3", [](Image& i) { i.Set("block_size", 3); },
       "refused: kdump header at 0x1ac: block size is 0x3, expected a power of"},
      {"block_size 2048", [](Image& i) { i.Set("block_size", 2048); },
       "refused: kdump header at 0x1ac: block size is 0x800, expected a power of"},
      {"block_size 4097", [](Image& i) { i.Set("block_size", 4097); },
       "refused: kdump header at 0x1ac: block size is 0x1001, expected a power"},
      {"block_size 131072", [](Image& i) { i.Set("block_size", 131072); },
       "refused: kdump header at 0x1ac: block size is 0x20000, expected a power"},
      {"block_size 0xffffffff", [](Image& i) { i.Set("block_size", 0xffffffff); },
       "refused: kdump header at 0x1ac: block size is 0xffffffff, expected a"},
      {"block_size 0xfffff000", [](Image& i) { i.Set("block_size", 0xfffff000); },
       "refused: kdump header at 0x1ac: block size is 0xfffff000, expected a"},
      {"block_size 0x7fffffff", [](Image& i) { i.Set("block_size", 0x7fffffff); },
       "refused: kdump header at 0x1ac: block size is 0x7fffffff, expected a"},
      {"block_size 0x80000000", [](Image& i) { i.Set("block_size", 0x80000000); },
       "refused: kdump header at 0x1ac: block size is 0x80000000, expected a"},
      {"header_version 0xffffffff", [](Image& i) { i.Set("header_version", 0xffffffff); },
       "refused: kdump header: version is -1"},
      {"header_version 0x80000000", [](Image& i) { i.Set("header_version", 0x80000000); },
       "refused: kdump header: version is -2147483648"},
      {"sub_hdr_size 0", [](Image& i) { i.Set("sub_hdr_size", 0); },
       "refused: kdump header: version 6 without a sub header"},
      {"sub_hdr_size 0x7fffffff", [](Image& i) { i.Set("sub_hdr_size", 0x7fffffff); },
       "refused: kdump page bitmaps at 0x80000000000: they end at 0x80000002000"},
      {"sub_hdr_size 0xffffffff", [](Image& i) { i.Set("sub_hdr_size", 0xffffffff); },
       "refused: kdump header: sub header of 0xffffffff blocks"},
      {"bitmap_blocks 0", [](Image& i) { i.Set("bitmap_blocks", 0); },
       "refused: kdump header: bitmaps of 0x0 blocks cannot hold max_mapnr 0x40"},
      {"bitmap_blocks 0xffffffff", [](Image& i) { i.Set("bitmap_blocks", 0xffffffff); },
       "refused: kdump page bitmaps at 0x2000: they end at 0x100000001000, the"},
      {"bitmap_blocks 0x7fffffff", [](Image& i) { i.Set("bitmap_blocks", 0x7fffffff); },
       "refused: kdump page bitmaps at 0x2000: they end at 0x80000001000, the"},
      {"max_mapnr_64 uint64_t{1} << 32", [](Image& i) { i.Set("max_mapnr_64", uint64_t{1} << 32); },
       "refused: kdump header: bitmaps of 0x2 blocks cannot hold max_mapnr"},
      {"max_mapnr_64 uint64_t{1} << 52", [](Image& i) { i.Set("max_mapnr_64", uint64_t{1} << 52); },
       "refused: kdump header: bitmaps of 0x2 blocks cannot hold max_mapnr"},
      {"max_mapnr_64 UINT64_MAX", [](Image& i) { i.Set("max_mapnr_64", UINT64_MAX); },
       "refused: kdump header: max_mapnr 0xffffffffffffffff leaves the 64-bit"},
      {"max_mapnr_64 0", [](Image& i) { i.Set("max_mapnr_64", 0); },
       "data data data | kdump.max-mapnr"},
      {"offset_note 0", [](Image& i) { i.Set("offset_note", 0); },
       "data data data | note.malformed"},
      {"offset_note UINT64_MAX", [](Image& i) { i.Set("offset_note", UINT64_MAX); },
       "data data data | note.truncated"},
      {"offset_note UINT64_MAX - 8", [](Image& i) { i.Set("offset_note", UINT64_MAX - 8); },
       "data data data | note.truncated"},
      {"size_note 0", [](Image& i) { i.Set("size_note", 0); }, "data data data |"},
      {"size_note 1", [](Image& i) { i.Set("size_note", 1); }, "data data data | note.malformed"},
      {"size_note UINT64_MAX", [](Image& i) { i.Set("size_note", UINT64_MAX); },
       "data data data | note.truncated"},
      {"offset_eraseinfo UINT64_MAX", [](Image& i) { i.Set("offset_eraseinfo", UINT64_MAX); },
       "data data data |"},
      {"size_eraseinfo UINT64_MAX", [](Image& i) { i.Set("size_eraseinfo", UINT64_MAX); },
       "data data data | kdump.erased kdump.eraseinfo-truncated"},
      {"size_eraseinfo uint64_t{1} << 63",
       [](Image& i) { i.Set("size_eraseinfo", uint64_t{1} << 63); },
       "data data data | kdump.erased kdump.eraseinfo-truncated"},
      {"status 8", [](Image& i) { i.Set("status", 8); }, "data data data | kdump.incomplete"},
      {"status 0xffffffff", [](Image& i) { i.Set("status", 0xffffffff); },
       "data data data | kdump.incomplete"},
      {"phys_base UINT64_MAX", [](Image& i) { i.Set("phys_base", UINT64_MAX); },
       "data data data |"},
      {"nr_cpus 0", [](Image& i) { i.Set("nr_cpus", 0); }, "data data data |"},
      {"nr_cpus 0xffffffff", [](Image& i) { i.Set("nr_cpus", 0xffffffff); }, "data data data |"},
      {"both max_mapnr 0", [](Image& i) { i.Set("max_mapnr", 0).Set("max_mapnr_64", 0); },
       "refused: kdump header: max_mapnr is 0"},
      {"both max_mapnr beyond the bitmaps",
       [](Image& i) { i.Set("max_mapnr", 0x10001).Set("max_mapnr_64", 0x10001); },
       "refused: kdump header: bitmaps of 0x2 blocks cannot hold max_mapnr"},
      {"descriptor: offset 0", [](Image& i) { i.SetDescriptor(1, "offset", 0); },
       "data lost data | kdump.lost-pages"},
      {"descriptor: offset 1", [](Image& i) { i.SetDescriptor(1, "offset", 1); },
       "data corrupt data |"},
      {"descriptor: offset i.bitmap1", [](Image& i) { i.SetDescriptor(1, "offset", i.bitmap1); },
       "data corrupt data |"},
      {"descriptor: offset i.data - 1", [](Image& i) { i.SetDescriptor(1, "offset", i.data - 1); },
       "data corrupt data |"},
      {"descriptor: offset i.data + 1", [](Image& i) { i.SetDescriptor(1, "offset", i.data + 1); },
       "data corrupt data |"},
      {"descriptor: offset i.bytes.size()",
       [](Image& i) { i.SetDescriptor(1, "offset", i.bytes.size()); },
       "data truncated data | kdump.truncated"},
      {"descriptor: offset uint64_t{1} << 63",
       [](Image& i) { i.SetDescriptor(1, "offset", uint64_t{1} << 63); },
       "data truncated data | kdump.truncated"},
      {"descriptor: offset UINT64_MAX", [](Image& i) { i.SetDescriptor(1, "offset", UINT64_MAX); },
       "data truncated data | kdump.truncated"},
      {"descriptor: size 0", [](Image& i) { i.SetDescriptor(1, "size", 0); },
       "data corrupt data |"},
      {"descriptor: size 1", [](Image& i) { i.SetDescriptor(1, "size", 1); },
       "data corrupt data |"},
      {"descriptor: size 4095", [](Image& i) { i.SetDescriptor(1, "size", 4095); },
       "data data data |"},
      {"descriptor: size 8193", [](Image& i) { i.SetDescriptor(1, "size", 8193); },
       "data corrupt data | kdump.truncated"},
      {"descriptor: size uint64_t{1} << 31",
       [](Image& i) { i.SetDescriptor(1, "size", uint64_t{1} << 31); },
       "data corrupt data | kdump.truncated"},
      {"descriptor: size UINT32_MAX", [](Image& i) { i.SetDescriptor(1, "size", UINT32_MAX); },
       "data corrupt data | kdump.truncated"},
      {"descriptor: flags 0", [](Image& i) { i.SetDescriptor(1, "flags", 0); },
       "data corrupt data |"},
      {"descriptor: flags 2", [](Image& i) { i.SetDescriptor(1, "flags", 2); },
       "data corrupt data |"},
      {"descriptor: flags 3", [](Image& i) { i.SetDescriptor(1, "flags", 3); },
       "data corrupt data |"},
      {"descriptor: flags 4", [](Image& i) { i.SetDescriptor(1, "flags", 4); },
       "data corrupt data |"},
      {"descriptor: flags 8", [](Image& i) { i.SetDescriptor(1, "flags", 8); },
       "data corrupt data |"},
      {"descriptor: flags 0x20", [](Image& i) { i.SetDescriptor(1, "flags", 0x20); },
       "data corrupt data |"},
      {"descriptor: flags UINT32_MAX", [](Image& i) { i.SetDescriptor(1, "flags", UINT32_MAX); },
       "data corrupt data |"},
      {"raw page shorter than a block", [](Image& i) { i.SetDescriptor(2, "size", 100); },
       "data data corrupt |"},
      {"raw page in the header", [](Image& i) { i.SetDescriptor(2, "offset", 4096); },
       "data data corrupt |"},
      {"second bitmap all zero",
       [](Image& i) {
         std::fill_n(i.bytes.begin() + static_cast<ptrdiff_t>(i.bitmap2), 4096, std::byte{0});
       },
       "excluded excluded excluded | kdump.bitmap-short"},
      {"second bitmap without a page", [](Image& i) { i.bytes[i.bitmap2] ^= std::byte{1U << 1}; },
       "excluded corrupt corrupt | kdump.bitmap-short"},
      {"second bitmap all ones",
       [](Image& i) {
         std::fill_n(i.bytes.begin() + static_cast<ptrdiff_t>(i.bitmap2), 4096, std::byte{0xff});
       },
       "corrupt corrupt corrupt | kdump.bitmaps-disagree kdump.truncated kdump.bitmap-long"},
      {"first bitmap all zero",
       [](Image& i) {
         std::fill_n(i.bytes.begin() + static_cast<ptrdiff_t>(i.bitmap1), 4096, std::byte{0});
       },
       "data data data | kdump.bitmaps-disagree"},
      {"first bitmap all ones",
       [](Image& i) {
         std::fill_n(i.bytes.begin() + static_cast<ptrdiff_t>(i.bitmap1), 4096, std::byte{0xff});
       },
       "data data data |"},
      {"page data overwritten",
       [](Image& i) {
         std::fill(i.bytes.begin() + static_cast<ptrdiff_t>(i.data), i.bytes.end(),
                   std::byte{0xff});
       },
       "corrupt corrupt elsewhere |"},
      {"cut after 8 bytes", [](Image& i) { i.bytes.resize(8); },
       "refused: kdump header at 0x0: the file ends at 0x8"},
      {"cut after 463 bytes", [](Image& i) { i.bytes.resize(463); },
       "refused: kdump header at 0x0: the file ends at 0x1cf"},
      {"cut after 464 bytes", [](Image& i) { i.bytes.resize(464); },
       "refused: kdump sub header at 0x1000: the file ends at 0x1000"},
      {"cut after 4096 bytes", [](Image& i) { i.bytes.resize(4096); },
       "refused: kdump sub header at 0x1000: the file ends at 0x1000"},
      {"cut after 4199 bytes", [](Image& i) { i.bytes.resize(4199); },
       "refused: kdump sub header at 0x1000: the file ends at 0x1067"},
      {"cut after 4200 bytes", [](Image& i) { i.bytes.resize(4200); },
       "refused: kdump page bitmaps at 0x2000: they end at 0x4000, the file at"},
      {"cut at bitmap1", [](Image& i) { i.bytes.resize(i.bitmap1); },
       "refused: kdump page bitmaps at 0x2000: they end at 0x4000, the file at"},
      {"cut at bitmap2", [](Image& i) { i.bytes.resize(i.bitmap2); },
       "refused: kdump page bitmaps at 0x2000: they end at 0x4000, the file at"},
      {"cut at descriptors", [](Image& i) { i.bytes.resize(i.descriptors); },
       "truncated truncated truncated | kdump.truncated"},
      {"cut at data", [](Image& i) { i.bytes.resize(i.data); },
       "truncated truncated truncated | kdump.truncated"},
      {"cut inside the descriptors", [](Image& i) { i.bytes.resize(i.descriptors + 30); },
       "truncated truncated truncated | kdump.truncated"},
      {"cut inside the last page", [](Image& i) { i.bytes.pop_back(); },
       "data data truncated | kdump.truncated"},
  };
  Add("kdump", builder.Build(), {{0x1000, 1}, {0x5000, 2}, {0x9000, 3}}, lies, inputs);
}

void AddBombs(std::vector<HostileInput>& inputs) {
  struct Bomb {
    std::string_view name;
    PageCodec codec;
    uint32_t flag;
  };
  const std::vector<std::byte> large(size_t{1} << 20, std::byte{0});
  for (const Bomb& bomb :
       {Bomb{"zlib", PageCodec::kZlib, 1}, Bomb{"lzo", PageCodec::kLzo, 2},
        Bomb{"snappy", PageCodec::kSnappy, 4}, Bomb{"zstd", PageCodec::kZstd, 0x20}}) {
    for (const size_t size : {size_t{4097}, size_t{8192}, size_t{1} << 16, size_t{1} << 20}) {
      KdumpBuilder builder;
      builder.AddStored(1, Compress(bomb.codec, std::span(large).first(size)), bomb.flag);
      builder.AddPage(2, PatternPage(2), bomb.codec);
      inputs.push_back({"kdump: " + std::string(bomb.name) + " page of " + std::to_string(size),
                        {builder.Build().bytes},
                        {{0x1000, 1}, {0x2000, 2}},
                        "corrupt data |"});
    }
  }
}

}  // namespace dmaudit::test
