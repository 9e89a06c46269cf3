// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/segment_map.h"

#include <doctest/doctest.h>

#include <optional>
#include <random>

namespace dmaudit {
namespace {

const auto kNoConflict = [](PhysRange, FileOffset, FileOffset) { FAIL("unexpected conflict"); };
const auto kAnyConflict = [](PhysRange, FileOffset, FileOffset) {};

SegmentPiece Data(uint64_t first, uint64_t last, uint64_t offset) {
  return {{PhysAddr(first), PhysAddr(last)}, FileOffset(offset), ByteState::kData};
}

SegmentPiece Excluded(uint64_t first, uint64_t last) {
  return {{PhysAddr(first), PhysAddr(last)}, FileOffset(0), ByteState::kExcluded};
}

TEST_CASE("overlapping pieces resolve as byte-by-byte search in file order does") {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<SegmentPiece> pieces;
    const size_t count = random() % 12;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t first = random() % 64;
      const uint64_t last = first + random() % 20;
      constexpr ByteState kStates[] = {ByteState::kData, ByteState::kData, ByteState::kTruncated,
                                       ByteState::kExcluded};
      pieces.push_back(Data(first, last, 1000 * i + 1));
      pieces.back().state = kStates[random() % 4];
    }
    const SegmentMap map(pieces, kAnyConflict);
    bool good = true;
    for (uint64_t at = 0; at < 100; ++at) {
      const SegmentPiece* want = nullptr;
      for (const ByteState state :
           {ByteState::kData, ByteState::kTruncated, ByteState::kExcluded}) {
        for (const SegmentPiece& piece : pieces) {
          if (want == nullptr && piece.state == state && piece.range.Contains(PhysAddr(at))) {
            want = &piece;
          }
        }
      }
      const size_t index = map.FirstAtOrAfter(PhysAddr(at));
      std::optional<SegmentPiece> got;
      if (index < map.size() && map[index].range.Contains(PhysAddr(at))) {
        got = map[index];
      }
      if ((want == nullptr) != !got) good = false;
      if (want == nullptr || !got) continue;
      good = good && want->state == got->state;
      if (want->state == ByteState::kData) {
        good = good && want->offset.value() + at - want->range.first.value() ==
                           got->offset.value() + at - got->range.first.value();
      }
    }
    for (size_t i = 1; i < map.size(); ++i) {
      good = good && map[i - 1].range.last < map[i].range.first;
    }
    CHECK(good);
  }
}

TEST_CASE("pieces that continue each other in memory and file become one") {
  const SegmentMap joined({Data(0x2000, 0x2fff, 0x8000), Data(0x1000, 0x1fff, 0x7000)},
                          kNoConflict);
  CHECK(joined.size() == 1);
  const SegmentMap apart({Data(0x2000, 0x2fff, 0x8001), Data(0x1000, 0x1fff, 0x7000)}, kNoConflict);
  CHECK(apart.size() == 2);
}

TEST_CASE("an alias of the same file bytes is no conflict, another place is") {
  const SegmentMap alias({Data(0x1000, 0x2fff, 0x7000), Data(0x2000, 0x2fff, 0x8000)}, kNoConflict);
  CHECK(alias.size() == 1);
  std::optional<PhysRange> conflict;
  const SegmentMap rival({Data(0x1000, 0x2fff, 0x7000), Data(0x2000, 0x3fff, 0x9000)},
                         [&](PhysRange range, FileOffset chosen, FileOffset other) {
                           conflict = range;
                           CHECK(chosen == FileOffset(0x8000));
                           CHECK(other == FileOffset(0x9000));
                         });
  CHECK(conflict == PhysRange{PhysAddr(0x2000), PhysAddr(0x2fff)});
}

TEST_CASE("a piece may end at the last address") {
  const SegmentMap map({Data(UINT64_MAX - 1, UINT64_MAX, 0), Data(0, UINT64_MAX, 0x100)},
                       kAnyConflict);
  REQUIRE(map.size() == 2);
  CHECK(map[1].range == PhysRange{PhysAddr(UINT64_MAX - 1), PhysAddr(UINT64_MAX)});
  CHECK(map.FirstAtOrAfter(PhysAddr(UINT64_MAX)) == 1);
}

TEST_CASE("the first piece at or after an address, among any number of them") {
  for (const uint64_t count : {1u, 15u, 16u, 17u, 31u, 32u, 33u, 160u, 1000u}) {
    std::vector<SegmentPiece> pieces;
    for (uint64_t i = 0; i < count; ++i) {
      pieces.push_back(Data(i * 0x3000 + 0x1000, i * 0x3000 + 0x1fff, i * 0x1000));
    }
    const SegmentMap map(pieces, kNoConflict);
    bool good = true;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t first = i * 0x3000 + 0x1000;
      good = good && map.FirstAtOrAfter(PhysAddr(first - 1)) == i &&
             map.FirstAtOrAfter(PhysAddr(first)) == i &&
             map.FirstAtOrAfter(PhysAddr(first + 0xfff)) == i &&
             map.FirstAtOrAfter(PhysAddr(first + 0x1000)) == i + 1;
    }
    CHECK_MESSAGE(good, count);
    CHECK(map.FirstAtOrAfter(PhysAddr(UINT64_MAX)) == count);
  }
}

TEST_CASE("nothing in, nothing out") { CHECK(SegmentMap({}, kNoConflict).size() == 0); }

TEST_CASE("no more pieces than the limit are taken, nor come out") {
  const auto build = [](size_t limit, size_t given, bool nested) {
    SegmentMapBuilder builder(0, limit);
    bool fits = true;
    // One that lies within another makes three of two.
    if (nested) fits = builder.Add(Excluded(0, 0xffff'ffff));
    for (uint64_t i = 0; i < given; ++i)
      fits = builder.Add(Data(0x2000 * i + 1, 0x2000 * i + 2, 1));
    return fits ? builder.Build(kNoConflict) : std::nullopt;
  };
  CHECK(build(4, 3, false)->size() == 3);
  CHECK(build(4, 4, false)->size() == 4);
  CHECK_FALSE(build(4, 5, false));
  CHECK(build(6, 2, true)->size() == 5);
  CHECK(build(5, 2, true)->size() == 5);
  CHECK_FALSE(build(4, 2, true));
}

}  // namespace
}  // namespace dmaudit
