// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/segment_copies.h"

#include <doctest/doctest.h>

#include <vector>

#include "support/dump_builder.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit {
namespace {

using namespace test;

PhysRange Bytes(uint64_t first, uint64_t size) {
  return {PhysAddr(first), PhysAddr(first + (size - 1))};
}

std::string Faults(const SegmentCopies& copies) {
  DiagnosticSink sink;
  copies.ReportFaults(sink);
  return Ids(sink);
}

TEST_CASE("the lowest byte that differs is told, with both its places") {
  // Addresses 100 .. 119 are at 0 and at 20, byte 7 of the copy is another.
  std::vector<std::byte> file(40);
  file[27] = std::byte{1};
  const auto source = std::make_shared<MemorySource>(file);
  SegmentCopies copies(source, "f");
  copies.Add(Bytes(100, 10), FileOffset(0), FileOffset(20));
  copies.Add(Bytes(110, 10), FileOffset(10), FileOffset(30));
  CHECK_FALSE(copies.AnyIn(Bytes(99, 1)));
  CHECK(copies.AnyIn(Bytes(99, 2)));
  CHECK(copies.AnyIn(Bytes(119, 2)));
  CHECK_FALSE(copies.AnyIn(Bytes(120, 2)));
  const std::vector<std::byte> used(30);
  copies.Compare(PhysAddr(95), std::span(used).first(12));  // up to 106
  copies.Compare(PhysAddr(108), used);
  CHECK(Faults(copies) == "");
  copies.Compare(PhysAddr(90), used);
  DiagnosticSink sink;
  copies.ReportFaults(sink);
  REQUIRE(sink.diagnostics().size() == 1);
  CHECK(sink.diagnostics()[0].message ==
        "f: memory at 0x6b is in the file at 0x7 and at 0x1b with different bytes, the first is "
        "used");
}

TEST_CASE("a copy that the file does not have contradicts nothing") {
  SegmentCopies copies(std::make_shared<MemorySource>(std::vector<std::byte>(16)), "f");
  copies.Add(Bytes(0, 32), FileOffset(0), FileOffset(8));
  const std::vector<std::byte> used(32, std::byte{0});
  copies.Compare(PhysAddr(0), used);
  CHECK(Faults(copies) == "");
}

TEST_CASE("samples are the first page, the last, and some between") {
  const auto faults = [](size_t different) {
    std::vector<std::byte> file(40 * kTestPage);
    file[(20 + different) * kTestPage] = std::byte{1};
    SegmentCopies copies(std::make_shared<MemorySource>(file), "f");
    copies.Add(Bytes(0, 20 * kTestPage), FileOffset(0), FileOffset(20 * kTestPage));
    copies.CompareSamples();
    return Faults(copies);
  };
  CHECK(faults(0) == "elf.segments-disagree");
  CHECK(faults(19) == "elf.segments-disagree");
  CHECK(faults(5) == "elf.segments-disagree");
  CHECK(faults(4) == "");  // of 20 pages 16
}

TEST_CASE("copies that are not kept are said") {
  const auto faults = [](uint64_t count, uint64_t deep) {
    SegmentCopies copies(std::make_shared<MemorySource>(std::vector<std::byte>(16)), "f");
    for (uint64_t i = 0; i < count; ++i) {
      // No two of them are one stretch of the file.
      for (uint64_t k = 0; k < deep; ++k) copies.Add(Bytes(8 * i, 4), FileOffset(0), FileOffset(k));
    }
    return Faults(copies);
  };
  CHECK(faults(65535, 1) == "");
  CHECK(faults(65536, 3) == "");
  CHECK(faults(65537, 1) == "elf.copies-unknown");
  CHECK(faults(1, 4) == "elf.copies-unknown");
}

}  // namespace
}  // namespace dmaudit
