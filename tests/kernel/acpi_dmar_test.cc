// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/acpi_dmar.h"

#include <doctest/doctest.h>

#include <functional>

#include "base/bytes.h"
#include "support/dmar_table_builder.h"

namespace dmaudit {
namespace {

using test::DmarTableBuilder;

constexpr size_t kDrhd = 48;           // the first structure
constexpr size_t kEntry = kDrhd + 16;  // its first device scope

// A unit with one device, a region, and one structure of each other kind.
std::vector<std::byte> Whole() {
  DmarTableBuilder table;
  table.Drhd(1, 2, 0xfed90000, {DmarTableBuilder::Scope(2, 3, {{4, 5}, {6, 7}})});
  table.Rmrr(0, 0x7000000, 0x70fffff, {DmarTableBuilder::Scope(1, 0, {{2, 0}})});
  table.Other(2, 1, 1, {});
  table.Other(5, 1, 0, {DmarTableBuilder::Scope(1, 0, {{31, 7}})});
  table.Other(4, 0, 0, {});
  table.Other(6, 0, 0, {});
  return table.Build();
}

TEST_CASE("each structure is read, and what is not used is named") {
  const Result<AcpiDmar> dmar = ParseAcpiDmar(Whole());
  REQUIRE(dmar);
  CHECK(dmar->whole());
  REQUIRE(dmar->scopes.size() == 4);
  const AcpiScope& unit = dmar->scopes[0];
  CHECK(unit.kind == ScopeKind::kUnit);
  CHECK(unit.offset == kDrhd);
  CHECK(unit.segment == 2);
  CHECK(unit.registers == PhysAddr(0xfed90000));
  CHECK(unit.flag);
  CHECK(unit.entries ==
        std::vector<AcpiScopeEntry>{{AcpiScopeEntry::Type::kBridge, 3, {0x25, 0x37}}});
  CHECK(dmar->scopes[1].kind == ScopeKind::kReservedMemory);
  CHECK(dmar->scopes[1].range == PhysRange{PhysAddr(0x7000000), PhysAddr(0x70fffff)});
  CHECK_FALSE(dmar->scopes[1].flag);
  CHECK(dmar->scopes[2].kind == ScopeKind::kAtsRoot);
  CHECK(dmar->scopes[2].segment == 1);
  CHECK(dmar->scopes[2].flag);
  CHECK(dmar->scopes[3].kind == ScopeKind::kAtsDevices);
  CHECK(dmar->scopes[3].entries[0].path == std::vector<uint8_t>{0xff});
  REQUIRE(dmar->skipped.size() == 2);
  CHECK(dmar->skipped[0].starts_with("ANDD"));
  CHECK(dmar->skipped[1].starts_with("SIDP"));
}

// The table after one change, its checksum right again.
AcpiDmar After(const std::function<void(std::vector<std::byte>&)>& change) {
  std::vector<std::byte> table = Whole();
  change(table);
  Result<AcpiDmar> dmar = ParseAcpiDmar(DmarTableBuilder::Summed(std::move(table)));
  REQUIRE(dmar);
  return *std::move(dmar);
}
void Only(const AcpiDmar& dmar, std::string_view problem) {
  REQUIRE(dmar.problems.size() == 1);
  CHECK_MESSAGE(dmar.problems[0].find(problem) != std::string::npos, dmar.problems[0]);
}

TEST_CASE("a wrong checksum is a problem, and the table is read all the same") {
  for (const int change : {1, 2, 0x80, 0xff}) {
    CAPTURE(change);
    std::vector<std::byte> table = Whole();
    table[10] ^= static_cast<std::byte>(change);
    const Result<AcpiDmar> dmar = ParseAcpiDmar(table);
    REQUIRE(dmar);
    Only(*dmar, "checksum");
    CHECK(dmar->scopes.size() == 4);
  }
}

TEST_CASE("what is no DMAR table is an error") {
  const auto code = [](std::vector<std::byte> table) {
    const Result<AcpiDmar> dmar = ParseAcpiDmar(table);
    REQUIRE_FALSE(dmar);
    return dmar.error().code;
  };
  std::vector<std::byte> table = Whole();
  table[3] = std::byte{'X'};
  CHECK(code(table) == ErrorCode::kUnrecognised);
  CHECK(code({}) == ErrorCode::kUnrecognised);
  CHECK(code(std::vector<std::byte>(kMaxAcpiTable + 1)) == ErrorCode::kLimit);
  table = Whole();
  table.erase(table.begin() + kDrhd - 1, table.end());
  CHECK(code(table) == ErrorCode::kMalformed);
  // A header alone is a table, its checksum aside.
  CHECK(ParseAcpiDmar(DmarTableBuilder().Build()));
}

TEST_CASE("the text that acpidump writes without -b is refused with advice") {
  const auto parse = [](std::string_view text) {
    const auto bytes = AsBytes(text);
    return ParseAcpiDmar({bytes.data(), bytes.size()});
  };
  const std::string rest =
      "0000000000000000\n    0000: 44 4D 41 52 88 00 00 00 01 9B 41 43  DMAR\n";
  const Result<AcpiDmar> text = parse("DMAR @ 0x" + rest);
  REQUIRE_FALSE(text);
  CHECK(text.error().message.find("acpidump -b") != std::string::npos);
  CHECK(parse("DMAR @ 0X" + rest).has_value());  // a damaged table, as any other bytes
}

TEST_CASE("the header's length below, at and above the file's") {
  const auto length = [](int more) {
    return After([&](std::vector<std::byte>& t) {
      StoreUnchecked<uint32_t>(t, 4, static_cast<uint32_t>(t.size()) + static_cast<uint32_t>(more));
    });
  };
  CHECK_FALSE(length(-1).whole());
  CHECK(length(0).whole());
  Only(length(1), "its header says");
  CHECK(length(1).scopes.size() == 4);
  Only(After([](std::vector<std::byte>& t) { StoreUnchecked<uint32_t>(t, 4, 47); }),
       "its header says 47");
}

TEST_CASE("the last structure's length below, at and above the bytes that are left") {
  const auto length = [](uint16_t of_last) {
    return After(
        [&](std::vector<std::byte>& t) { StoreUnchecked<uint16_t>(t, t.size() - 8 + 2, of_last); });
  };
  CHECK_FALSE(length(7).whole());
  CHECK(length(8).whole());
  Only(length(9), "has a length of 9, 8 bytes are left");
  // Never an endless loop.
  for (const uint16_t tiny : {uint16_t{0}, uint16_t{3}}) Only(length(tiny), "has a length of");
}

TEST_CASE("a structure that is too short for its kind is left out") {
  for (const uint16_t type : {uint16_t{0}, uint16_t{1}}) {
    DmarTableBuilder table;
    table.Other(type, 0, 0, {});
    const Result<AcpiDmar> dmar = ParseAcpiDmar(table.Build());
    REQUIRE(dmar);
    CHECK(dmar->scopes.empty());
    Only(*dmar, "has 8 bytes");
  }
}

TEST_CASE("a region that ends before, with and after its first byte") {
  const auto scopes = [](uint64_t last) {
    DmarTableBuilder table;
    table.Rmrr(0, 0x7000000, last, {});
    const Result<AcpiDmar> dmar = ParseAcpiDmar(table.Build());
    REQUIRE(dmar);
    CHECK(dmar->whole() == !dmar->scopes.empty());
    return dmar->scopes.size();
  };
  CHECK(scopes(0x6ffffff) == 0);
  CHECK(scopes(0x7000000) == 1);
  CHECK(scopes(0x7000001) == 1);
}

TEST_CASE("a unit whose registers are nowhere is left out") {
  for (const uint64_t registers : {uint64_t{0}, UINT64_MAX}) {
    const AcpiDmar dmar = After(
        [&](std::vector<std::byte>& t) { StoreUnchecked<uint64_t>(t, kDrhd + 8, registers); });
    Only(dmar, "has its registers at");
    CHECK(dmar.scopes.size() == 3);
  }
}

TEST_CASE("a damaged device scope leaves its structure in part unknown") {
  const auto damaged = [](size_t offset, int value, std::string_view problem) {
    const AcpiDmar dmar = After([&](std::vector<std::byte>& t) {
      StoreUnchecked<uint8_t>(t, kEntry + offset, static_cast<uint8_t>(value));
    });
    Only(dmar, problem);
    REQUIRE(dmar.scopes.size() == 4);
    CHECK_FALSE(dmar.scopes[0].whole);
    CHECK(dmar.scopes[0].entries.empty());
    CHECK(dmar.scopes[1].whole);
  };
  for (const int length : {0, 6, 7, 9, 11, 12, 255}) damaged(1, length, "a device scope of");
  damaged(1, 6, "a device scope of 6 bytes in 10");  // of no device, not the 4 bytes behind it
  for (const int type : {0, 6, 255}) damaged(0, type, "of type");
  damaged(6, 32, "device 32");
  damaged(7, 8, "function 8");
  damaged(8, 32, "device 32");
}

TEST_CASE("problems beyond the limit are a number") {
  const auto problems = [](size_t count) {
    DmarTableBuilder table;
    for (size_t i = 0; i < count; ++i) table.Other(0, 0, 0, {});
    const Result<AcpiDmar> dmar = ParseAcpiDmar(table.Build());
    REQUIRE(dmar);
    return dmar->problems;
  };
  CHECK(problems(kMaxAcpiProblems - 1).size() == kMaxAcpiProblems - 1);
  CHECK(problems(kMaxAcpiProblems).size() == kMaxAcpiProblems);
  CHECK(problems(kMaxAcpiProblems + 2).back() == "2 more problems");
}

TEST_CASE("structures below, at and above their limit") {
  const auto scopes = [](size_t count) {
    DmarTableBuilder table;
    for (size_t i = 0; i < count; ++i) table.Other(2, 0, 0, {});
    const Result<AcpiDmar> dmar = ParseAcpiDmar(table.Build());
    REQUIRE(dmar);
    CHECK(dmar->whole() == (count <= kMaxScopes));
    return dmar->scopes.size();
  };
  CHECK(scopes(kMaxScopes - 1) == kMaxScopes - 1);
  CHECK(scopes(kMaxScopes) == kMaxScopes);
  CHECK(scopes(kMaxScopes + 1) == kMaxScopes);
}

}  // namespace
}  // namespace dmaudit
