// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include <array>

#include "base/address.h"
#include "base/bits.h"
#include "base/bytes.h"
#include "base/diagnostics.h"
#include "base/known.h"
#include "base/number.h"
#include "base/text.h"

namespace dmaudit {
namespace {

TEST_CASE("an address sum stops at 64 bits") {
  CHECK(PhysAddr(UINT64_MAX - 1).Plus(1) == PhysAddr(UINT64_MAX));
  CHECK_FALSE(PhysAddr(UINT64_MAX).Plus(1));
}

TEST_CASE("a range holds the last byte of the space and never wraps") {
  CHECK(PhysRange::FromSize(PhysAddr(UINT64_MAX), 1)->last == PhysAddr(UINT64_MAX));
  CHECK_FALSE(PhysRange::FromSize(PhysAddr(UINT64_MAX), 2));
  CHECK_FALSE(PhysRange::FromSize(PhysAddr(0), 0));
}

TEST_CASE("ranges overlap by one byte, touch, and are apart") {
  const PhysRange range{PhysAddr(0x1000), PhysAddr(0x1fff)};
  CHECK(range.Overlaps({PhysAddr(0x1fff), PhysAddr(0x2fff)}));
  CHECK_FALSE(range.Overlaps({PhysAddr(0x2000), PhysAddr(0x2fff)}));
  CHECK(range.Overlaps({PhysAddr(0), PhysAddr(0x1000)}));
  CHECK_FALSE(range.Overlaps({PhysAddr(0), PhysAddr(0xfff)}));
  CHECK(range.Intersect({PhysAddr(0x1800), PhysAddr(0x2fff)}) ==
        PhysRange{PhysAddr(0x1800), PhysAddr(0x1fff)});
}

constexpr std::array<Field, 2> kGap = {Field{63, 13, "a"}, Field{11, 0, "b"}};
constexpr std::array<Field, 2> kOverlap = {Field{63, 12, "a"}, Field{12, 0, "b"}};
constexpr std::array<Field, 3> kWhole = {Field{63, 12, "a"},
                                         Field{11, 1, "r", FieldKind::kReserved}, Field{0, 0, "p"}};
static_assert(!Tiles64(kGap));
static_assert(!Tiles64(kOverlap));
static_assert(Tiles64(kWhole));
static_assert(MaskOf(kWhole, FieldKind::kReserved) == 0xffe);
static_assert(Field{63, 0, "all"}.mask() == ~uint64_t{0});

TEST_CASE("a field reads and writes its own bits only") {
  const Field field{7, 4, "f"};
  CHECK(field.Get(0xfa5) == 0xa);
  CHECK(field.Set(0xfff, 0x102) == 0xf2f);
}

TEST_CASE("loads stay inside the bytes and honour the byte order") {
  const std::array<std::byte, 4> bytes = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  CHECK(Load<uint32_t>(bytes, 0) == 0x04030201u);
  CHECK(Load<uint32_t>(bytes, 0, ByteOrder::kBig) == 0x01020304u);
  CHECK_FALSE(Load<uint32_t>(bytes, 1));
  CHECK_FALSE(Load<uint8_t>(bytes, UINT64_MAX));
  CHECK(SubSpan(bytes, 4, 0));
  CHECK_FALSE(SubSpan(bytes, 5, 0));
  CHECK_FALSE(SubSpan(bytes, 1, UINT64_MAX));
}

TEST_CASE("numbers are whole, unsigned and never wrap") {
  CHECK(ParseHex("0xffffffffffffffff") == UINT64_MAX);
  CHECK_FALSE(ParseHex("0x10000000000000000"));
  CHECK_FALSE(ParseHex("0x"));
  CHECK_FALSE(ParseHex("12 "));
  CHECK_FALSE(ParseDecimal("-1"));
  CHECK_FALSE(ParseDecimal("+1"));
  CHECK(ParseSignedDecimal("-849346560") == -849346560);
  CHECK(ParseNumber("0x10") == 16);
  CHECK(ParseNumber("10") == 10);
  CHECK_FALSE(ParseNumber("1f"));
  CHECK(CheckedMul(UINT64_MAX, 1) == UINT64_MAX);
  CHECK_FALSE(CheckedMul(UINT64_MAX / 2 + 1, 2));
}

TEST_CASE("no text of a dump can steer a terminal") {
  CHECK(EscapeForTerminal("plain \xc3\xa9") == "plain \xc3\xa9");
  CHECK(EscapeForTerminal("a\x1b[31m\n\x7f") == "a\\x1b[31m\\x0a\\x7f");
  CHECK(EscapeForTerminal("\xc2\x9b") == "\\xc2\\x9b");           // C1 CSI
  CHECK(EscapeForTerminal("\xe2\x80\xae") == "\\xe2\\x80\\xae");  // right-to-left override
  CHECK(EscapeForTerminal("\xc0\x80\xff") == "\\xc0\\x80\\xff");  // overlong, never valid
  CHECK(EscapeForTerminal(std::string_view("\xe2\x82", 2)) == "\\xe2\\x82");  // cut short
}

TEST_CASE("sizes read as people write them") {
  CHECK(HumanSize(0) == "0 B");
  CHECK(HumanSize(1023) == "1023 B");
  CHECK(HumanSize(1024) == "1 KiB");
  CHECK(HumanSize(1536) == "1.5 KiB");
  CHECK(HumanSize(UINT64_MAX) == "16.0 EiB");
}

TEST_CASE("things are counted and listed as people write it") {
  CHECK(Counted(0, "unit") == "0 units");
  CHECK(Counted(1, "unit") == "1 unit");
  CHECK(Counted(2, "unit") == "2 units");
  CHECK(ListFirst({}, 2, ", ").empty());
  CHECK(ListFirst({"a", "b"}, 2, ", ") == "a, b");
  CHECK(ListFirst({"a", "b", "c"}, 2, " ") == "a b and 1 more");
}

TEST_CASE("the stronger origin is chosen, and disagreement shows") {
  Known<int> value;
  CHECK_FALSE(value.known());
  value.Add(1, Origin::kLog, "line");
  CHECK_FALSE(value.disagrees());
  value.Add(2, Origin::kKernelShadow, "member");
  CHECK(value.value() == 2);
  CHECK(value.disagrees());
  value.Add(3, Origin::kKernelShadow, "other");
  CHECK(value.value() == 2);
}

TEST_CASE("equal diagnostics are counted, floods are cut, incompleteness is never lost") {
  DiagnosticSink sink;
  sink.Note("a", "same");
  sink.Note("a", "same");
  REQUIRE(sink.diagnostics().size() == 1);
  CHECK(sink.diagnostics()[0].count == 2);
  CHECK_FALSE(sink.incomplete());
  for (size_t i = 0; i < DiagnosticSink::kMaxPerId; ++i) sink.Note("b", "{}", i);
  CHECK(sink.suppressed().empty());
  sink.Incomplete("b", "one more");
  CHECK(sink.suppressed().at("b") == 1);
  CHECK(sink.incomplete());
  CHECK(sink.incomplete("b"));
  CHECK_FALSE(sink.incomplete("a"));
}

TEST_CASE("a report that would not be kept can be counted without its message") {
  DiagnosticSink sink;
  for (size_t i = 0; i < DiagnosticSink::kMaxPerId; ++i) {
    CHECK_FALSE(sink.OnlyCounts("b", Effect::kIncomplete));
    sink.Note("b", "{}", i);
  }
  CHECK_FALSE(sink.incomplete());
  CHECK(sink.OnlyCounts("b", Effect::kNote));
  CHECK_FALSE(sink.incomplete());
  CHECK(sink.OnlyCounts("b", Effect::kIncomplete));
  CHECK(sink.incomplete());
  CHECK(sink.suppressed().at("b") == 2);
  CHECK_FALSE(sink.OnlyCounts("c", Effect::kNote));
}

TEST_CASE("a gap that something else closed is a note, and no other gap goes with it") {
  DiagnosticSink sink;
  sink.Incomplete("a", "one");
  sink.Incomplete("b", "two");
  sink.Settle("a");
  CHECK(sink.diagnostics()[0].effect == Effect::kNote);
  CHECK(sink.incomplete());
  sink.Settle("b");
  CHECK_FALSE(sink.incomplete());
}

}  // namespace
}  // namespace dmaudit
