// SPDX-License-Identifier: GPL-2.0-or-later
// A context remembers the page of zeros that it read last. Only pages that are that one may be
// taken for it.
#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "support/dump_builder.h"
#include "vmcore/container/kdump_memory.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit {
namespace {

using namespace test;

const std::vector<std::byte> kZeros(kTestPage);

// Reads pages of one dump through one context.
class Reader {
 public:
  explicit Reader(const KdumpImage& image) : dump_(OpenBytes(image.bytes, sink_)) {
    REQUIRE(dump_);
    context_ = dump_->memory->MakeContext();
  }
  const Page& Read(uint64_t frame) {
    dump_->memory->ReadPage(PhysAddr(frame * kTestPage), *context_, page_);
    return page_;
  }
  bool ReadsZeros(uint64_t frame) { return Read(frame).readable() && page_.bytes == kZeros; }

 private:
  DiagnosticSink sink_;
  Result<Dump> dump_;
  std::unique_ptr<DecodeContext> context_;
  Page page_;
};

TEST_CASE("kdump: zeros that are shared or stored again read as zeros, and nothing else does") {
  for (const PageCodec codec :
       {PageCodec::kRaw, PageCodec::kZlib, PageCodec::kLzo, PageCodec::kSnappy, PageCodec::kZstd}) {
    CAPTURE(static_cast<int>(codec));
    std::vector<std::byte> almost = kZeros;
    almost.back() = std::byte{1};
    KdumpBuilder builder;
    builder.AddPage(1, kZeros, codec).AddPage(2, PatternPage(2), codec).AddPage(3, kZeros, codec);
    builder.AddPage(4, almost, codec).AddPage(5, kZeros, codec).AddLost(6).AddExcluded(7);
    KdumpImage image = builder.Build();
    image.SetDescriptor(2, "offset", image.GetDescriptor(0, "offset"));  // frame 3 shares
    Reader reader(image);
    for (int turn = 0; turn < 2; ++turn) {
      CHECK(reader.ReadsZeros(1));
      CHECK(reader.Read(2).bytes == PatternPage(2));
      CHECK(reader.ReadsZeros(3));
      CHECK(reader.Read(4).bytes == almost);
      CHECK(reader.ReadsZeros(5));
      CHECK(reader.Read(6).extents[0].state == ByteState::kLost);
      CHECK(reader.Read(7).extents[0].state == ByteState::kExcluded);
    }
  }
}

TEST_CASE("kdump: bytes that are zeros in one codec are not in another, nor with another size") {
  const std::vector<std::byte> packed = Compress(PageCodec::kZlib, kZeros);
  const auto unknown = [&](const char* field, uint64_t value) {
    KdumpBuilder builder;
    builder.AddStored(1, packed, 1).AddStored(2, packed, 1);
    KdumpImage image = builder.Build();
    image.SetDescriptor(1, "offset", image.GetDescriptor(0, "offset"));
    image.SetDescriptor(1, field, value);
    Reader reader(image);
    CHECK(reader.ReadsZeros(1));
    return reader.Read(2).extents[0].state == ByteState::kCorrupt;
  };
  CHECK(unknown("flags", 2));  // lzo
  CHECK(unknown("flags", 4));  // snappy
  CHECK(unknown("flags", 0));  // raw, of another size than a page
  CHECK(unknown("size", packed.size() - 1));
  CHECK_FALSE(unknown("page_flags", 1));
}

TEST_CASE("kdump: equal descriptors of two parts of a dump are two pages") {
  // Each part has one descriptor, and its page at the same place.
  const auto part = [](uint64_t frame, std::vector<std::byte> content) {
    KdumpBuilder builder;
    const KdumpImage image = builder.AddPage(frame, std::move(content)).Build();
    KdumpPart made;
    made.source = std::make_shared<MemorySource>(image.bytes);
    made.descriptors = FileOffset(image.descriptors);
    made.start = made.first = frame;
    made.limit = made.end = frame + 1;
    return made;
  };
  const std::vector<std::byte> bits = {std::byte{0b1110}};  // frames 1 to 3
  KdumpPages pages;
  pages.page_size = kTestPage;
  pages.frames = 8;
  pages.stored = PageBitmap::Load(MemorySource(bits), FileOffset(0), 8).value();
  const KdumpMemory memory(std::move(pages),
                           {part(1, kZeros), part(2, PatternPage(2)), part(3, kZeros)});
  const auto context = memory.MakeContext();
  Page page;
  const auto read = [&](uint64_t frame) {
    memory.ReadPage(PhysAddr(frame * kTestPage), *context, page);
    REQUIRE(page.readable());
    return page.bytes;
  };
  CHECK(read(1) == kZeros);
  CHECK(read(2) == PatternPage(2));
  CHECK(read(3) == kZeros);
}

}  // namespace
}  // namespace dmaudit
