// SPDX-License-Identifier: GPL-2.0-or-later
// make_dump_seeds CORPUS: writes the seeds of the container fuzzers below the folder CORPUS.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "support/dump_builder.h"
#include "support/flatten.h"
#include "support/lime_builder.h"
#include "support/recipe.h"

using namespace dmaudit;
using namespace dmaudit::test;

namespace {

void Write(const std::filesystem::path& path, const std::vector<std::byte>& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << AsText(bytes);
}

KdumpBuilder Kdump(int32_t version, PageCodec codec) {
  KdumpBuilder builder;
  builder.version = version;
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=6.1.0\n");
  builder.vmcoreinfo = "OSRELEASE=6.1.0\n";
  builder.AddPage(1, PatternPage(1), codec).AddPage(2, PatternPage(2), codec);
  builder.AddExcluded(3).AddLost(9);
  return builder;
}

// The first file of a recipe.
std::vector<std::byte> Made(const std::string& recipe) { return MakeRecipe(recipe).front().bytes; }

void WriteKdumpVariants(const std::filesystem::path& folder) {
  const std::string pages = "\nnote CORE 1 regs\npage 1 zlib\npage 2 zero\npage 3 excluded\n";
  Write(folder / "i386", Made("dump kdump layout=32 machine=i686" + pages));
  Write(folder / "arm", Made("dump kdump layout=32pad machine=armv7l" + pages));
  Write(folder / "arm-time64", Made("dump kdump layout=32time machine=armv7l" + pages));
  Write(folder / "s390x", Made("dump kdump order=big machine=s390x" + pages));
  Write(folder / "ppc-v5", Made("dump kdump order=big layout=32pad version=5 machine=ppc" + pages));
  Write(folder / "diskdump", Made("dump kdump signature=DISKDUMP machine=i686 layout=32" + pages));
  Write(folder / "part", Made("dump kdump" + pages + "page 20 lzo\nsplit 16\n"));
  Write(folder / "erased", Made("dump kdump" + pages + "eraseinfo erase jiffies 8\n"));
}

void WriteFlattened(const std::filesystem::path& folder) {
  const std::vector<std::byte> kdump = Made("dump kdump\npage 1 zlib\npage 3 excluded\n");
  const std::vector<std::byte> elf = ElfBuilder().AddLoad(0x1000, PatternPage(1)).Build().bytes;
  Write(folder / "kdump", Flatten(kdump, 4096));
  Write(folder / "elf-shuffled", Flatten(elf, 700, 3));
  FlatStream overlapping;
  overlapping.Record(0, kdump).Record(4096, std::span(kdump).first(100)).Record(40, {});
  Write(folder / "overlapping-cut", overlapping.Record(0, kdump).bytes());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_dump_seeds CORPUS\n", stderr);
    return 2;
  }
  const std::filesystem::path corpus = argv[1];
  Write(corpus / "kdump_fuzz/zlib-v6", Kdump(6, PageCodec::kZlib).Build().bytes);
  Write(corpus / "kdump_fuzz/lzo-v4", Kdump(4, PageCodec::kLzo).Build().bytes);
  Write(corpus / "kdump_fuzz/snappy-v3", Kdump(3, PageCodec::kSnappy).Build().bytes);
  Write(corpus / "kdump_fuzz/zstd-v6", Kdump(6, PageCodec::kZstd).Build().bytes);
  KdumpBuilder single = Kdump(0, PageCodec::kLzo);
  single.two_bitmaps = false;
  Write(corpus / "kdump_fuzz/one-bitmap-v0", single.Build().bytes);
  WriteKdumpVariants(corpus / "kdump_fuzz");
  WriteFlattened(corpus / "flattened_fuzz");

  ElfBuilder elf;
  elf.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=6.1.0\n");
  elf.AddLoad(0x1000, PatternPage(1), 0x3000, 0xffffffff81000000);
  elf.AddLoad(0x1000, PatternPage(1)).AddLoad(0x8100, std::vector<std::byte>(0x200));
  Write(corpus / "elf_fuzz/overlap", elf.Build().bytes);
  ElfBuilder narrow;
  narrow.wide = false;
  narrow.order = ByteOrder::kBig;
  narrow.machine = 20;  // ppc
  narrow.notes = MakeNote("CORE", 1, "state", ByteOrder::kBig);
  narrow.AddLoad(0x1000, PatternPage(1), 0x3000);
  Write(corpus / "elf_fuzz/narrow-big-endian", narrow.Build().bytes);
  ElfBuilder kcore;
  kcore.notes = MakeNote("CORE", 4, "task");
  kcore.AddLoad(0, PatternPage(1), 0, 0xffffc90000000000);
  kcore.AddLoad(0x1000, PatternPage(2), 0, 0xffff888000001000);
  Write(corpus / "elf_fuzz/kcore", kcore.Build().bytes);
  Write(corpus / "elf_fuzz/missing",
        Made("dump elf\nmissing excluded 0x2000 0x2fff lost 0x3000 0x37ff truncated 0x5000 0x5fff "
             "corrupt 0x6000 0x6fff\nload 0x1000\nload 0x3800 file=0x800\nload 0x6000\n"));
  elf.program_headers = 192;
  elf.extended_numbering = true;
  elf.padding = 5;
  Write(corpus / "elf_fuzz/extended-numbering", elf.Build().bytes);

  std::vector<std::byte> lime;
  AppendLimeRange(lime, 0x1000, PatternPages(1, 2));
  AppendLimeRange(lime, 0x9000, std::vector<std::byte>(0x1c00));
  Write(corpus / "lime_fuzz/ranges", lime);
  std::vector<std::byte> avml;
  AppendAvmlBlock(avml, 0x1000, PatternPages(1, 3), 4096);
  AppendAvmlBlock(avml, 0x9000, PatternPages(9, 1));
  Write(corpus / "avml_fuzz/blocks", avml);
  avml.pop_back();  // found chunk by chunk
  Write(corpus / "avml_fuzz/cut", avml);
  return 0;
}
