// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/page_bitmap.h"

#include <doctest/doctest.h>

#include <bit>
#include <random>
#include <utility>

#include "support/sparse_source.h"
#include "vmcore/io/memory_source.h"

namespace dmaudit {
namespace {

std::vector<std::byte> Pack(const std::vector<bool>& bits) {
  std::vector<std::byte> bytes(bits.size() / 8 + 1);
  for (size_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) bytes[i / 8] |= std::byte{1} << (i % 8);
  }
  return bytes;
}

std::vector<std::pair<uint64_t, uint64_t>> Runs(const PageBitmap& bitmap) {
  std::vector<std::pair<uint64_t, uint64_t>> runs;
  bitmap.VisitRuns([&](uint64_t first, uint64_t last) {
    runs.emplace_back(first, last);
    return true;
  });
  return runs;
}

TEST_CASE("test, rank and runs agree with a plain count") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 40; ++round) {
    // Runs of random length, so that chunks are clear, full and mixed.
    const size_t size = 1 + random() % 40000;
    std::vector<bool> bits;
    while (bits.size() < size) {
      const size_t run = random() % 3 == 0 ? random() % 9000 : random() % 5;
      bits.insert(bits.end(), run, random() % 2 == 0);
    }
    bits.resize(size);
    const MemorySource source(Pack(bits));
    const Result<PageBitmap> bitmap = PageBitmap::Load(source, FileOffset(0), size);
    REQUIRE(bitmap);
    uint64_t rank = 0;
    bool good = true;
    std::vector<std::pair<uint64_t, uint64_t>> runs;
    for (size_t i = 0; i < size; ++i) {
      good = good && bitmap->Test(i) == bits[i] && bitmap->Rank(i) == rank;
      if (!bits[i]) continue;
      ++rank;
      if (!runs.empty() && runs.back().second + 1 == i) {
        runs.back().second = i;
      } else {
        runs.emplace_back(i, i);
      }
    }
    CHECK(good);
    CHECK(bitmap->count() == rank);
    CHECK(Runs(*bitmap) == runs);
    CHECK_FALSE(bitmap->Test(size));
    CHECK_FALSE(bitmap->Test(UINT64_MAX));
    CHECK(bitmap->Rank(UINT64_MAX) == rank);
  }
}

TEST_CASE("a bitmap of half a terabyte is held in large blocks, and counts the same") {
  std::mt19937_64 random(11);
  std::vector<std::byte> bytes(size_t{16} << 20);
  // Mixed chunks for more than two blocks, between clear and full ones.
  for (size_t at = size_t{1} << 20; at < size_t{8} << 20; at += 512) {
    const uint64_t kind = random() % 8;
    for (size_t i = at; kind > 0 && i < at + 512; ++i) {
      bytes[i] = kind == 1 ? std::byte{0xff} : static_cast<std::byte>(random());
    }
  }
  const uint64_t bits = bytes.size() * 8;
  const MemorySource source(bytes);
  const Result<PageBitmap> bitmap = PageBitmap::Load(source, FileOffset(0), bits);
  REQUIRE(bitmap);
  uint64_t rank = 0;
  size_t wrong = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto value = std::to_integer<uint8_t>(bytes[i]);
    if (i % 61 == 0) {
      if (bitmap->Rank(i * 8) != rank) ++wrong;
      if (bitmap->Test(i * 8 + 3) != ((value >> 3 & 1) != 0)) ++wrong;
    }
    rank += static_cast<uint64_t>(std::popcount(value));
  }
  CHECK(wrong == 0);
  CHECK(bitmap->count() == rank);

  // Read in other pieces, from behind a hole, they are the same bits.
  test::SparseSource sparse(bytes.size());
  sparse.Write(size_t{1} << 20, {bytes.begin() + (1 << 20), bytes.begin() + (8 << 20)});
  const Result<PageBitmap> again = PageBitmap::Load(sparse, FileOffset(0), bits);
  REQUIRE(again);
  CHECK((*again == *bitmap));
}

TEST_CASE("bits at and beyond the size are ignored") {
  for (const uint64_t size :
       {uint64_t{63}, uint64_t{64}, uint64_t{65}, uint64_t{4095}, uint64_t{4096}, uint64_t{4097}}) {
    const MemorySource source(std::vector<std::byte>(2048, std::byte{0xff}));
    const Result<PageBitmap> bitmap = PageBitmap::Load(source, FileOffset(3), size);
    REQUIRE(bitmap);
    CHECK(bitmap->count() == size);
    CHECK(bitmap->Test(size - 1));
    CHECK_FALSE(bitmap->Test(size));
    CHECK(Runs(*bitmap) == std::vector<std::pair<uint64_t, uint64_t>>{{0, size - 1}});
  }
}

TEST_CASE("a bitmap that the file cuts short says how far it is known") {
  const MemorySource source(std::vector<std::byte>(100, std::byte{0x81}));
  struct Case {
    uint64_t offset, bits, known, count;
  };
  const Case cases[] = {{0, 799, 799, 199}, {0, 800, 800, 200}, {0, 801, 800, 200},
                        {1, 800, 792, 198}, {99, 9, 8, 2},      {100, 8, 0, 0},
                        {200, 8, 0, 0}};
  for (const Case& c : cases) {
    const Result<PageBitmap> bitmap = PageBitmap::Load(source, FileOffset(c.offset), c.bits);
    REQUIRE(bitmap);
    CHECK(bitmap->known() == c.known);
    CHECK(bitmap->count() == c.count);
    CHECK_FALSE(bitmap->Test(c.known));
  }
  CHECK_FALSE(PageBitmap::Load(source, FileOffset(UINT64_MAX), 800));
}

TEST_CASE("two pages at the end of a huge address space cost next to nothing") {
  // 2^40 frames, the 52 bits of physical address: 128 GiB of bitmap.
  const uint64_t bits = uint64_t{1} << 40;
  test::SparseSource source(4096 + bits / 8);
  source.Write(4096, {std::byte{0x02}});
  source.Write(4096 + bits / 8 - 1, {std::byte{0x80}});
  const Result<PageBitmap> bitmap = PageBitmap::Load(source, FileOffset(4096), bits);
  REQUIRE(bitmap);
  CHECK(bitmap->count() == 2);
  CHECK(Runs(*bitmap) == std::vector<std::pair<uint64_t, uint64_t>>{{1, 1}, {bits - 1, bits - 1}});
  CHECK(bitmap->Rank(bits - 1) == 1);
  CHECK(source.bytes_read() < 1 << 20);
}

TEST_CASE("visiting stops when told to") {
  const MemorySource source(std::vector<std::byte>(64, std::byte{0x55}));
  const Result<PageBitmap> bitmap = PageBitmap::Load(source, FileOffset(0), 512);
  REQUIRE(bitmap);
  int calls = 0;
  bitmap->VisitRuns([&](uint64_t, uint64_t) { return ++calls < 3; });
  CHECK(calls == 3);
}

TEST_CASE("the first bit that another bitmap lacks") {
  std::vector<bool> all(20000, true);
  std::vector<bool> hole = all;
  hole[12345] = false;
  const MemorySource full_source(Pack(all));
  const MemorySource hole_source(Pack(hole));
  const Result<PageBitmap> full = PageBitmap::Load(full_source, FileOffset(0), all.size());
  const Result<PageBitmap> holed = PageBitmap::Load(hole_source, FileOffset(0), all.size());
  const Result<PageBitmap> shorter = PageBitmap::Load(full_source, FileOffset(0), 9000);
  REQUIRE((full && holed && shorter));
  CHECK(full->FirstMissingIn(*holed) == 12345);
  CHECK_FALSE(holed->FirstMissingIn(*full));
  CHECK(full->FirstMissingIn(*shorter) == 9000);
  CHECK_FALSE(full->FirstMissingIn(*full));
}

}  // namespace
}  // namespace dmaudit
