// SPDX-License-Identifier: GPL-2.0-or-later
#include "hostile/hostile_inputs.h"

#include <algorithm>
#include <functional>

#include "base/bytes.h"
#include "support/dump_builder.h"
#include "support/lime_builder.h"

namespace dmaudit::test {
namespace {

template <typename T>
struct Lie {
  std::string_view name;
  std::function<void(T&)> tell;
  std::string_view outcome;
};

template <typename T>
void Add(std::string_view container, const T& good, const std::vector<KnownPage>& pages,
         const std::vector<Lie<T>>& lies, std::vector<HostileInput>& inputs) {
  for (const Lie<T>& lie : lies) {
    T image = good;
    lie.tell(image);
    HostileInput input{
        std::string(container) + ": " + std::string(lie.name), {}, pages, lie.outcome};
    if constexpr (requires { image.bytes; }) {
      input.bytes = std::move(image.bytes);
    } else {
      input.bytes = std::move(image);
    }
    inputs.push_back(std::move(input));
  }
}

void AddElf(std::vector<HostileInput>& inputs) {
  using Image = ElfImage;
  ElfBuilder builder;
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=x\n");
  builder.AddLoad(0x100000, PatternPage(1)).AddLoad(0x200000, PatternPage(2));
  const std::vector<Lie<Image>> lies = {
      {"ei_class 0", [](Image& i) { i.Set("ei_class", 0); },
       "refused: ELF header: class 0 and byte order 1 do not exist"},
      {"ei_class 3", [](Image& i) { i.Set("ei_class", 3); },
       "refused: ELF header: class 3 and byte order 1 do not exist"},
      {"ei_class 255", [](Image& i) { i.Set("ei_class", 255); },
       "refused: ELF header: class 255 and byte order 1 do not exist"},
      {"ei_class 1", [](Image& i) { i.Set("ei_class", 1); },
       "refused: ELF header: no program headers"},
      {"ei_data 0", [](Image& i) { i.Set("ei_data", 0); },
       "refused: ELF header: class 2 and byte order 0 do not exist"},
      {"ei_data 3", [](Image& i) { i.Set("ei_data", 3); },
       "refused: ELF header: class 2 and byte order 3 do not exist"},
      {"ei_data 2", [](Image& i) { i.Set("ei_data", 2); },
       "refused: ELF file of type 1024, not a vmcore"},
      {"e_type 0", [](Image& i) { i.Set("e_type", 0); },
       "refused: ELF file of type 0, not a vmcore"},
      {"e_type 1", [](Image& i) { i.Set("e_type", 1); }, "refused: ELF object file, not a vmcore"},
      {"e_type 2", [](Image& i) { i.Set("e_type", 2); },
       "refused: ELF executable or library, not a vmcore"},
      {"e_type 3", [](Image& i) { i.Set("e_type", 3); },
       "refused: ELF executable or library, not a vmcore"},
      {"e_type 5", [](Image& i) { i.Set("e_type", 5); },
       "refused: ELF file of type 5, not a vmcore"},
      {"e_type 0xffff", [](Image& i) { i.Set("e_type", 0xffff); },
       "refused: ELF file of type 65535, not a vmcore"},
      {"e_machine 0", [](Image& i) { i.Set("e_machine", 0); }, "data data |"},
      {"e_machine 0xffff", [](Image& i) { i.Set("e_machine", 0xffff); }, "data data |"},
      {"e_phnum 0", [](Image& i) { i.Set("e_phnum", 0); },
       "refused: ELF header: no program headers"},
      {"e_phnum 1", [](Image& i) { i.Set("e_phnum", 1); },
       "refused: ELF core without any segment of physical memory"},
      {"e_phnum 4", [](Image& i) { i.Set("e_phnum", 4); }, "data data |"},
      {"e_phnum 0xfffe", [](Image& i) { i.Set("e_phnum", 0xfffe); },
       "refused: ELF header: 65534 program headers at 0x40 do not fit the file"},
      {"e_phnum 0xffff", [](Image& i) { i.Set("e_phnum", 0xffff); },
       "refused: ELF header: e_phnum is PN_XNUM, and section header 0 at 0x0"},
      {"e_phentsize 0", [](Image& i) { i.Set("e_phentsize", 0); },
       "refused: ELF header: e_phentsize is 0, expected 56"},
      {"e_phentsize 1", [](Image& i) { i.Set("e_phentsize", 1); },
       "refused: ELF header: e_phentsize is 1, expected 56"},
      {"e_phentsize 32", [](Image& i) { i.Set("e_phentsize", 32); },
       "refused: ELF header: e_phentsize is 32, expected 56"},
      {"e_phentsize 55", [](Image& i) { i.Set("e_phentsize", 55); },
       "refused: ELF header: e_phentsize is 55, expected 56"},
      {"e_phentsize 57", [](Image& i) { i.Set("e_phentsize", 57); },
       "refused: ELF header: e_phentsize is 57, expected 56"},
      {"e_phentsize 0xffff", [](Image& i) { i.Set("e_phentsize", 0xffff); },
       "refused: ELF header: e_phentsize is 65535, expected 56"},
      {"e_phoff 0", [](Image& i) { i.Set("e_phoff", 0); },
       "refused: ELF core without any segment of physical memory"},
      {"e_phoff 1", [](Image& i) { i.Set("e_phoff", 1); },
       "refused: ELF core without any segment of physical memory"},
      {"e_phoff 63", [](Image& i) { i.Set("e_phoff", 63); },
       "refused: ELF core without any segment of physical memory"},
      {"e_phoff UINT64_MAX", [](Image& i) { i.Set("e_phoff", UINT64_MAX); },
       "refused: ELF header: 3 program headers at 0xffffffffffffffff do not fit"},
      {"e_phoff UINT64_MAX - 55", [](Image& i) { i.Set("e_phoff", UINT64_MAX - 55); },
       "refused: ELF header: 3 program headers at 0xffffffffffffffc8 do not fit"},
      {"e_phoff uint64_t{1} << 63", [](Image& i) { i.Set("e_phoff", uint64_t{1} << 63); },
       "refused: ELF header: 3 program headers at 0x8000000000000000 do not fit"},
      {"e_ehsize 0", [](Image& i) { i.Set("e_ehsize", 0); }, "data data |"},
      {"e_ehsize 8", [](Image& i) { i.Set("e_ehsize", 8); }, "data data |"},
      {"e_ehsize 0xffff", [](Image& i) { i.Set("e_ehsize", 0xffff); }, "data data |"},
      {"e_flags 1", [](Image& i) { i.Set("e_flags", 1); }, "data data | elf.incomplete"},
      {"e_flags 0xffffffff", [](Image& i) { i.Set("e_flags", 0xffffffff); },
       "data data | elf.incomplete"},
      {"e_phoff at the end", [](Image& i) { i.Set("e_phoff", i.bytes.size()); },
       "refused: ELF header: 3 program headers at 0x210c do not fit the file of"},
      {"PN_XNUM, sections at the end",
       [](Image& i) { i.Set("e_phnum", 0xffff).Set("e_shoff", i.bytes.size() - 63); },
       "refused: ELF header: e_phnum is PN_XNUM, and section header 0 at 0x20cd"},
      {"PN_XNUM, sections nowhere",
       [](Image& i) { i.Set("e_phnum", 0xffff).Set("e_shoff", UINT64_MAX); },
       "refused: ELF header: e_phnum is PN_XNUM, and section header 0 at"},
      {"PN_XNUM, sections in page data",
       [](Image& i) { i.Set("e_phnum", 0xffff).Set("e_shoff", i.GetSegment(1, "p_offset")); },
       "refused: ELF core without any segment of physical memory"},
      {"cut after 1 bytes", [](Image& i) { i.bytes.resize(1); },
       "refused: not a crash dump of a known format, starts with 7f"},
      {"cut after 3 bytes", [](Image& i) { i.bytes.resize(3); },
       "refused: not a crash dump of a known format, starts with 7f 45 4c"},
      {"cut after 4 bytes", [](Image& i) { i.bytes.resize(4); },
       "refused: the file ends inside the ELF header"},
      {"cut after 15 bytes", [](Image& i) { i.bytes.resize(15); },
       "refused: the file ends inside the ELF header"},
      {"cut after 16 bytes", [](Image& i) { i.bytes.resize(16); },
       "refused: the file ends inside the ELF header"},
      {"cut after 63 bytes", [](Image& i) { i.bytes.resize(63); },
       "refused: the file ends inside the ELF header"},
      {"cut after 64 bytes", [](Image& i) { i.bytes.resize(64); },
       "refused: ELF header: 3 program headers at 0x40 do not fit the file of"},
      {"cut after 119 bytes", [](Image& i) { i.bytes.resize(119); },
       "refused: ELF header: 3 program headers at 0x40 do not fit the file of"},
      {"cut after 120 bytes", [](Image& i) { i.bytes.resize(120); },
       "refused: ELF header: 3 program headers at 0x40 do not fit the file of"},
      {"cut after 231 bytes", [](Image& i) { i.bytes.resize(231); },
       "refused: ELF header: 3 program headers at 0x40 do not fit the file of"},
      {"cut after 232 bytes", [](Image& i) { i.bytes.resize(232); },
       "truncated truncated | note.truncated elf.truncated"},
      {"cut after 240 bytes", [](Image& i) { i.bytes.resize(240); },
       "truncated truncated | note.truncated note.malformed elf.truncated"},
      {"cut inside the first page",
       [](Image& i) { i.bytes.resize(i.GetSegment(1, "p_offset") + 100); },
       "truncated truncated | elf.truncated"},
      {"cut inside the last page", [](Image& i) { i.bytes.pop_back(); },
       "data truncated | elf.truncated"},
      {"first load: p_offset UINT64_MAX", [](Image& i) { i.SetSegment(1, "p_offset", UINT64_MAX); },
       "truncated data | elf.truncated"},
      {"first load: p_offset UINT64_MAX - 4094",
       [](Image& i) { i.SetSegment(1, "p_offset", UINT64_MAX - 4094); },
       "truncated data | elf.truncated"},
      {"first load: p_offset uint64_t{1} << 63",
       [](Image& i) { i.SetSegment(1, "p_offset", uint64_t{1} << 63); },
       "truncated data | elf.truncated"},
      {"first load: p_offset 0", [](Image& i) { i.SetSegment(1, "p_offset", 0); },
       "elsewhere data |"},
      {"first load: p_filesz 0", [](Image& i) { i.SetSegment(1, "p_filesz", 0); },
       "excluded data |"},
      {"first load: p_filesz 1", [](Image& i) { i.SetSegment(1, "p_filesz", 1); },
       "excluded data |"},
      {"first load: p_filesz 4095", [](Image& i) { i.SetSegment(1, "p_filesz", 4095); },
       "excluded data |"},
      {"first load: p_filesz UINT64_MAX", [](Image& i) { i.SetSegment(1, "p_filesz", UINT64_MAX); },
       "absent data | elf.segment-wraps"},
      {"first load: p_filesz uint64_t{1} << 40",
       [](Image& i) { i.SetSegment(1, "p_filesz", uint64_t{1} << 40); },
       "data data | elf.segment-sizes elf.truncated"},
      {"first load: p_memsz 0", [](Image& i) { i.SetSegment(1, "p_memsz", 0); },
       "data data | elf.segment-sizes"},
      {"first load: p_memsz 1", [](Image& i) { i.SetSegment(1, "p_memsz", 1); },
       "data data | elf.segment-sizes"},
      {"first load: p_memsz UINT64_MAX", [](Image& i) { i.SetSegment(1, "p_memsz", UINT64_MAX); },
       "absent data | elf.segment-wraps"},
      {"first load: p_memsz uint64_t{1} << 52",
       [](Image& i) { i.SetSegment(1, "p_memsz", uint64_t{1} << 52); }, "data data |"},
      {"first load: p_paddr UINT64_MAX", [](Image& i) { i.SetSegment(1, "p_paddr", UINT64_MAX); },
       "absent data | elf.no-physical-address"},
      {"first load: p_paddr UINT64_MAX - 4094",
       [](Image& i) { i.SetSegment(1, "p_paddr", UINT64_MAX - 4094); },
       "absent data | elf.segment-wraps"},
      {"first load: p_paddr UINT64_MAX - 4095",
       [](Image& i) { i.SetSegment(1, "p_paddr", UINT64_MAX - 4095); }, "absent data |"},
      {"first load: p_paddr 0x100001", [](Image& i) { i.SetSegment(1, "p_paddr", 0x100001); },
       "absent data |"},
      {"first load: p_paddr 0x200000", [](Image& i) { i.SetSegment(1, "p_paddr", 0x200000); },
       "absent elsewhere | elf.segments-disagree"},
      {"first load: p_type 0", [](Image& i) { i.SetSegment(1, "p_type", 0); }, "absent data |"},
      {"first load: p_type 4", [](Image& i) { i.SetSegment(1, "p_type", 4); },
       "absent data | note.malformed"},
      {"first load: p_type 2", [](Image& i) { i.SetSegment(1, "p_type", 2); }, "absent data |"},
      {"first load: p_type 0x6474e551", [](Image& i) { i.SetSegment(1, "p_type", 0x6474e551); },
       "absent data |"},
      {"first load: p_vaddr UINT64_MAX", [](Image& i) { i.SetSegment(1, "p_vaddr", UINT64_MAX); },
       "data data |"},
      {"first load: p_vaddr 0", [](Image& i) { i.SetSegment(1, "p_vaddr", 0); }, "data data |"},
      {"first load: p_align 3", [](Image& i) { i.SetSegment(1, "p_align", 3); }, "data data |"},
      {"first load: p_align UINT64_MAX", [](Image& i) { i.SetSegment(1, "p_align", UINT64_MAX); },
       "data data |"},
      {"both loads at 0",
       [](Image& i) { i.SetSegment(1, "p_paddr", 0).SetSegment(2, "p_paddr", 0); },
       "refused: ELF core whose segments state no physical addresses"},
      {"no load at all", [](Image& i) { i.SetSegment(1, "p_type", 0).SetSegment(2, "p_type", 0); },
       "refused: ELF core without any segment of physical memory"},
      {"first load empty",
       [](Image& i) { i.SetSegment(1, "p_filesz", 0).SetSegment(1, "p_memsz", 0); },
       "absent data |"},
      {"notes: p_offset UINT64_MAX", [](Image& i) { i.SetSegment(0, "p_offset", UINT64_MAX); },
       "data data | note.truncated"},
      {"notes: p_offset 0", [](Image& i) { i.SetSegment(0, "p_offset", 0); },
       "data data | note.malformed"},
      {"notes: p_filesz 1", [](Image& i) { i.SetSegment(0, "p_filesz", 1); },
       "data data | note.malformed"},
      {"notes: p_filesz 11", [](Image& i) { i.SetSegment(0, "p_filesz", 11); },
       "data data | note.malformed"},
      {"notes: p_filesz 13", [](Image& i) { i.SetSegment(0, "p_filesz", 13); },
       "data data | note.malformed"},
      {"notes: p_filesz UINT64_MAX", [](Image& i) { i.SetSegment(0, "p_filesz", UINT64_MAX); },
       "data data | note.truncated note.malformed"},
      {"note name size 0xffffffff",
       [](Image& i) {
         StoreUnchecked<uint32_t>(i.bytes, i.GetSegment(0, "p_offset") + 0, 0xffffffff);
       },
       "data data | note.malformed"},
      {"note name size 0xfffffffd",
       [](Image& i) {
         StoreUnchecked<uint32_t>(i.bytes, i.GetSegment(0, "p_offset") + 0, 0xfffffffd);
       },
       "data data | note.malformed"},
      {"note name size 0x80000000",
       [](Image& i) {
         StoreUnchecked<uint32_t>(i.bytes, i.GetSegment(0, "p_offset") + 0, 0x80000000);
       },
       "data data | note.malformed"},
      {"note name size 0x10000",
       [](Image& i) {
         StoreUnchecked<uint32_t>(i.bytes, i.GetSegment(0, "p_offset") + 0, 0x10000);
       },
       "data data | note.malformed"},
      {"note descriptor size 0xffffffff",
       [](Image& i) {
         StoreUnchecked<uint32_t>(i.bytes, i.GetSegment(0, "p_offset") + 4, 0xffffffff);
       },
       "data data | note.malformed"},
      {"note descriptor size 0xfffffffd",
       [](Image& i) {
         StoreUnchecked<uint32_t>(i.bytes, i.GetSegment(0, "p_offset") + 4, 0xfffffffd);
       },
       "data data | note.malformed"},
      {"note descriptor size 0x80000000",
       [](Image& i) {
         StoreUnchecked<uint32_t>(i.bytes, i.GetSegment(0, "p_offset") + 4, 0x80000000);
       },
       "data data | note.malformed"},
      {"note descriptor size 0x10000",
       [](Image& i) {
         StoreUnchecked<uint32_t>(i.bytes, i.GetSegment(0, "p_offset") + 4, 0x10000);
       },
       "data data | note.malformed"},
  };
  Add("elf", builder.Build(), {{0x100000, 1}, {0x200000, 2}}, lies, inputs);
}

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
       "excluded excluded excluded |"},
      {"second bitmap all ones",
       [](Image& i) {
         std::fill_n(i.bytes.begin() + static_cast<ptrdiff_t>(i.bitmap2), 4096, std::byte{0xff});
       },
       "corrupt corrupt corrupt | kdump.bitmaps-disagree kdump.truncated"},
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

// Pages that decode to more than a page.
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
                        builder.Build().bytes,
                        {{0x1000, 1}, {0x2000, 2}},
                        "corrupt data |"});
    }
  }
}

void AddLime(std::vector<HostileInput>& inputs) {
  using Image = std::vector<std::byte>;
  constexpr size_t kSecond = kLimeHeaderSize + 2 * kTestPage;
  Image image;
  AppendLimeRange(image, 0x1000, PatternPages(1, 2));
  AppendLimeRange(image, 0x100000, PatternPages(3, 1));
  const std::vector<Lie<Image>> lies = {
      {"version 0", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 0); },
       "refused: LiME image at 0x0: range header has magic 0x4c694d45 and"},
      {"version 2", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 2); },
       "refused: LiME image at 0x0: range header has magic 0x4c694d45 and"},
      {"version 0xffffffff", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 0xffffffff); },
       "refused: LiME image at 0x0: range header has magic 0x4c694d45 and"},
      {"first address 0", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, 0); },
       "elsewhere elsewhere absent | lime.malformed lime.live"},
      {"first address 0x1001", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, 0x1001); },
       "absent excluded absent | lime.unaligned lime.malformed lime.live"},
      {"first address UINT64_MAX", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, UINT64_MAX); },
       "refused: LiME image at 0x0: range header goes from 0xffffffffffffffff"},
      {"last address 0", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, 0); },
       "refused: LiME image at 0x0: range header goes from 0x1000 back to 0x0"},
      {"last address 0x1001", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, 0x1001); },
       "excluded absent absent | lime.malformed lime.live"},
      {"last address UINT64_MAX", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, UINT64_MAX); },
       "data data truncated | lime.truncated lime.live"},
      {"all addresses",
       [](Image& i) {
         StoreUnchecked<uint64_t>(i, 8, 0);
         StoreUnchecked<uint64_t>(i, 16, UINT64_MAX);
       },
       "refused: LiME image at 0x0: range of all addresses"},
      {"reserved bytes set", [](Image& i) { StoreUnchecked<uint64_t>(i, 24, UINT64_MAX); },
       "data data data | lime.live"},
      {"second range: magic", [](Image& i) { StoreUnchecked<uint32_t>(i, kSecond + 0, 0); },
       "data data absent | lime.malformed lime.live"},
      {"second range: version", [](Image& i) { StoreUnchecked<uint32_t>(i, kSecond + 4, 7); },
       "data data absent | lime.malformed lime.live"},
      {"second range: first address",
       [](Image& i) { StoreUnchecked<uint64_t>(i, kSecond + 8, UINT64_MAX); },
       "data data absent | lime.malformed lime.live"},
      {"second range: last address", [](Image& i) { StoreUnchecked<uint64_t>(i, kSecond + 16, 0); },
       "data data absent | lime.malformed lime.live"},
      {"second range: first address (same memory)",
       [](Image& i) { StoreUnchecked<uint64_t>(i, kSecond + 8, 0x1000); },
       "data data truncated | lime.truncated lime.overlap lime.live"},
      {"second range: last address (beyond the file)",
       [](Image& i) { StoreUnchecked<uint64_t>(i, kSecond + 16, UINT64_MAX); },
       "data data data | lime.truncated lime.live"},
      {"cut after 4 bytes", [](Image& i) { i.resize(4); },
       "refused: LiME image at 0x0: 4 bytes hold no range header"},
      {"cut after 31 bytes", [](Image& i) { i.resize(31); },
       "refused: LiME image at 0x0: 31 bytes hold no range header"},
      {"cut after 32 bytes", [](Image& i) { i.resize(32); },
       "truncated truncated absent | lime.truncated lime.live"},
      {"cut after 33 bytes", [](Image& i) { i.resize(33); },
       "truncated truncated absent | lime.truncated lime.live"},
      {"cut after 32 + 4096 bytes", [](Image& i) { i.resize(32 + 4096); },
       "data truncated absent | lime.truncated lime.live"},
      {"cut inside the second header", [](Image& i) { i.resize(kSecond + 8); },
       "data data absent | lime.malformed lime.live"},
      {"cut inside the last page", [](Image& i) { i.pop_back(); },
       "data data truncated | lime.truncated lime.live"},
      {"bytes behind the end", [](Image& i) { i.resize(i.size() + 7, std::byte{1}); },
       "data data data | lime.malformed lime.live"},
  };
  Add("lime", image, {{0x1000, 1}, {0x2000, 2}, {0x100000, 3}}, lies, inputs);
}

// A block of 1000 chunks of 9 bytes, each of which announces 64 KiB.
std::vector<std::byte> Claims() {
  std::vector<std::byte> stream;
  AppendChunk(stream, 0xff, AsBytes("sNaPpY"));
  const std::vector<std::byte> body = {std::byte{0},   std::byte{0},    std::byte{0},
                                       std::byte{0},   std::byte{0x80}, std::byte{0x80},
                                       std::byte{0x04}};
  for (int i = 0; i < 1000; ++i) AppendChunk(stream, 0, body);
  std::vector<std::byte> image;
  AppendAvmlStream(image, 0, (uint64_t{1} << 40) - 1, stream);
  return image;
}

void AddAvml(std::vector<HostileInput>& inputs) {
  using Image = std::vector<std::byte>;
  constexpr size_t kChunk = kLimeHeaderSize + 10;  // behind the stream identifier
  Image image;
  AppendAvmlBlock(image, 0x1000, PatternPages(1, 2));
  const size_t kSecond = image.size();
  AppendAvmlBlock(image, 0x100000, PatternPages(3, 1));
  const std::vector<Lie<Image>> lies = {
      {"version 0", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 0); },
       "refused: AVML image at 0x0: range header has magic 0x4c4d5641 and"},
      {"version 1", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 1); },
       "refused: AVML image at 0x0: range header has magic 0x4c4d5641 and"},
      {"version 3", [](Image& i) { StoreUnchecked<uint32_t>(i, 4, 3); },
       "refused: AVML image at 0x0: range header has magic 0x4c4d5641 and"},
      {"first address 0", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, 0); },
       "elsewhere corrupt data | avml.live"},
      {"first address UINT64_MAX", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, UINT64_MAX); },
       "refused: AVML image at 0x0: range header goes from 0xffffffffffffffff"},
      {"first address 0x1000", [](Image& i) { StoreUnchecked<uint64_t>(i, 8, 0x1000); },
       "data data data | avml.live"},
      {"last address 0", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, 0); },
       "refused: AVML image at 0x0: range header goes from 0x1000 back to 0x0"},
      {"last address UINT64_MAX", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, UINT64_MAX); },
       "data data corrupt | avml.short-block avml.overlap avml.live"},
      {"last address 0x1000", [](Image& i) { StoreUnchecked<uint64_t>(i, 16, 0x1000); },
       "absent absent data | avml.live"},
      {"all addresses",
       [](Image& i) {
         StoreUnchecked<uint64_t>(i, 8, 0);
         StoreUnchecked<uint64_t>(i, 16, UINT64_MAX);
       },
       "elsewhere corrupt corrupt | avml.short-block avml.overlap avml.live"},
      {"first chunk of type 0x02", [](Image& i) { i[kChunk] = std::byte{0x02}; },
       "corrupt corrupt data | avml.live"},
      {"first chunk of type 0x7f", [](Image& i) { i[kChunk] = std::byte{0x7f}; },
       "corrupt corrupt data | avml.live"},
      {"first chunk of type 0x80", [](Image& i) { i[kChunk] = std::byte{0x80}; },
       "corrupt corrupt data | avml.live"},
      {"first chunk of type 0xfe", [](Image& i) { i[kChunk] = std::byte{0xfe}; },
       "corrupt corrupt data | avml.live"},
      {"first chunk of type 0xff", [](Image& i) { i[kChunk] = std::byte{0xff}; },
       "corrupt corrupt data | avml.live"},
      {"first chunk of 0 bytes",
       [](Image& i) { StoreUnchecked<uint32_t>(i, kChunk, uint32_t{0} << 8); },
       "corrupt corrupt data | avml.live"},
      {"first chunk of 3 bytes",
       [](Image& i) { StoreUnchecked<uint32_t>(i, kChunk, uint32_t{3} << 8); },
       "corrupt corrupt data | avml.live"},
      {"first chunk of 4 bytes",
       [](Image& i) { StoreUnchecked<uint32_t>(i, kChunk, uint32_t{4} << 8); },
       "corrupt corrupt data | avml.live"},
      {"first chunk of 0xffffff bytes",
       [](Image& i) { StoreUnchecked<uint32_t>(i, kChunk, uint32_t{0xffffff} << 8); },
       "corrupt corrupt data | avml.live"},
      {"checksum", [](Image& i) { i[kChunk + 4] ^= std::byte{1}; },
       "corrupt corrupt data | avml.live"},
      {"payload", [](Image& i) { i[kChunk + 40] ^= std::byte{1}; },
       "corrupt corrupt data | avml.live"},
      {"preamble of 2^32 bytes",
       [](Image& i) {
         std::fill_n(i.begin() + kChunk + 8, 4, std::byte{0xff});
         i[kChunk + 12] = std::byte{0x0f};
       },
       "corrupt corrupt data | avml.live"},
      {"preamble without end",
       [](Image& i) { std::fill_n(i.begin() + kChunk + 8, 8, std::byte{0xff}); },
       "corrupt corrupt data | avml.live"},
      {"preamble of 0 bytes", [](Image& i) { i[kChunk + 8] = std::byte{0}; },
       "corrupt corrupt data | avml.live"},
      {"no stream identifier", [](Image& i) { i[36] ^= std::byte{1}; },
       "corrupt corrupt data | avml.live"},
      {"size behind the last stream 0",
       [](Image& i) { StoreUnchecked<uint64_t>(i, i.size() - 8, 0); },
       "data data data | avml.damaged avml.live"},
      {"size behind the last stream 1",
       [](Image& i) { StoreUnchecked<uint64_t>(i, i.size() - 8, 1); },
       "data data data | avml.damaged avml.live"},
      {"size behind the last stream UINT64_MAX",
       [](Image& i) { StoreUnchecked<uint64_t>(i, i.size() - 8, UINT64_MAX); },
       "data data data | avml.damaged avml.live"},
      {"size behind the last stream uint64_t{1} << 63",
       [](Image& i) { StoreUnchecked<uint64_t>(i, i.size() - 8, uint64_t{1} << 63); },
       "data data data | avml.damaged avml.live"},
      {"magic of the second block", [kSecond](Image& i) { i[kSecond] = std::byte{0}; },
       "data data absent | avml.damaged avml.live"},
      {"cut after 4 bytes", [](Image& i) { i.resize(4); },
       "refused: AVML image at 0x0: 4 bytes hold no range header"},
      {"cut after 31 bytes", [](Image& i) { i.resize(31); },
       "refused: AVML image at 0x0: 31 bytes hold no range header"},
      {"cut after 32 bytes", [](Image& i) { i.resize(32); },
       "truncated truncated absent | avml.damaged avml.short-block avml.live"},
      {"cut after 40 bytes", [](Image& i) { i.resize(40); },
       "truncated truncated absent | avml.damaged avml.short-block avml.live"},
      {"cut after 60 bytes", [](Image& i) { i.resize(60); },
       "truncated truncated absent | avml.damaged avml.short-block avml.live"},
      {"cut inside the last stream", [](Image& i) { i.resize(i.size() - 20); },
       "data data truncated | avml.damaged avml.short-block avml.live"},
      {"cut inside the last size", [](Image& i) { i.resize(i.size() - 3); },
       "data data data | avml.damaged avml.live"},
      {"cut inside the second header", [kSecond](Image& i) { i.resize(kSecond + 8); },
       "data data absent | avml.damaged avml.live"},
      {"bytes behind the end", [](Image& i) { i.resize(i.size() + 7, std::byte{1}); },
       "data data data | avml.damaged avml.live"},
      {"bomb: chunks that claim 64 KiB each", [](Image& i) { i = Claims(); },
       "corrupt corrupt corrupt | avml.short-block avml.live"},
  };
  Add("avml", image, {{0x1000, 1}, {0x2000, 2}, {0x100000, 3}}, lies, inputs);
}

}  // namespace

std::vector<HostileInput> HostileInputs() {
  std::vector<HostileInput> inputs;
  AddElf(inputs);
  AddKdump(inputs);
  AddBombs(inputs);
  AddLime(inputs);
  AddAvml(inputs);
  return inputs;
}

}  // namespace dmaudit::test
