// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/flattened_source.h"

#include <doctest/doctest.h>

#include <numeric>
#include <string>

#include "support/dump_builder.h"
#include "support/flatten.h"
#include "support/sparse_source.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit {
namespace {

using namespace test;

std::shared_ptr<const FlattenedSource> Open(std::vector<std::byte> bytes, DiagnosticSink& sink) {
  Result<std::shared_ptr<const FlattenedSource>> source =
      FlattenedSource::Open(std::make_shared<MemorySource>(std::move(bytes)), "dump", sink);
  REQUIRE(source);
  return *source;
}

std::string Text(const FlattenedSource& source, uint64_t offset, size_t size) {
  std::vector<std::byte> out(size, std::byte{'#'});
  const Result<size_t> got = source.ReadAt(FileOffset(offset), out);
  REQUIRE(got);
  return std::string(AsText(std::span(out).first(*got)));
}

FlatStream& Put(FlatStream& stream, uint64_t offset, std::string_view text) {
  return stream.Record(offset, AsBytes(text));
}

TEST_CASE("flattened: records in any order make the file") {
  std::vector<std::byte> file(10000);
  for (size_t i = 0; i < file.size(); ++i) file[i] = static_cast<std::byte>(i * 7 + i / 256);
  for (const size_t size : {1u, 7u, 512u, 4096u, 5000u, 9999u, 10000u, 10001u}) {
    for (const uint64_t seed : {0u, 1u, 2u}) {
      DiagnosticSink sink;
      const auto source = Open(Flatten(file, size, seed), sink);
      INFO("records of ", size, " seed ", seed);
      CHECK(source->size() == file.size());
      CHECK(source->records() == (file.size() + size - 1) / size);
      std::vector<std::byte> out(file.size() + 100);
      CHECK(source->ReadAt(FileOffset(0), out).value() == file.size());
      CHECK(std::equal(file.begin(), file.end(), out.begin()));
      CHECK(Ids(sink) == "");
    }
  }
}

TEST_CASE("flattened: the later record holds, whichever way they overlap") {
  struct Case {
    std::vector<std::pair<uint64_t, std::string_view>> records;
    std::string_view file;
  };
  const Case cases[] = {
      {{{0, "aaaa"}, {0, "bbbb"}}, "bbbb"},
      {{{0, "aaaa"}, {0, "bb"}}, "bbaa"},
      {{{0, "aa"}, {0, "bbbb"}}, "bbbb"},
      {{{0, "aaaa"}, {2, "bbbb"}}, "aabbbb"},
      {{{2, "bbbb"}, {0, "aaaa"}}, "aaaabb"},
      {{{0, "aaaaaa"}, {2, "bb"}}, "aabbaa"},
      {{{2, "bb"}, {0, "aaaaaa"}}, "aaaaaa"},
      {{{0, "aaaaaa"}, {1, "bbbb"}, {2, "cc"}}, "abccba"},
      {{{2, "cc"}, {0, "aaaaaa"}, {1, "bbbb"}}, "abbbba"},
      {{{1, "bbbb"}, {2, "cc"}, {0, "aaa"}, {5, "z"}}, "aaacbz"},
      {{{0, "ab"}, {2, "cd"}, {1, "xx"}, {1, ""}}, "axxd"},
  };
  for (const Case& c : cases) {
    FlatStream stream;
    for (const auto& [offset, text] : c.records) Put(stream, offset, text);
    DiagnosticSink sink;
    const auto source = Open(stream.End().bytes(), sink);
    CHECK(Text(*source, 0, 100) == c.file);
    for (size_t i = 0; i < c.file.size(); ++i) {
      CHECK(Text(*source, i, 2) == c.file.substr(i, 2));
    }
    CHECK(Ids(sink) == "");
  }
}

TEST_CASE("flattened: many overlapping records against painting them one by one") {
  uint64_t seed = 12345;
  const auto next = [&seed](uint64_t below) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    return (seed >> 33) % below;
  };
  for (int round = 0; round < 50; ++round) {
    std::string file;
    FlatStream stream;
    for (int i = 0; i < 40; ++i) {
      const uint64_t offset = next(200);
      const std::string text(next(60) + 1, static_cast<char>('0' + i));
      if (file.size() < offset + text.size()) file.resize(offset + text.size(), '\0');
      file.replace(offset, text.size(), text);
      Put(stream, offset, text);
    }
    DiagnosticSink sink;
    const auto source = Open(stream.End().bytes(), sink);
    CHECK(source->size() == file.size());
    CHECK(Text(*source, 0, 1000) == file);
    const uint64_t from = next(file.size());
    CHECK(Text(*source, from, 17) == file.substr(from, 17));
  }
}

TEST_CASE("flattened: what no record covers is zero, and a hole") {
  FlatStream stream;
  Put(stream, 4, "ab");
  Put(stream, 8, "c");
  DiagnosticSink sink;
  const auto source = Open(stream.End().bytes(), sink);
  using namespace std::string_view_literals;
  CHECK(Text(*source, 0, 100) == "\0\0\0\0ab\0\0c"sv);
  CHECK(Text(*source, 6, 1) == "\0"sv);
  CHECK(Text(*source, 9, 1).empty());
  CHECK(source->SkipHole(FileOffset(0)) == FileOffset(4));
  CHECK(source->SkipHole(FileOffset(5)) == FileOffset(5));
  CHECK(source->SkipHole(FileOffset(6)) == FileOffset(8));
  CHECK(source->SkipHole(FileOffset(9)) == FileOffset(9));
  CHECK_FALSE(source->cut());
}

TEST_CASE("flattened: a hole of the stream inside a record is skipped, and is written") {
  constexpr uint64_t kHole = uint64_t{1} << 29;
  FlatStream stream;
  stream.Record(0, AsBytes("abcd")).Header(4, kHole);
  const size_t head = stream.bytes().size();
  FlatStream rest;
  rest.bytes().clear();
  rest.Record(4 + kHole, AsBytes("wxyz")).End();
  auto sparse = std::make_shared<SparseSource>(head + kHole + rest.bytes().size());
  sparse->Write(0, stream.bytes());
  sparse->Write(head + kHole, rest.bytes());
  DiagnosticSink sink;
  const auto opened = FlattenedSource::Open(sparse, "dump", sink);
  REQUIRE(opened);
  CHECK(Ids(sink) == "");
  const FlattenedSource& source = **opened;
  CHECK(source.SkipHole(FileOffset(0)) == FileOffset(0));
  CHECK(source.SkipHole(FileOffset(4)) == FileOffset(4 + kHole));
  CHECK(source.SkipHole(FileOffset(kHole - 9000)) == FileOffset(4 + kHole));
  CHECK(source.FirstWritten(FileOffset(4)) == FileOffset(4));
  CHECK(source.FirstUnwritten(FileOffset(0), kHole + 8).value() == kHole + 8);
}

TEST_CASE("flattened: in a cut stream what no record covers is not known, never zero") {
  FlatStream stream;
  Put(stream, 4, "ab");
  Put(stream, 8, "c");
  DiagnosticSink sink;
  const auto source = Open(stream.bytes(), sink);
  CHECK(source->cut());
  CHECK(Text(*source, 0, 100).empty());
  CHECK(Text(*source, 4, 100) == "ab");
  CHECK(Text(*source, 8, 100) == "c");
  CHECK(source->SkipHole(FileOffset(6)) == FileOffset(6));
  CHECK(Ids(sink) == "flattened.cut");
  CHECK(sink.incomplete());
}

TEST_CASE("flattened: a stream cut anywhere keeps what it has and invents nothing") {
  FlatStream stream;
  Put(stream, 0, "0123456789");
  Put(stream, 10, "abcdefghij");
  const std::vector<std::byte> whole = stream.End().bytes();
  for (size_t size = 4096 + 16 + 1; size < whole.size(); ++size) {
    std::vector<std::byte> bytes = whole;
    bytes.resize(size);
    DiagnosticSink sink;
    const auto source = Open(bytes, sink);
    const size_t first = std::min<size_t>(10, size - 4112);
    const size_t second = size <= 4138 ? 0 : std::min<size_t>(10, size - 4138);
    INFO("size ", size);
    CHECK(Text(*source, 0, 100) ==
          std::string("0123456789abcdefghij").substr(0, first < 10 ? first : 10 + second));
    CHECK(source->cut());
    CHECK(Ids(sink) == "flattened.cut");
  }
}

TEST_CASE("flattened: a record that makes no sense cuts the stream there") {
  struct Case {
    int64_t offset, size;
  };
  const Case cases[] = {{-2, 4},        {INT64_MIN, 4},    {0, -1},
                        {0, INT64_MIN}, {INT64_MAX, 1},    {1, INT64_MAX},
                        {-1, 0},        {-1, 4},           {INT64_MAX - 3, 4},
                        {0, 0},         {0, (1 << 30) + 1}};
  for (const Case& c : cases) {
    FlatStream stream;
    // One that leads to it can be longer than it was written.
    Put(stream, 0, "good");
    Put(stream, 4, "lost").Header(c.offset, c.size);
    Put(stream, 8, "behind").End();
    DiagnosticSink sink;
    const auto source = Open(stream.bytes(), sink);
    CHECK(source->cut());
    CHECK(source->size() == 4);
    CHECK(Ids(sink) == "flattened.cut");
    CHECK(Text(*source, 0, 100) == "good");
  }
}

TEST_CASE("flattened: a hole is not taken for records without a byte without end") {
  constexpr int64_t kMost = 1 << 20;
  for (const int64_t count : {kMost - 1, kMost, kMost + 1}) {
    CAPTURE(count);
    FlatStream stream;
    stream.Record(0, PatternPage(1));
    for (int64_t i = 0; i < count; ++i) stream.Header(1, 0);
    stream.Record(kTestPage, PatternPage(2)).End();
    DiagnosticSink sink;
    const auto source = FlattenedSource::Open(
        std::make_shared<MemorySource>(std::move(stream.bytes())), "dump", sink);
    REQUIRE(source);
    CHECK(Ids(sink) == (count > kMost ? "flattened.cut" : ""));
    CHECK((*source)->size() == (count > kMost ? 1 : 2) * uint64_t{kTestPage});
  }
  // A terabyte of them.
  auto sparse = std::make_shared<SparseSource>(uint64_t{1} << 40);
  FlatStream stream;
  sparse->Write(0, stream.Record(0, PatternPage(1)).Record(kTestPage, PatternPage(2)).bytes());
  DiagnosticSink sink;
  const auto source = FlattenedSource::Open(sparse, "dump", sink);
  REQUIRE(source);
  CHECK((*source)->size() == kTestPage);
  CHECK(Ids(sink) == "flattened.cut");
  CHECK(sparse->bytes_read() < 20 << 20);
}

TEST_CASE("flattened: the end record is one, and the last") {
  const auto ids = [](std::string_view behind) {
    FlatStream stream;
    Put(stream, 0, "good");
    Put(stream, 4, "last").End();
    const auto more = AsBytes(behind);
    stream.bytes().insert(stream.bytes().end(), more.begin(), more.end());
    DiagnosticSink sink;
    const auto source = Open(stream.bytes(), sink);
    CHECK(Text(*source, 0, 100) == (source->cut() ? "good" : "goodlast"));
    return Ids(sink);
  };
  using namespace std::string_view_literals;
  CHECK(ids("") == "");
  CHECK(ids("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"sv) == "");
  CHECK(ids("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a"sv) == "flattened.cut");
}

TEST_CASE("flattened: a size that is wrong gives no bytes of elsewhere") {
  // The second of three pages, with a size as of all, and what is there where its end would be:
  // zeros, ones, words of the machine, nothing.
  for (const unsigned fill : {0x00u, 0xffu, 0x12u}) {
    for (const uint64_t size : {0x800u, 0x1400u, 0x3000u}) {
      CAPTURE(fill);
      CAPTURE(size);
      const std::vector<std::byte> page(kTestPage, static_cast<std::byte>(fill));
      FlatStream stream;
      stream.Record(0, PatternPage(1)).Header(kTestPage, static_cast<int64_t>(size));
      stream.bytes().insert(stream.bytes().end(), page.begin(), page.end());
      for (uint64_t i = 2; i < 6; ++i) stream.Record(i * kTestPage, page);
      DiagnosticSink sink;
      const auto source = Open(stream.End().bytes(), sink);
      CHECK(Ids(sink) == "flattened.cut");
      CHECK(source->size() == kTestPage);
    }
  }
}

TEST_CASE("flattened: what a cut stream did not get to is told without reading") {
  FlatStream stream;
  Put(stream, 4, "ab");
  Put(stream, 8, "c");
  DiagnosticSink sink;
  const auto cut = Open(stream.bytes(), sink);
  CHECK(cut->FirstUnreadable(FileOffset(0), 9) == FileOffset(0));
  CHECK(cut->FirstReadable(FileOffset(0)) == FileOffset(4));
  CHECK(cut->FirstUnreadable(FileOffset(4), 2) == FileOffset(6));
  CHECK(cut->FirstUnreadable(FileOffset(4), 3) == FileOffset(6));
  CHECK(cut->FirstReadable(FileOffset(6)) == FileOffset(8));
  CHECK(cut->FirstUnreadable(FileOffset(8), 1) == FileOffset(9));
  CHECK(cut->IsWritten(FileOffset(0), 9));
  const auto whole = Open(stream.End().bytes(), sink);
  CHECK(whole->FirstUnreadable(FileOffset(0), 9) == FileOffset(9));
  CHECK_FALSE(whole->IsWritten(FileOffset(0), 9));
}

TEST_CASE("flattened: a record longer than the stream ends with it") {
  FlatStream stream;
  Put(stream, 0, "good").Header(2, 1 << 30);
  stream.bytes().resize(stream.bytes().size() + 3, std::byte{'x'});
  DiagnosticSink sink;
  const auto source = Open(stream.bytes(), sink);
  CHECK(source->size() == 5);
  CHECK(Text(*source, 0, 100) == "goxxx");
  CHECK(Text(*source, 1000, 100).empty());
  CHECK(Ids(sink) == "flattened.cut");
}

TEST_CASE("flattened: what is no stream is an error that names the file") {
  const auto fails = [](std::vector<std::byte> bytes, std::string_view says) {
    DiagnosticSink sink;
    const auto source =
        FlattenedSource::Open(std::make_shared<MemorySource>(std::move(bytes)), "dump", sink);
    REQUIRE_FALSE(source);
    CHECK(source.error().message.starts_with("dump: "));
    CHECK(source.error().message.find(says) != std::string::npos);
  };
  FlatStream other_type;
  StoreUnchecked<uint64_t>(other_type.bytes(), 16, 2, ByteOrder::kBig);
  fails(Put(other_type, 0, "x").End().bytes(), "type 2 version 1");
  FlatStream other_version;
  StoreUnchecked<uint64_t>(other_version.bytes(), 24, 2, ByteOrder::kBig);
  fails(Put(other_version, 0, "x").End().bytes(), "type 1 version 2");
  std::vector<std::byte> shorter = FlatStream().bytes();
  shorter.resize(31);
  fails(shorter, "ends at 0x1f");
  fails(FlatStream().bytes(), "without a record");
  fails(FlatStream().End().bytes(), "without a record");
  fails(FlatStream().Header(0, 0).End().bytes(), "without a record");
}

TEST_CASE("flattened: dumps of both kinds inside") {
  KdumpBuilder kdump;
  kdump.AddPage(1, PatternPage(1), PageCodec::kZlib).AddPage(2, PatternPage(2)).AddExcluded(3);
  ElfBuilder elf;
  elf.AddLoad(0x1000, PatternPage(1)).AddLoad(0x2000, PatternPage(2), 2 * kTestPage);
  for (const std::vector<std::byte>& file : {kdump.Build().bytes, elf.Build().bytes}) {
    for (const uint64_t seed : {0u, 5u}) {
      DiagnosticSink sink;
      const Result<Dump> dump = OpenBytes(Flatten(file, 700, seed), sink);
      REQUIRE(dump);
      CHECK(dump->info.format_detail.ends_with(", flattened"));
      CHECK_FALSE(dump->info.incomplete);
      CHECK(ReadPageAt(*dump, 0x1000).bytes == PatternPage(1));
      CHECK(ReadPageAt(*dump, 0x2000).bytes == PatternPage(2));
      CHECK(StateAt(*dump, 0x3000) == ByteState::kExcluded);
      CHECK(Ids(sink) == "");
    }
  }
}

TEST_CASE("flattened: a cut dump tells for each page whether it is there") {
  KdumpBuilder builder;
  builder.AddPage(1, PatternPage(1), PageCodec::kZlib).AddPage(2, PatternPage(2));
  builder.AddPage(3, PatternPage(3)).AddExcluded(4);
  const KdumpImage image = builder.Build();
  const auto part = [&image](uint64_t from, uint64_t to) {
    return std::span(image.bytes).subspan(from, to - from);
  };
  // As QEMU writes: descriptors and data take turns. Cut before the data of page 2.
  const uint64_t page2 = image.GetDescriptor(1, "offset");
  const uint64_t page3 = image.GetDescriptor(2, "offset");
  FlatStream stream;
  stream.Record(0, part(0, image.descriptors));
  stream.Record(image.descriptors, part(image.descriptors, image.descriptors + 48));
  stream.Record(image.data, part(image.data, page2));
  stream.Record(page3, part(page3, image.bytes.size()));
  DiagnosticSink sink;
  const Result<Dump> dump = OpenBytes(stream.bytes(), sink);
  REQUIRE(dump);
  CHECK(dump->info.incomplete);
  CHECK(ReadPageAt(*dump, 0x1000).bytes == PatternPage(1));
  CHECK(StateAt(*dump, 0x2000) == ByteState::kTruncated);
  CHECK(StateAt(*dump, 0x3000) == ByteState::kTruncated);  // its descriptor is not there
  CHECK(StateAt(*dump, 0x4000) == ByteState::kExcluded);
  CHECK(StateAt(*dump, 0x5000) == ByteState::kAbsent);
}

TEST_CASE("flattened: what cannot be opened because the stream is cut says so") {
  ElfBuilder builder;
  builder.AddLoad(0x1000, PatternPage(1));
  const std::vector<std::byte> file = builder.Build().bytes;
  // As makedumpfile -F -E writes: the program headers are zeros at first.
  constexpr size_t kElfHeader = 64;
  constexpr size_t kProgramHeaders = 2 * 56;
  std::vector<std::byte> first(file.begin(), file.begin() + kElfHeader);
  first.resize(kElfHeader + kProgramHeaders);
  const auto flat = [&](bool whole) {
    FlatStream stream;
    stream.Record(0, first);
    stream.Record(first.size(), std::span(file).subspan(first.size()));
    if (whole) stream.Record(0, std::span(file).first(first.size())).End();
    return stream.bytes();
  };
  DiagnosticSink sink;
  CHECK(OpenBytes(flat(true), sink));
  const Result<Dump> dump = OpenBytes(flat(false), sink);
  REQUIRE_FALSE(dump);
  CHECK(dump.error().message ==
        "dump: ELF core without any segment of physical memory; the flattened stream is cut, "
        "headers can come last in it");
}

TEST_CASE("flattened: a stream inside a stream is refused") {
  DiagnosticSink sink;
  const Result<Dump> dump =
      OpenBytes(Flatten(Flatten(KdumpBuilder().Build().bytes, 4096), 4096), sink);
  REQUIRE_FALSE(dump);
  CHECK(dump.error().code == ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace dmaudit
