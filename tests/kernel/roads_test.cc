// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/roads.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace dmaudit {
namespace {

constexpr Road kAll[] = {Road::kVmcoreinfo, Road::kSignature, Road::kVmlinux,
                         Road::kBtfSymbols, Road::kBtfSearch, Road::kDwarf,
                         Road::kKernelList, Road::kLogSearch, Road::kUser};

// Names of what is open, in order.
std::string Open(std::string_view list) {
  const Result<Roads> roads = Roads::Parse(list);
  REQUIRE_MESSAGE(roads, (roads ? "" : roads.error().message));
  std::string text;
  for (const Road road : kAll) {
    if (roads->Allows(road)) text += (text.empty() ? "" : " ") + std::string(ToString(road));
  }
  return text;
}

TEST_CASE("without a list every way is open") {
  for (const Road road : kAll) CHECK(Roads().Allows(road));
  static_assert(std::size(kAll) == kRoads);
}

TEST_CASE("a name leaves one way to its goal and does not touch the others") {
  CHECK(Open("signature") == "signature btf-symbols btf-search dwarf kernel-list log-search user");
  CHECK(Open("signature,btf-search") == "signature btf-search kernel-list log-search user");
  CHECK(Open("btf-search,btf-symbols") ==
        "vmcoreinfo signature vmlinux btf-symbols btf-search kernel-list log-search user");
  CHECK(Open("user") == "vmcoreinfo signature vmlinux btf-symbols btf-search dwarf user");
}

TEST_CASE("no- closes a way") {
  CHECK(Open("no-vmcoreinfo") ==
        "signature vmlinux btf-symbols btf-search dwarf kernel-list log-search user");
  CHECK(Open("no-btf-symbols,no-btf-search,no-kernel-list") ==
        "vmcoreinfo signature vmlinux dwarf log-search user");
}

TEST_CASE("what is no list of ways is refused") {
  for (const std::string_view list :
       {"", ",", "signature,", "Signature", "no-", "no-no-user", "dward", "signature,no-btf-search",
        "signature btf-search", "\x1b[31m"}) {
    const Result<Roads> roads = Roads::Parse(list);
    REQUIRE_FALSE(roads);
    CHECK(roads.error().code == ErrorCode::kUsage);
    CHECK(roads.error().message.find('\x1b') == std::string::npos);
  }
}

}  // namespace
}  // namespace dmaudit
