// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "support/dump_builder.h"

namespace dmaudit {
namespace {

using namespace test;

std::string WriteFile(const std::string& name, const std::vector<std::byte>& bytes) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("dmaudit-test-" + std::to_string(::getpid()) + "-" + name);
  std::ofstream(path, std::ios::binary) << AsText(bytes);
  return path;
}

TEST_CASE("several dumps come back in the order given") {
  const std::string elf =
      WriteFile("elf", ElfBuilder().AddLoad(0x1000, PatternPage(1)).Build().bytes);
  const std::string kdump =
      WriteFile("kdump", KdumpBuilder().AddPage(2, PatternPage(2), PageCodec::kZstd).Build().bytes);
  DiagnosticSink sink;
  const Result<std::vector<Dump>> dumps = OpenDumps({kdump, elf}, sink);
  REQUIRE(dumps);
  REQUIRE(dumps->size() == 2);
  CHECK((*dumps)[0].info.format == "kdump-compressed");
  CHECK((*dumps)[0].info.paths == std::vector<std::string>{kdump});
  CHECK(ReadPageAt((*dumps)[0], 0x2000).bytes == PatternPage(2));
  CHECK((*dumps)[1].info.format == "ELF");
  CHECK(ReadPageAt((*dumps)[1], 0x1000).bytes == PatternPage(1));
  CHECK(Ids(sink) == "");

  const Result<std::vector<Dump>> none = OpenDumps({kdump, elf + "-none"}, sink);
  REQUIRE_FALSE(none);
  CHECK(none.error().message.starts_with(elf + "-none: "));
  std::filesystem::remove(elf);
  std::filesystem::remove(kdump);
}

TEST_CASE("how many unknown pages a file of some size justifies, and that it ends nowhere") {
  const auto most = [](uint64_t size) {
    DumpInfo info;
    info.file_size = size;
    return MaxUnknownPages(info);
  };
  CHECK(most(0) == 262144);
  CHECK(most(1000) == 262144 + 4000);
  CHECK(most(UINT64_MAX / 16 - 1) == 262144 + (UINT64_MAX / 16 - 1) * 4);
  CHECK(most(UINT64_MAX / 16) == UINT64_MAX);
  CHECK(most(UINT64_MAX) == UINT64_MAX);
}

TEST_CASE("no paths, no dumps") {
  DiagnosticSink sink;
  CHECK(OpenDumps({}, sink).value().empty());
}

TEST_CASE("a distilled dump is never read without its record of removed words") {
  KdumpBuilder builder;
  builder.notes = MakeNote("DMAUDIT", 1, "not a record");
  builder.AddPage(2, PatternPage(2));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  CHECK(dump->info.distilled);
  CHECK(sink.incomplete());
  CHECK(dump->memory->PageStateHint(PhysAddr(0x2000)) == ByteState::kRedacted);
  const auto context = dump->memory->MakeContext();
  Page page;
  dump->memory->ReadPage(PhysAddr(0x2000), *context, page);
  CHECK(page.extents == std::vector<PageExtent>{{0, 4096, ByteState::kRedacted}});
}

}  // namespace
}  // namespace dmaudit
