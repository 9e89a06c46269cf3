// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <array>

#include "base/bytes.h"
#include "support/dump_builder.h"
#include "support/sparse_source.h"

namespace dmaudit {
namespace {

using namespace test;

constexpr std::array kCodecs = {PageCodec::kRaw, PageCodec::kZlib, PageCodec::kLzo,
                                PageCodec::kSnappy, PageCodec::kZstd};

uint64_t AddressOf(uint64_t frame) { return frame * kTestPage; }

TEST_CASE("kdump: pages of every codec, and a state for each that is not there") {
  KdumpBuilder builder;
  builder.status = 1;
  for (size_t i = 0; i < kCodecs.size(); ++i)
    builder.AddPage(2 + 3 * i, PatternPage(i), kCodecs[i]);
  builder.AddExcluded(3).AddLost(40);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  for (size_t i = 0; i < kCodecs.size(); ++i) {
    const Page page = ReadPageAt(*dump, AddressOf(2 + 3 * i));
    CHECK(page.readable());
    CHECK(page.bytes == PatternPage(i));
  }
  CHECK(StateAt(*dump, AddressOf(3)) == ByteState::kExcluded);
  CHECK(StateAt(*dump, AddressOf(4)) == ByteState::kAbsent);
  CHECK(StateAt(*dump, AddressOf(40)) == ByteState::kLost);
  CHECK(StateAt(*dump, AddressOf(63)) == ByteState::kAbsent);
  CHECK(StateAt(*dump, AddressOf(64)) == ByteState::kAbsent);
  CHECK(StateAt(*dump, UINT64_MAX - 4095) == ByteState::kAbsent);
  CHECK(dump->memory->PageStateHint(PhysAddr(AddressOf(2))) == ByteState::kData);
  CHECK(dump->memory->PageStateHint(PhysAddr(AddressOf(3))) == ByteState::kExcluded);
  CHECK(dump->memory->PageStateHint(PhysAddr(AddressOf(4))) == ByteState::kAbsent);
  CHECK(dump->memory->PageStateHint(PhysAddr(AddressOf(40))) == ByteState::kLost);
  CHECK(Ids(sink) == "kdump.lost-pages");
  CHECK(dump->info.incomplete);
}

TEST_CASE("kdump: what the headers say") {
  KdumpBuilder builder;
  builder.status = 0x20;
  builder.notes = MakeNote("VMCOREINFO", 0, "OSRELEASE=6.1.0-test\n");
  builder.AddPage(1, PatternPage(1), PageCodec::kZstd);
  DiagnosticSink sink;
  const KdumpImage image = builder.Build();
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  CHECK(dump->info.format == "kdump-compressed");
  CHECK(dump->info.format_detail == "header version 6");
  CHECK(dump->info.compression == "zstd");
  CHECK(dump->info.machine == "x86_64");
  CHECK(dump->info.release == "6.1.0-test");
  CHECK(dump->info.nodename == "host");
  CHECK(dump->info.file_size == image.bytes.size());
  CHECK(dump->info.paths == std::vector<std::string>{"dump"});
  CHECK_FALSE(dump->info.incomplete);
  REQUIRE(dump->notes.size() == 1);
  CHECK(AsText(dump->notes[0].descriptor) == "OSRELEASE=6.1.0-test\n");
  CHECK(Ids(sink) == "");
}

TEST_CASE("kdump: RAM is what the first bitmap says, stored or not") {
  KdumpBuilder builder;
  builder.AddPage(0, PatternPage(1)).AddExcluded(1).AddPage(2, PatternPage(2)).AddExcluded(63);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  const std::vector<PhysRange> want = {{PhysAddr(0), PhysAddr(0x2fff)},
                                       {PhysAddr(0x3f000), PhysAddr(0x3ffff)}};
  CHECK(RamOf(*dump) == want);
}

TEST_CASE("kdump: every header version from 0 on is read") {
  for (const int32_t version : {0, 1, 2, 3, 4, 5, 6, 7, 100}) {
    KdumpBuilder builder;
    builder.version = version;
    builder.notes = MakeNote("CORE", 1, "regs");
    builder.vmcoreinfo = "OSRELEASE=x\n";
    builder.AddPage(5, PatternPage(5), PageCodec::kZlib).AddExcluded(6);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
    INFO("version ", version);
    REQUIRE(dump);
    CHECK(ReadPageAt(*dump, AddressOf(5)).bytes == PatternPage(5));
    CHECK(StateAt(*dump, AddressOf(6)) == ByteState::kExcluded);
    // Notes since version 4, the pointer to VMCOREINFO since version 3.
    CHECK(dump->notes.size() == (version >= 4 ? 2 : version == 3 ? 1 : 0));
    if (version >= 3) CHECK(dump->notes.back().name == "VMCOREINFO");
    CHECK(Ids(sink) == "");
  }
}

TEST_CASE("kdump: a version does not read the fields of later ones") {
  KdumpBuilder builder;
  builder.version = 1;
  builder.AddPage(5, PatternPage(5));
  KdumpImage image = builder.Build();
  for (const std::string_view field :
       {"split", "offset_vmcoreinfo", "size_vmcoreinfo", "offset_note", "size_note",
        "offset_eraseinfo", "size_eraseinfo", "max_mapnr_64"}) {
    image.Set(field, UINT64_MAX);
  }
  DiagnosticSink sink;
  CHECK(OpenBytes(image.bytes, sink));
  CHECK(Ids(sink) == "");
}

TEST_CASE("kdump: with one bitmap, what is not stored is not described") {
  KdumpBuilder builder;
  builder.two_bitmaps = false;
  builder.AddPage(1, PatternPage(1)).AddPage(9, PatternPage(9)).AddExcluded(2);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, AddressOf(9)).bytes == PatternPage(9));
  CHECK(StateAt(*dump, AddressOf(2)) == ByteState::kAbsent);
  CHECK(RamOf(*dump).size() == 2);
  CHECK(Ids(sink) == "");
}

TEST_CASE("kdump: one stored page may serve many frames") {
  KdumpBuilder builder;
  builder.AddPage(1, std::vector<std::byte>(kTestPage));
  builder.AddPage(2, PatternPage(2), PageCodec::kLzo).AddPage(3, std::vector<std::byte>(kTestPage));
  KdumpImage image = builder.Build();
  image.SetDescriptor(2, "offset", image.GetDescriptor(0, "offset"));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(image.bytes, sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, AddressOf(3)).bytes == std::vector<std::byte>(kTestPage));
  CHECK(StateAt(*dump, AddressOf(3)) == ByteState::kData);
  CHECK(Ids(sink) == "");
}

TEST_CASE("kdump: bits at and beyond max_mapnr do not count") {
  KdumpBuilder builder;
  builder.AddPage(61, PatternPage(61)).AddPage(62, PatternPage(62)).AddPage(63, PatternPage(63));
  for (const uint64_t max : {uint64_t{62}, uint64_t{63}, uint64_t{64}}) {
    KdumpImage image = builder.Build();
    image.Set("max_mapnr", max).Set("max_mapnr_64", max);
    DiagnosticSink sink;
    const Result<Dump> dump = OpenBytes(image.bytes, sink);
    REQUIRE(dump);
    for (uint64_t frame = 61; frame < 64; ++frame) {
      CHECK(StateAt(*dump, AddressOf(frame)) ==
            (frame < max ? ByteState::kData : ByteState::kAbsent));
    }
    CHECK(ReadPageAt(*dump, AddressOf(61)).bytes == PatternPage(61));
  }
}

TEST_CASE("kdump: neighbours, strangers and repeats through one context") {
  // More pages than one group of descriptors holds.
  KdumpBuilder builder;
  builder.max_mapnr = 2048;
  for (uint64_t i = 0; i < 600; ++i) builder.AddPage(i * 3, PatternPage(i), PageCodec::kLzo);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(builder.Build().bytes, sink);
  REQUIRE(dump);
  const auto context = dump->memory->MakeContext();
  Page page;
  for (uint64_t step = 0; step < 1800; ++step) {
    const uint64_t i = step < 600 ? step : (step * 211) % 600;
    dump->memory->ReadPage(PhysAddr(AddressOf(i * 3)), *context, page);
    CHECK(page.bytes == PatternPage(i));
  }
}

TEST_CASE("kdump: a page at the far end of the address space opens without its bitmaps") {
  const uint64_t far = 0x602770ecf;  // frame of a real machine with RAM this high
  const uint64_t max = far + 1;
  KdumpBuilder small;
  KdumpImage image = small.Build();
  const uint64_t blocks = (max - 1) / 8 / kTestPage + 1;
  image.Set("max_mapnr", UINT32_MAX).Set("max_mapnr_64", max);
  image.Set("bitmap_blocks", 2 * blocks);
  const uint64_t bitmap2 = image.bitmap1 + blocks * kTestPage;
  const uint64_t descriptors = bitmap2 + blocks * kTestPage;
  auto source = std::make_shared<SparseSource>(descriptors + 24 + kTestPage);
  image.bytes.resize(image.bitmap1);
  source->Write(0, image.bytes);
  const std::vector<std::byte> bit(1, std::byte{1} << (far % 8));
  source->Write(image.bitmap1 + far / 8, bit);
  source->Write(bitmap2 + far / 8, bit);
  std::vector<std::byte> descriptor(24);
  StoreUnchecked<uint64_t>(descriptor, 0, descriptors + 24);
  StoreUnchecked<uint32_t>(descriptor, 8, kTestPage);
  source->Write(descriptors, descriptor);
  source->Write(descriptors + 24, PatternPage(77));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenDump(source, "dump", sink);
  REQUIRE(dump);
  CHECK(ReadPageAt(*dump, AddressOf(far)).bytes == PatternPage(77));
  CHECK(Ids(sink) == "");
  CHECK(source->bytes_read() < 4 << 20);
}

TEST_CASE("kdump: a failing device is a corrupt page, not the end") {
  KdumpBuilder builder;
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib).AddPage(2, PatternPage(2));
  const KdumpImage image = builder.Build();
  auto source = std::make_shared<SparseSource>(image.bytes.size());
  source->Write(0, image.bytes);
  DiagnosticSink sink;
  const Result<Dump> dump = OpenDump(source, "dump", sink);
  REQUIRE(dump);
  source->FailAt(image.bytes.size() - 1);
  CHECK(StateAt(*dump, AddressOf(1)) == ByteState::kData);
  CHECK(StateAt(*dump, AddressOf(2)) == ByteState::kCorrupt);
  source->FailAt(image.descriptors);
  CHECK(StateAt(*dump, AddressOf(1)) == ByteState::kCorrupt);
}

TEST_CASE("kdump: where a bitmap cannot be read, no page is known from there on") {
  constexpr uint64_t kPiece = 4096;  // frames that are read together around a bad place
  KdumpBuilder builder;
  builder.max_mapnr = 5 * kPiece;
  for (const uint64_t frame : {uint64_t{1}, kPiece, 2 * kPiece - 1, 2 * kPiece, 4 * kPiece}) {
    builder.AddPage(frame, PatternPage(frame), PageCodec::kZlib);
  }
  builder.AddExcluded(2).AddExcluded(2 * kPiece + 1);
  const KdumpImage image = builder.Build();
  for (const bool second : {false, true}) {
    CAPTURE(second);
    const uint64_t bitmap = second ? image.bitmap2 : image.bitmap1;
    auto source = std::make_shared<SparseSource>(image.bytes.size());
    source->Write(0, image.bytes);
    source->FailAt(bitmap + 2 * kPiece / 8 + 7);  // of the third piece
    DiagnosticSink sink;
    const Result<Dump> dump = OpenDump(source, "dump", sink);
    REQUIRE(dump);
    CHECK(Ids(sink) == "kdump.bitmap-unreadable");
    CHECK(dump->info.incomplete);
    for (const uint64_t frame : {uint64_t{1}, kPiece, 2 * kPiece - 1}) {
      CHECK(ReadPageAt(*dump, AddressOf(frame)).bytes == PatternPage(frame));
    }
    CHECK(StateAt(*dump, AddressOf(2)) == ByteState::kExcluded);
    CHECK(StateAt(*dump, AddressOf(3)) == ByteState::kAbsent);
    // The second bitmap alone says which pages are stored where.
    const ByteState behind = second ? ByteState::kCorrupt : ByteState::kData;
    CHECK(StateAt(*dump, AddressOf(2 * kPiece)) == behind);
    CHECK(StateAt(*dump, AddressOf(4 * kPiece)) == behind);
    CHECK(StateAt(*dump, AddressOf(2 * kPiece + 1)) == ByteState::kCorrupt);
    // The first bitmap alone says what is RAM.
    CHECK(StateAt(*dump, AddressOf(5 * kPiece - 1)) ==
          (second ? ByteState::kAbsent : ByteState::kCorrupt));
    CHECK(StateAt(*dump, AddressOf(5 * kPiece)) == ByteState::kAbsent);
  }
  auto source = std::make_shared<SparseSource>(image.bytes.size());
  source->Write(0, image.bytes);
  source->FailAt(image.bitmap2);
  DiagnosticSink sink;
  const Result<Dump> none = OpenDump(source, "dump", sink);
  REQUIRE_FALSE(none);
  CHECK(none.error().message.find("page bitmap at 0x") != std::string::npos);
}

}  // namespace
}  // namespace dmaudit
