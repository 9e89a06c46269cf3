// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/vmcoreinfo.h"

#include <doctest/doctest.h>

namespace dmaudit {
namespace {

TEST_CASE("values are read by their kind") {
  DiagnosticSink sink;
  const auto info = Vmcoreinfo::Parse(
      "OSRELEASE=6.1.0\nSYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=-610271232\n"
      "NUMBER(VMALLOC_START)=0xffffd15b40000000\nSIZE(list_head)=16\n"
      "OFFSET(list_head.prev)=8\nLENGTH(zone.free_area)=11\n",
      sink);
  REQUIRE(info);
  CHECK(info->Get("OSRELEASE") == "6.1.0");
  CHECK(info->Symbol("_stext") == KernelVa(0xffffffff81000000));
  CHECK(info->Number("phys_base") == -610271232);
  CHECK(info->Number("VMALLOC_START") == static_cast<int64_t>(0xffffd15b40000000));
  CHECK(info->Size("list_head") == 16);
  CHECK(info->Offset("list_head.prev") == 8);
  CHECK(info->Length("zone.free_area") == 11);
  CHECK_FALSE(info->Symbol("OSRELEASE"));
  CHECK_FALSE(info->Get("CRASHTIME"));
  CHECK(sink.diagnostics().empty());
}

TEST_CASE("text ends at NUL or without a newline, and CRLF is one line end") {
  DiagnosticSink sink;
  const std::string_view text("A=1\r\n\r\nB=2\0C=3\n", 16);
  const auto info = Vmcoreinfo::Parse(text, sink);
  REQUIRE(info);
  CHECK(info->Get("A") == "1");
  CHECK(info->Get("B") == "2");
  CHECK_FALSE(info->Get("C"));
  CHECK(sink.diagnostics().empty());
}

TEST_CASE("an unreadable number is none") {
  DiagnosticSink sink;
  const auto info = Vmcoreinfo::Parse(
      "SYMBOL(a)=xyz\nSYMBOL(b)=10000000000000000\nNUMBER(c)=1x\nSIZE(d)=-1\nNUMBER(e)=0x\n", sink);
  REQUIRE(info);
  CHECK_FALSE(info->Symbol("a"));
  CHECK_FALSE(info->Symbol("b"));
  CHECK_FALSE(info->Number("c"));
  CHECK_FALSE(info->Size("d"));
  CHECK_FALSE(info->Number("e"));
}

TEST_CASE("of a repeated key the first value counts, and a different second one is said") {
  DiagnosticSink sink;
  const auto same = Vmcoreinfo::Parse("A=1\nA=1\n", sink);
  REQUIRE(same);
  CHECK(sink.diagnostics().empty());
  const auto info = Vmcoreinfo::Parse("A=1\nA=2\n", sink);
  REQUIRE(info);
  CHECK(info->Get("A") == "1");
  REQUIRE(sink.diagnostics().size() == 1);
  CHECK(sink.diagnostics()[0].id == "kernel.vmcoreinfo");
}

TEST_CASE("a line that is not KEY=value is passed over with a note") {
  DiagnosticSink sink;
  const auto info = Vmcoreinfo::Parse("rubbish\nA=1\n", sink);
  REQUIRE(info);
  CHECK(info->Get("A") == "1");
  CHECK(sink.diagnostics().size() == 1);
}

TEST_CASE("text without a usable line, and text beyond the limit, is refused") {
  DiagnosticSink sink;
  CHECK_FALSE(Vmcoreinfo::Parse("", sink));
  CHECK_FALSE(Vmcoreinfo::Parse("\n\n", sink));
  CHECK_FALSE(Vmcoreinfo::Parse("=1\n", sink));
  const std::string line = "A=";
  CHECK(Vmcoreinfo::Parse(line + std::string(65535 - 2, 'x'), sink));
  CHECK(Vmcoreinfo::Parse(line + std::string(65536 - 2, 'x'), sink));
  const auto above = Vmcoreinfo::Parse(line + std::string(65537 - 2, 'x'), sink);
  REQUIRE_FALSE(above);
  CHECK(above.error().code == ErrorCode::kLimit);
  CHECK_FALSE(Vmcoreinfo::Parse(std::string(1 << 20, 'x'), sink));
}

}  // namespace
}  // namespace dmaudit
