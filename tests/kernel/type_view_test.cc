// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/type_view.h"

#include <doctest/doctest.h>

#include "kernel/btf.h"
#include "support/btf_builder.h"
#include "support/fake_kernel.h"

namespace dmaudit {
namespace {

using test::BtfBuilder;
using test::FakeKernel;

constexpr KernelVa kAt(0xffff888000001000);

struct Scene {
  Scene() : btf(Layouts()), view(kernel, btf, kAt, "thing") {
    kernel.memory().AddZeroPage(PhysAddr(kAt.value()));
  }
  static Btf Layouts() {
    BtfBuilder b;
    const uint32_t u64 = b.Int("u64", 8);
    const uint32_t u8 = b.Int("u8", 1);
    const uint32_t text = b.Array(u8, 4);
    const uint32_t pointer = b.Pointer(u8);
    const uint32_t real = b.Float();
    const uint32_t link = b.Struct("list_head", 16, {{"next", pointer, 0}, {"prev", pointer, 64}});
    b.Struct("thing", 128,
             {{"value", u64, 0},
              {"bits", u8, 67, 3},
              {"name", text, 128},
              {"title", pointer, 192},
              {"link", link, 256},
              {"real", real, 384},
              {"wide", u64, 449, 64},
              {"array", b.Array(u64, 2), 576}});
    return Btf::Parse(b.Build(), {}, "BTF").value();
  }

  FakeKernel kernel;
  Btf btf;
  StructView view;
};

TEST_CASE("integers, bit fields, text and strings are read by name") {
  Scene s;
  s.kernel.WriteU64(kAt, 0x1122334455667788);
  s.kernel.WriteU64(KernelVa(kAt.value() + 8), 0x28);  // bits 5:3
  s.kernel.WriteText(KernelVa(kAt.value() + 16), "abcdef");
  s.kernel.WriteU64(KernelVa(kAt.value() + 24), 0xffff888000001800);
  s.kernel.WriteText(KernelVa(0xffff888000001800), "title");
  CHECK(s.view.Integer("value").value() == 0x1122334455667788);
  CHECK(s.view.Integer("bits").value() == 5);
  CHECK(s.view.Text("name").value() == "abcd");
  CHECK(s.view.String("title", 16).value() == "title");
  CHECK(s.view.String("title", 3).value() == "tit");
  CHECK(s.view.Integer({"other", "value"}).value() == 0x1122334455667788);
  CHECK(s.view.Integer({"other", "another"}).error().message == "struct thing has no member other");
  CHECK(s.view.Struct("link").value().address() == KernelVa(kAt.value() + 32));
  CHECK(s.view.Place("bits") == "thing.bits @ 0xffff888000001008");
  CHECK(s.view.Place("none") == "thing.none @ 0xffff888000001000");
}

TEST_CASE("a null string pointer is an empty string") {
  Scene s;
  CHECK(s.view.String("title", 16).value().empty());
}

TEST_CASE("members of the wrong kind are refused") {
  Scene s;
  CHECK(s.view.Integer("name").error().code == ErrorCode::kUnsupported);
  CHECK(s.view.Integer("link").error().code == ErrorCode::kUnsupported);
  CHECK(s.view.Integer("real").error().code == ErrorCode::kUnsupported);
  CHECK(s.view.Integer("wide").error().code == ErrorCode::kUnsupported);
  CHECK(s.view.Text("value").error().code == ErrorCode::kUnsupported);
  CHECK(s.view.Text("array").error().code == ErrorCode::kUnsupported);
  CHECK(s.view.Struct("value").error().code == ErrorCode::kUnsupported);
}

TEST_CASE("an unreadable member is named with its place") {
  Scene s;
  s.kernel.memory().SetPageState(PhysAddr(kAt.value()), ByteState::kExcluded);
  const auto value = s.view.Integer("bits");
  REQUIRE_FALSE(value);
  CHECK(value.error().message ==
        "thing.bits @ 0xffff888000001008: kernel address 0xffff888000001008 is excluded");
  CHECK_FALSE(StructView(s.kernel, s.btf, KernelVa(UINT64_MAX), "thing").Integer("bits"));
}

// A list of `count` elements, 0x100 apart.
void Link(FakeKernel& kernel, KernelVa head, int count) {
  uint64_t last = head.value();
  for (int i = 1; i <= count; ++i) {
    kernel.WriteU64(KernelVa(last), head.value() + static_cast<uint64_t>(i) * 0x100);
    last = head.value() + static_cast<uint64_t>(i) * 0x100;
  }
  kernel.WriteU64(KernelVa(last), head.value());
}

struct Walked {
  Status status;
  size_t visited = 0;
};
Walked Walk(FakeKernel& kernel, size_t budget) {
  Walked walked;
  walked.status = WalkList(kernel, kAt, budget, [&](KernelVa) {
    ++walked.visited;
    return true;
  });
  return walked;
}

TEST_CASE("a list is walked to its head; its budget at, below and above") {
  FakeKernel kernel;
  Link(kernel, kAt, 0);
  CHECK(Walk(kernel, 0).status);
  Link(kernel, kAt, 5);
  CHECK(Walk(kernel, 6).visited == 5);
  CHECK(Walk(kernel, 5).status);
  const Walked above = Walk(kernel, 4);
  REQUIRE_FALSE(above.status);
  CHECK(above.status.error().code == ErrorCode::kLimit);
  CHECK(above.visited == 4);
}

TEST_CASE("lists that do not come back: a circle, a null, a hole") {
  FakeKernel circle;
  Link(circle, kAt, 5);
  circle.WriteU64(KernelVa(kAt.value() + 0x500), kAt.value() + 0x200);
  CHECK(Walk(circle, 1000).status.error().code == ErrorCode::kMalformed);
  CHECK(Walk(circle, 1000).visited == 5);
  FakeKernel self;
  Link(self, kAt, 1);
  self.WriteU64(KernelVa(kAt.value() + 0x100), kAt.value() + 0x100);
  CHECK(Walk(self, 1000).status.error().code == ErrorCode::kMalformed);
  FakeKernel null;
  Link(null, kAt, 2);
  null.WriteU64(KernelVa(kAt.value() + 0x200), 0);
  CHECK(Walk(null, 1000).status.error().code == ErrorCode::kMalformed);
  FakeKernel hole;
  Link(hole, kAt, 2);
  hole.WriteU64(KernelVa(kAt.value() + 0x200), 0xdead000000000100);
  CHECK(Walk(hole, 1000).status.error().code == ErrorCode::kUnknown);
  CHECK(Walk(hole, 1000).visited == 3);
}

TEST_CASE("structures are visited by the member that links them, until told to stop") {
  Scene s;
  Link(s.kernel, KernelVa(kAt.value() + 0x800), 3);
  std::vector<uint64_t> seen;
  REQUIRE(WalkList(s.kernel, s.btf, KernelVa(kAt.value() + 0x800), "thing", "link", 10,
                   [&](const StructView& view) {
                     seen.push_back(view.address().value());
                     return seen.size() < 2;
                   }));
  CHECK(seen == std::vector<uint64_t>{kAt.value() + 0x900 - 32, kAt.value() + 0xa00 - 32});
  CHECK_FALSE(
      WalkList(s.kernel, s.btf, kAt, "thing", "gone", 10, [](const StructView&) { return true; }));
}

}  // namespace
}  // namespace dmaudit
