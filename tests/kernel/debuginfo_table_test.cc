// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/debuginfo_table.h"

#include <doctest/doctest.h>

#include "kernel/dwarf_types.h"

namespace dmaudit {
namespace {

DebuginfoMember Member(std::string name, uint64_t bit_offset, uint64_t bit_size) {
  return {std::move(name), {bit_offset, bit_size, MemberKind::kInteger, 0, ""}};
}
DebuginfoMember Embedded(std::string name, uint64_t bit_offset, uint32_t composite) {
  return {std::move(name), {bit_offset, 64, MemberKind::kStruct, 0, ""}, composite};
}

DebuginfoTable Sample() {
  DebuginfoTable table;
  table.build_id = "0123456789abcdef";
  table.symbols = {{"_stext", 0xffffffff81000000}, {"crashk_res", 0xffffffff82000000}};
  table.types_file = "vmlinux.debug";
  table.supplement = "0123";
  table.composites = {{"outer", 16, {Member("first", 0, 64), Embedded("", 64, 1)}},
                      {"", 8, {Member("inner", 8, 8), Embedded("deep", 32, 2)}},
                      {"deep", 4, {Member("bits", 3, 5)}}};
  table.definitions = {0};
  return table;
}

TEST_CASE("a table comes back as it was") {
  const Result<DebuginfoTable> back = DebuginfoTable::Decode(Sample().Encode());
  REQUIRE(back);
  CHECK(back->build_id == "0123456789abcdef");
  CHECK(back->symbols.size() == 2);
  CHECK(back->symbols[1].name == "crashk_res");
  CHECK(back->symbols[1].address == 0xffffffff82000000);
  CHECK(back->types_file == "vmlinux.debug");
  CHECK(back->supplement == "0123");
  CHECK(back->Encode() == Sample().Encode());
  const DwarfTypes types(*back, "test");
  CHECK(types.Member("outer", "first")->bit_offset == 0);
  CHECK(types.Member("outer", "inner")->bit_offset == 72);
  CHECK(types.Member("outer", "deep.bits")->bit_offset == 99);
  CHECK(types.Member("deep", "bits")->bit_size == 5);
  CHECK(*types.SizeOf("outer") == 16);
}

TEST_CASE("a table that is cut, or has something behind it, is refused") {
  std::vector<std::byte> bytes = Sample().Encode();
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(DebuginfoTable::Decode(std::span(bytes).first(size)));
  }
  bytes.push_back(std::byte{0});
  CHECK_FALSE(DebuginfoTable::Decode(bytes));
}

TEST_CASE("an index beyond the composites is refused") {
  DebuginfoTable table = Sample();
  SUBCASE("of a member") { table.composites[0].members[1].composite = 3; }
  SUBCASE("of a definition") { table.definitions[0] = 3; }
  SUBCASE("a kind that there is not") {
    table.composites[0].members[0].layout.kind = static_cast<MemberKind>(4);
  }
  CHECK_FALSE(DebuginfoTable::Decode(table.Encode()));
}

TEST_CASE("unnamed members that hold themselves end in an error") {
  DebuginfoTable table = Sample();
  table.composites[1].members.push_back(Embedded("", 0, 1));
  const Result<DebuginfoTable> back = DebuginfoTable::Decode(table.Encode());
  REQUIRE(back);
  const DwarfTypes types(*back, "test");
  CHECK(types.Member("outer", "inner")->bit_offset == 72);
  const Result<MemberLayout> lost = types.Member("outer", "nothing");
  REQUIRE_FALSE(lost);
  CHECK(lost.error().code == ErrorCode::kMalformed);
}

TEST_CASE("unnamed members that fan out are given up, not followed forever") {
  DebuginfoTable table;
  for (uint32_t i = 0; i < 24; ++i) {
    table.composites.push_back({"", 8, {Embedded("", 0, i + 1), Embedded("", 0, i + 1)}});
  }
  table.composites.push_back({"", 8, {Member("last", 0, 8)}});
  table.composites[0].name = "top";
  table.definitions = {0};
  const DwarfTypes types(table, "test");
  CHECK(types.Member("top", "last"));
  CHECK_FALSE(types.Member("top", "nothing"));
}

TEST_CASE("offsets that pass the end of the numbers are refused") {
  DebuginfoTable table = Sample();
  table.composites[0].members[1].layout.bit_offset = UINT64_MAX - 7;
  const DwarfTypes types(table, "test");
  CHECK_FALSE(types.Member("outer", "inner"));
}

}  // namespace
}  // namespace dmaudit
