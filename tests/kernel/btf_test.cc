// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/btf.h"

#include <doctest/doctest.h>

#include "support/btf_builder.h"

namespace dmaudit {
namespace {

using test::BtfBuilder;

// struct unit { u64 base; u16 segment; u8 ignored:1; u8 all:1; union { struct { u64 cap; }; u32
// low; }; char name[13]; struct list_head link; struct intel_iommu *iommu; }
BtfBuilder Sample() {
  BtfBuilder btf;
  const uint32_t u64 = btf.Int("unsigned long", 8);
  const uint32_t u16 = btf.Int("unsigned short", 2);
  const uint32_t u8 = btf.Int("unsigned char", 1);
  const uint32_t u32 = btf.Int("unsigned int", 4);
  const uint32_t alias = btf.Typedef("u64", btf.Const(u64));
  const uint32_t list = btf.next_id();
  btf.Struct("list_head", 16, {{"next", list + 1, 0}, {"prev", list + 1, 64}});
  btf.Pointer(list);
  const uint32_t inner = btf.Struct("", 8, {{"cap", u64, 0}});
  const uint32_t either = btf.Struct("", 8, {{"", inner, 0}, {"low", u32, 0}}, BtfKind::kUnion);
  const uint32_t name = btf.Array(u8, 13);
  const uint32_t iommu = btf.Struct("intel_iommu", 8, {{"cap", u64, 0}});
  const uint32_t pointer = btf.Pointer(iommu);
  btf.Struct("unit", 80,
             {{"base", alias, 0},
              {"segment", u16, 64},
              {"ignored", u8, 80, 1},
              {"all", u8, 81, 1},
              {"", either, 128},
              {"name", name, 192},
              {"link", list, 320},
              {"iommu", pointer, 448}});
  return btf;
}

Result<Btf> Parse(const BtfBuilder& btf) {
  const std::vector<std::string_view> wanted = {"unit", "missing"};
  return Btf::Parse(btf.Build(), wanted, "BTF (test)");
}

TEST_CASE("members are found by name: plain, bit field, unnamed, array, embedded, pointer") {
  const auto btf = Parse(Sample());
  REQUIRE(btf);
  CHECK(btf->from() == "BTF (test)");
  CHECK(btf->SizeOf("unit").value() == 80);
  CHECK(btf->SizeOf("list_head").value() == 16);  // not announced beforehand
  CHECK(btf->Member("unit", "base").value() == MemberLayout{0, 64, MemberKind::kInteger, 0, ""});
  CHECK(btf->Member("unit", "segment").value() ==
        MemberLayout{64, 16, MemberKind::kInteger, 0, ""});
  CHECK(btf->Member("unit", "ignored").value() == MemberLayout{80, 1, MemberKind::kInteger, 0, ""});
  CHECK(btf->Member("unit", "all").value() == MemberLayout{81, 1, MemberKind::kInteger, 0, ""});
  CHECK(btf->Member("unit", "cap").value() == MemberLayout{128, 64, MemberKind::kInteger, 0, ""});
  CHECK(btf->Member("unit", "low").value() == MemberLayout{128, 32, MemberKind::kInteger, 0, ""});
  CHECK(btf->Member("unit", "name").value() ==
        MemberLayout{192, 104, MemberKind::kInteger, 13, ""});
  CHECK(btf->Member("unit", "link").value() ==
        MemberLayout{320, 128, MemberKind::kStruct, 0, "list_head"});
  CHECK(btf->Member("unit", "link.prev").value() ==
        MemberLayout{384, 64, MemberKind::kPointer, 0, "list_head"});
  CHECK(btf->Member("unit", "iommu").value() ==
        MemberLayout{448, 64, MemberKind::kPointer, 0, "intel_iommu"});
}

TEST_CASE("what is missing is named") {
  const auto btf = Parse(Sample());
  REQUIRE(btf);
  CHECK(btf->Member("missing", "a").error().message == "BTF (test) has no struct missing");
  CHECK(btf->Member("nowhere", "a").error().message == "BTF (test) has no struct nowhere");
  CHECK(btf->SizeOf("missing").error().code == ErrorCode::kNotFound);
  CHECK(btf->Member("unit", "gone").error().message == "struct unit has no member gone");
  CHECK(btf->Member("unit", "link.gone").error().message == "struct unit has no member link.gone");
  CHECK(btf->Member("unit", "base.x").error().code == ErrorCode::kNotFound);
  CHECK(btf->Member("unit", "iommu.cap").error().code == ErrorCode::kNotFound);
  for (const std::string_view path : {"", ".", "a.", ".a"}) {
    CHECK(btf->Member("unit", path).error().code == ErrorCode::kUsage);
  }
}

TEST_CASE("bit fields of blobs without kind_flag come from the integer type") {
  BtfBuilder btf;
  const uint32_t narrow = btf.Int("unsigned char", 1, 1, 3);
  btf.Struct("unit", 8, {{"flag", narrow, 16}});
  CHECK(Parse(btf).value().Member("unit", "flag").value() ==
        MemberLayout{19, 1, MemberKind::kInteger, 0, ""});
}

TEST_CASE("structures that share a name: agreement is used, disagreement is not") {
  BtfBuilder btf;
  const uint32_t u64 = btf.Int("u64", 8);
  btf.Struct("unit", 16, {{"start", u64, 0}, {"only", u64, 64}});
  btf.Struct("unit", 24, {{"start", u64, 0}, {"end", u64, 128}});
  btf.Struct("unit", 24, {{"start", u64, 0}, {"end", u64, 64}});
  const auto parsed = Parse(btf);
  REQUIRE(parsed);
  CHECK(parsed->Member("unit", "start").value().bit_offset == 0);
  CHECK(parsed->Member("unit", "only").value().bit_offset == 64);
  CHECK(parsed->Member("unit", "end").error().message ==
        "struct unit is defined 3 times with different places of member end");
  CHECK_FALSE(parsed->SizeOf("unit"));
}

TEST_CASE("each header field: a wrong value is refused") {
  const auto refused = [](auto change) {
    BtfBuilder btf = Sample();
    change(btf);
    const auto parsed = Parse(btf);
    return !parsed && parsed.error().message.starts_with("BTF: ");
  };
  const std::vector<std::byte> blob = Sample().Build();
  const uint32_t types = LoadUnchecked<uint32_t>(blob, 12);
  const uint32_t strings = LoadUnchecked<uint32_t>(blob, 20);
  REQUIRE(Parse(Sample()));
  CHECK(refused([](BtfBuilder& b) { b.header.magic = 0x9feb; }));
  CHECK(refused([](BtfBuilder& b) { b.header.version = 2; }));
  CHECK(refused([](BtfBuilder& b) { b.header.header_length = 0; }));
  CHECK(refused([](BtfBuilder& b) { b.header.header_length = 23; }));
  CHECK(refused([](BtfBuilder& b) { b.header.header_length = 25; }));
  CHECK(refused([](BtfBuilder& b) { b.header.header_length = UINT32_MAX; }));
  CHECK(refused([](BtfBuilder& b) { b.header.type_offset = UINT32_MAX; }));
  CHECK(refused([&](BtfBuilder& b) { b.header.type_length = types - 1; }));
  CHECK(refused([&](BtfBuilder& b) { b.header.type_length = types + strings + 1; }));
  CHECK(refused([](BtfBuilder& b) { b.header.type_length = UINT32_MAX; }));
  CHECK(refused([&](BtfBuilder& b) { b.header.string_offset = types + 1; }));
  CHECK(refused([](BtfBuilder& b) { b.header.string_offset = UINT32_MAX; }));
  CHECK(refused([](BtfBuilder& b) { b.header.string_length = 0; }));
  CHECK(refused([&](BtfBuilder& b) { b.header.string_length = strings - 1; }));
  CHECK(refused([&](BtfBuilder& b) { b.header.string_length = strings + 1; }));
  CHECK(refused([](BtfBuilder& b) {
    b.layout.assign(20, {0, 0});
    b.header.layout_length = 81;
  }));
  CHECK(refused([](BtfBuilder& b) {
    b.layout.assign(20, {0, 0});
    b.header.layout_offset = UINT32_MAX;
  }));
}

TEST_CASE("a blob cut at any byte is refused and never read beyond") {
  const std::vector<std::byte> blob = Sample().Build();
  for (size_t size = 0; size < blob.size(); ++size) {
    CHECK_FALSE(Btf::Parse({blob.begin(), blob.begin() + static_cast<ptrdiff_t>(size)}, {}, ""));
  }
}

TEST_CASE("a record that claims more elements than there are is refused") {
  BtfBuilder btf = Sample();
  btf.Type("late", BtfKind::kStruct, 1, false, 8, {0, 1});
  const auto parsed = Parse(btf);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code == ErrorCode::kMalformed);
  CHECK(parsed.error().message.ends_with("with 1 elements is cut off"));
}

TEST_CASE("an unknown kind is stepped over only with a layout section") {
  BtfBuilder without = Sample();
  without.Type("new", static_cast<BtfKind>(20), 2, false, 0, {1, 2, 3});
  without.Struct("late", 8, {});
  const auto refused = Parse(without);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kUnsupported);
  BtfBuilder with = without;
  with.layout.assign(21, {0, 0});
  with.layout[20] = {4, 4};
  const auto parsed = Parse(with);
  REQUIRE(parsed);
  CHECK(parsed->SizeOf("late").value() == 8);
  BtfBuilder too_short = without;
  too_short.layout.assign(20, {0, 0});
  CHECK_FALSE(Parse(too_short));
}

TEST_CASE("a name outside the strings and a type id beyond the last are refused") {
  BtfBuilder name;
  name.Type("", BtfKind::kFloat, 0, false, 8, {});
  std::vector<std::byte> blob = name.Build();
  StoreUnchecked<uint32_t>(blob, 24, 1);
  CHECK_FALSE(Btf::Parse(blob, {}, ""));
  BtfBuilder id;
  const uint32_t u64 = id.Int("u64", 8);
  id.Struct("unit", 8, {{"last", u64, 0}, {"beyond", 4, 0}, {"at", 3, 0}});
  id.Float();
  const auto parsed = Parse(id);
  REQUIRE(parsed);
  CHECK(parsed->Member("unit", "last"));
  CHECK(parsed->Member("unit", "at"));
  CHECK(parsed->Member("unit", "beyond").error().code == ErrorCode::kMalformed);
}

TEST_CASE("chains that run in a circle end") {
  BtfBuilder typedefs;
  const uint32_t first = typedefs.next_id();
  typedefs.Typedef("a", first + 1);
  typedefs.Typedef("b", first);
  typedefs.Struct("unit", 8, {{"x", first, 0}});
  CHECK(Parse(typedefs).value().Member("unit", "x").error().code == ErrorCode::kMalformed);

  BtfBuilder arrays;
  const uint32_t self = arrays.next_id();
  arrays.Array(self, 1);
  arrays.Struct("unit", 8, {{"x", self, 0}});
  CHECK(Parse(arrays).value().Member("unit", "x").error().code == ErrorCode::kMalformed);

  BtfBuilder unnamed;
  unnamed.Struct("unit", 8, {{"", unnamed.next_id(), 0}});
  CHECK(Parse(unnamed).value().Member("unit", "x").error().code == ErrorCode::kMalformed);

  BtfBuilder pointers;
  const uint32_t knot = pointers.next_id();
  pointers.Pointer(knot);
  pointers.Struct("unit", 8, {{"x", knot, 0}});
  CHECK(Parse(pointers).value().Member("unit", "x").value().kind == MemberKind::kPointer);
}

TEST_CASE("a chain of qualifiers at its limit") {
  for (const unsigned length : {30u, 31u, 32u}) {
    BtfBuilder btf;
    uint32_t id = btf.Int("u64", 8);
    for (unsigned i = 0; i < length; ++i) id = btf.Const(id);
    btf.Struct("unit", 8, {{"x", id, 0}});
    CAPTURE(length);
    CHECK(Parse(btf).value().Member("unit", "x").has_value() == (length < 32));
  }
}

TEST_CASE("wide unnamed nesting is cut by the budget of members") {
  BtfBuilder btf;
  uint32_t id = btf.Struct("", 8, {});
  for (int i = 0; i < 20; ++i) id = btf.Struct("", 8, {{"", id, 0}, {"", id, 0}});
  btf.Struct("unit", 8, {{"", id, 0}});
  CHECK(Parse(btf).value().Member("unit", "x").error().code == ErrorCode::kLimit);
}

TEST_CASE("a member outside its structure is refused, at the border it is not") {
  for (const uint32_t at : {63u, 64u, 65u}) {
    BtfBuilder btf;
    const uint32_t u64 = btf.Int("u64", 8);
    btf.Struct("unit", 16, {{"x", u64, at}});
    CAPTURE(at);
    const auto member = Parse(btf).value().Member("unit", "x");
    CHECK(member.has_value() == (at <= 64));
    if (!member) CHECK(member.error().code == ErrorCode::kMalformed);
  }
  BtfBuilder huge;
  const uint32_t u64 = huge.Int("u64", 8);
  const uint32_t rows = huge.Array(huge.Array(huge.Array(u64, UINT32_MAX), UINT32_MAX), UINT32_MAX);
  huge.Struct("unit", 16, {{"x", rows, 0}});
  CHECK(Parse(huge).value().Member("unit", "x").error().code == ErrorCode::kMalformed);
}

TEST_CASE("types behind several checkpoints are found") {
  BtfBuilder btf;
  const uint32_t u64 = btf.Int("u64", 8);
  uint32_t last = u64;
  for (int i = 0; i < 100; ++i) {
    last = btf.Struct("s", 8, {{"x", u64, 0}});
    btf.Pointer(last);
  }
  for (const uint32_t id : {31u, 32u, 33u, 63u, 64u, 65u}) {
    BtfBuilder one = btf;
    one.Struct("unit", 8, {{"x", id, 0}});
    CAPTURE(id);
    // Odd ids are pointers, even ones structures.
    CHECK(Parse(one).value().Member("unit", "x").value().kind ==
          (id % 2 == 0 ? MemberKind::kStruct : MemberKind::kPointer));
  }
}

}  // namespace
}  // namespace dmaudit
