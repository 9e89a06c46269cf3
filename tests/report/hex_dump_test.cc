// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/hex_dump.h"

#include <doctest/doctest.h>

#include <vector>

#include "report/page_rows.h"

namespace dmaudit {
namespace {

using Bytes = std::vector<std::byte>;

Bytes Counting(size_t size, unsigned first) {
  Bytes out;
  for (size_t i = 0; i < size; ++i) out.push_back(static_cast<std::byte>(first + i));
  return out;
}

TEST_CASE("lines are aligned, and what was not asked for is blank") {
  StringOutput out;
  HexDump hex(out);
  hex.Known(PhysAddr(0x100e), Counting(5, 0x41));
  hex.Finish();
  CHECK(out.text() ==
        "000000001000                                             41 42  |              AB|\n"
        "000000001010  43 44 45                                          |CDE             |\n"
        "000000001013\n");
}

TEST_CASE("only printable ASCII is shown as text") {
  StringOutput out;
  HexDump hex(out);
  Bytes line = Counting(16, 0);
  line[0] = std::byte{0x1b};
  line[1] = std::byte{0x7e};
  line[2] = std::byte{0x7f};
  line[3] = std::byte{0x20};
  line[4] = std::byte{0xff};
  hex.Known(PhysAddr(0), line);
  CHECK(out.text() ==
        "000000000000  1b 7e 7f 20 ff 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |.~. ............|\n");
}

TEST_CASE("the last line is the end of what was shown, also where that is the end of all") {
  const auto end = [](PhysAddr address, uint64_t size) {
    StringOutput out;
    HexDump hex(out);
    hex.Unknown(address, size, ByteState::kAbsent);
    hex.Finish();
    return out.text().substr(out.text().find('\n') + 1);
  };
  CHECK(end(PhysAddr(UINT64_MAX - 2), 2) == "ffffffffffffffff\n");
  CHECK(end(PhysAddr(UINT64_MAX - 2), 3) == "10000000000000000\n");
  StringOutput known;
  HexDump hex(known);
  hex.Known(PhysAddr(UINT64_MAX), Bytes(1));
  hex.Finish();
  CHECK(known.text().ends_with("\n10000000000000000\n"));
  StringOutput nothing;
  HexDump(nothing).Finish();
  CHECK(nothing.text() == "000000000000\n");
}

TEST_CASE("equal lines are one star, and never across what is unknown") {
  StringOutput out;
  HexDump hex(out);
  hex.Known(PhysAddr(0x1000), Bytes(0x40));
  hex.Unknown(PhysAddr(0x1040), 0x10, ByteState::kLost);
  hex.Known(PhysAddr(0x1050), Bytes(0x20));
  hex.Known(PhysAddr(0x1070), Bytes(0x8));
  hex.Finish();
  const std::string zeros =
      "  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n";
  CHECK(out.text() ==
        "000000001000" + zeros + "*\n000000001040  lost: 16 bytes\n000000001050" + zeros +
            "*\n000000001070  00 00 00 00 00 00 00 00                           |........        "
            "|\n000000001078\n");
}

TEST_CASE("unknown bytes are their state, joined over pages, and never 00") {
  StringOutput out;
  HexDump hex(out);
  hex.Known(PhysAddr(0xffe), Counting(2, 0x61));
  hex.Unknown(PhysAddr(0x1000), 0x1000, ByteState::kExcluded);
  hex.Unknown(PhysAddr(0x2000), 0x1000, ByteState::kExcluded);
  hex.Unknown(PhysAddr(0x3000), 1, ByteState::kTruncated);
  hex.Known(PhysAddr(0x3001), Counting(1, 0x62));
  hex.Finish();
  CHECK(out.text() ==
        "000000000ff0                                             61 62  |              ab|\n"
        "000000001000  excluded: 8192 bytes\n"
        "000000003000  truncated: 1 byte\n"
        "000000003001  62                                                |b               |\n"
        "000000003002\n");
}

TEST_CASE("addresses ascend where unknown bytes lie inside a line") {
  StringOutput out;
  HexDump hex(out);
  hex.Known(PhysAddr(0x1001), Counting(2, 0x61));
  hex.Unknown(PhysAddr(0x1003), 2, ByteState::kAbsent);
  hex.Unknown(PhysAddr(0x1005), 1, ByteState::kLost);
  hex.Known(PhysAddr(0x1006), Counting(4, 0x63));
  hex.Unknown(PhysAddr(0x100a), 1, ByteState::kAbsent);
  hex.Known(PhysAddr(0x100b), Counting(6, 0x67));
  hex.Finish();
  CHECK(out.text() ==
        "000000001000     61 62                                          | ab             |\n"
        "000000001003  absent: 2 bytes\n"
        "000000001005  lost: 1 byte\n"
        "000000001006  63 64 65 66                                       |cdef            |\n"
        "00000000100a  absent: 1 byte\n"
        "00000000100b  67 68 69 6a 6b                                    |ghijk           |\n"
        "000000001010  6c                                                |l               |\n"
        "000000001011\n");
}

TEST_CASE("rows of pages and ranges") {
  const PageDigest known{0x12, ByteState::kData, 4096, 0xabc};
  const PageDigest partly{0x13, ByteState::kTruncated, 7, 0};
  const PageDigest unknown{0x14, ByteState::kExcluded, 0, 0};
  const PhysRange range{PhysAddr(0x1000), PhysAddr(0x2fff)};
  const PhysRange all{PhysAddr(0), PhysAddr(UINT64_MAX)};
  StringOutput pages, ranges, json;
  for (const PageDigest& digest : {known, partly, unknown}) {
    MakePageRowWriter("ndjson", json)->Page(digest);
  }
  MakePageRowWriter("ndjson", json)->Range(range, ByteState::kLost);
  CHECK(json.text() ==
        "{\"pfn\": 18, \"state\": \"data\", \"crc32\": \"00000abc\"}\n"
        "{\"pfn\": 19, \"state\": \"truncated\", \"crc32\": null, \"known\": 7}\n"
        "{\"pfn\": 20, \"state\": \"excluded\", \"crc32\": null}\n"
        "{\"start\": \"0x1000\", \"end\": \"0x2fff\", \"state\": \"lost\"}\n");

  const auto text = MakePageRowWriter("text", pages);
  for (const PageDigest& digest : {known, partly, unknown}) text->Page(digest);
  CHECK(pages.text() ==
        "         pfn  state      crc32\n"
        "          12  data       00000abc\n"
        "          13  truncated  -         7 bytes known\n"
        "          14  excluded   -\n");

  const auto spans = MakePageRowWriter("text", ranges);
  spans->Range(range, ByteState::kLost);
  spans->Range(all, ByteState::kExcluded);
  CHECK(ranges.text() ==
        "           start-end                     size  state\n"
        "            1000-2fff                   8 KiB  lost\n"
        "               0-ffffffffffffffff      16 EiB  excluded\n");
  CHECK(MakePageRowWriter("csv", json) == nullptr);
}

}  // namespace
}  // namespace dmaudit
