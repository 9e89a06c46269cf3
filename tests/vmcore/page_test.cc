// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/page.h"

#include <doctest/doctest.h>

#include <random>

namespace dmaudit {
namespace {

constexpr uint32_t kSize = 4096;

TEST_CASE("a fresh page is one extent") {
  Page page;
  page.Reset(PhysAddr(0x1000), kSize, ByteState::kData);
  CHECK(page.extents == std::vector<PageExtent>{{0, kSize, ByteState::kData}});
  CHECK(page.bytes.size() == kSize);
  CHECK(page.readable());
  page.bytes[5] = std::byte{1};
  page.Reset(PhysAddr(0x2000), kSize, ByteState::kLost);
  CHECK(page.bytes[5] == std::byte{0});
  CHECK_FALSE(page.readable());
}

TEST_CASE("extents split, join and always tile the page") {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    Page page;
    page.Reset(PhysAddr(0), 64, ByteState::kAbsent);
    std::vector<ByteState> want(64, ByteState::kAbsent);
    for (int step = 0; step < 10; ++step) {
      const uint32_t offset = static_cast<uint32_t>(random() % 64);
      const uint32_t size = static_cast<uint32_t>(random() % (64 - offset + 1));
      const ByteState state = static_cast<ByteState>(random() % kByteStateCount);
      page.SetState(offset, size, state);
      for (uint32_t i = 0; i < size; ++i) want[offset + i] = state;
      uint32_t at = 0;
      bool good = true;
      for (size_t i = 0; i < page.extents.size(); ++i) {
        const PageExtent& extent = page.extents[i];
        good = good && extent.offset == at && extent.size > 0;
        good = good && (i == 0 || page.extents[i - 1].state != extent.state);
        for (uint32_t b = 0; b < extent.size; ++b) good = good && want[at + b] == extent.state;
        at += extent.size;
      }
      CHECK((good && at == 64));
    }
  }
}

TEST_CASE("the first unreadable byte of a stretch") {
  Page page;
  page.Reset(PhysAddr(0), kSize, ByteState::kData);
  page.SetState(100, 50, ByteState::kZero);
  page.SetState(200, 8, ByteState::kRedacted);
  CHECK(page.FirstUnreadable(0, 200).state == ByteState::kData);
  CHECK(page.FirstUnreadable(0, 201).state == ByteState::kRedacted);
  CHECK(page.FirstUnreadable(0, 201).offset == 200);
  CHECK(page.FirstUnreadable(204, 100).offset == 204);
  CHECK(page.FirstUnreadable(207, 1).state == ByteState::kRedacted);
  CHECK(page.FirstUnreadable(208, kSize - 208).state == ByteState::kData);
  CHECK_FALSE(page.readable());
}

}  // namespace
}  // namespace dmaudit
