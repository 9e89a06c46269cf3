// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/ids.h"

#include <doctest/doctest.h>

namespace dmaudit {
namespace {

TEST_CASE("a requester is printed as lspci -D prints it") {
  CHECK(ToString(Bdf{0, 0, 0xfa}) == "0000:00:1f.2");
  CHECK(ToString(Bdf{0xffff, 0xff, 0xff}) == "ffff:ff:1f.7");
}

TEST_CASE("a filter holds each part to its width and leaves missing parts open") {
  const Bdf disk{0, 0, 0xfa};
  CHECK(ParseBdfFilter("1f.2")->Matches(disk));
  CHECK(ParseBdfFilter("00:1f.2")->Matches(disk));
  CHECK(ParseBdfFilter("0000:00:1f.2")->Matches(disk));
  CHECK(ParseBdfFilter("1f")->Matches(disk));
  CHECK(ParseBdfFilter("00:")->Matches(disk));
  CHECK(ParseBdfFilter(".2")->Matches(disk));
  CHECK(ParseBdfFilter("*:*.*")->Matches(disk));
  CHECK_FALSE(ParseBdfFilter("1f.3")->Matches(disk));
  CHECK_FALSE(ParseBdfFilter("01:1f.2")->Matches(disk));
  CHECK_FALSE(ParseBdfFilter("0001:00:1f.2")->Matches(disk));
}

TEST_CASE("a filter is printed as it can be typed") {
  for (const char* text :
       {"0000:00:1f.2", "00:1f.2", "1f.2", "1f.*", "*.2", "*.*", "00:*.*", "0001:*:1f.2"}) {
    CHECK(ToString(*ParseBdfFilter(text)) == text);
  }
  CHECK(ToString(*ParseBdfFilter("0:1")) == "00:01.*");
}

TEST_CASE("text that is no filter is refused, numbers at and past their limits") {
  CHECK(ParseBdfFilter("1f.7"));
  CHECK_FALSE(ParseBdfFilter("1f.8"));
  CHECK_FALSE(ParseBdfFilter("20.0"));
  CHECK(ParseBdfFilter("ff:00.0"));
  CHECK_FALSE(ParseBdfFilter("100:00.0"));
  CHECK(ParseBdfFilter("ffff:ff:00.0"));
  CHECK_FALSE(ParseBdfFilter("10000:ff:00.0"));
  CHECK_FALSE(ParseBdfFilter(""));
  CHECK_FALSE(ParseBdfFilter("1:2:3:4.0"));
  CHECK_FALSE(ParseBdfFilter("-1.0"));
  CHECK_FALSE(ParseBdfFilter("1g.0"));
}

}  // namespace
}  // namespace dmaudit
