// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/page_codec.h"

#include <doctest/doctest.h>

#include <array>

#include "support/dump_builder.h"

namespace dmaudit {
namespace {

using test::Compress;
using test::kTestPage;
using test::PatternPage;

constexpr std::array kCodecs = {PageCodec::kRaw, PageCodec::kZlib, PageCodec::kLzo,
                                PageCodec::kSnappy, PageCodec::kZstd};

TEST_CASE("every codec gives the page back, again and again from one decoder") {
  PageDecoder decoder;
  for (int round = 0; round < 2; ++round) {
    for (const PageCodec codec : kCodecs) {
      const std::vector<std::byte> page = PatternPage(static_cast<uint64_t>(codec) + 1);
      std::vector<std::byte> out(kTestPage);
      CHECK(decoder.Decode(codec, Compress(codec, page), out));
      CHECK(out == page);
    }
  }
}

TEST_CASE("what does not decode to exactly one page is refused, bombs included") {
  PageDecoder decoder;
  for (const PageCodec codec : kCodecs) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{4097}, size_t{1} << 20}) {
      const std::vector<std::byte> content(size, std::byte{0x41});
      // One more byte than a page, to see that nothing is written behind it.
      std::vector<std::byte> out(kTestPage + 1, std::byte{0x55});
      INFO("codec ", static_cast<int>(codec), " size ", size);
      CHECK_FALSE(decoder.Decode(codec, Compress(codec, content), std::span(out).first(kTestPage)));
      CHECK(out[kTestPage] == std::byte{0x55});
    }
  }
}

TEST_CASE("cut data is refused at every length") {
  PageDecoder decoder;
  for (const PageCodec codec : kCodecs) {
    const std::vector<std::byte> stored = Compress(codec, PatternPage(9));
    std::vector<std::byte> out(kTestPage);
    for (size_t size = 0; size < stored.size(); ++size) {
      // A copy of its own, so that a read behind it is seen by the sanitizer.
      const std::vector<std::byte> cut(stored.begin(),
                                       stored.begin() + static_cast<ptrdiff_t>(size));
      INFO("codec ", static_cast<int>(codec), " size ", size);
      CHECK_FALSE(decoder.Decode(codec, cut, out));
    }
  }
}

TEST_CASE("a snappy preamble that lies is refused before anything is decoded") {
  PageDecoder decoder;
  std::vector<std::byte> out(kTestPage);
  // A varint of 2^32 - 1.
  std::vector<std::byte> stored(5, std::byte{0xff});
  stored[4] = std::byte{0x0f};
  CHECK_FALSE(decoder.Decode(PageCodec::kSnappy, stored, out));
}

}  // namespace
}  // namespace dmaudit
