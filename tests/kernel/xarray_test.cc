// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/xarray.h"

#include <doctest/doctest.h>

#include <utility>
#include <vector>

#include "kernel/btf.h"
#include "support/btf_builder.h"
#include "support/fake_kernel.h"

namespace dmaudit {
namespace {

using test::BtfBuilder;
using test::FakeKernel;

using Slots = std::vector<std::pair<uint64_t, uint64_t>>;
using Entries = std::vector<std::pair<uint64_t, uint64_t>>;

// Pointers that nothing is behind: entries are not followed.
constexpr uint64_t kOne = 0xffff888000abc000;
constexpr uint64_t kTwo = 0xffff888000abd008;
// xa_mk_value(5), XA_RETRY_ENTRY, XA_ZERO_ENTRY, the sibling of slot 2 (xa_mk_sibling).
constexpr uint64_t kNumber = 5 << 1 | 1;
constexpr uint64_t kRetry = 256 << 2 | 2;
constexpr uint64_t kReserved = 257 << 2 | 2;
constexpr uint64_t kSibling = 2 << 2 | 2;

// Nodes of xarrays, each in a page of its own: slots first, then the shift.
class Scene {
 public:
  explicit Scene(uint32_t slots = 64) : btf_(Layout(slots)), slots_(slots) {}

  // The entry that leads to a new node.
  uint64_t Node(uint64_t shift, const Slots& slots) {
    next_ += 0x1000;
    kernel_.memory().AddZeroPage(PhysAddr(next_));
    for (const auto& [slot, entry] : slots) SetSlot(next_ + 2, slot, entry);
    kernel_.WriteU64(KernelVa(next_ + slots_ * 8), shift);
    return next_ + 2;
  }
  void SetSlot(uint64_t node, uint64_t slot, uint64_t entry) {
    kernel_.WriteU64(KernelVa(node - 2 + slot * 8), entry);
  }
  void Lose(uint64_t node) { kernel_.memory().SetPageState(PhysAddr(node - 2), ByteState::kLost); }

  Result<uint64_t> At(uint64_t head, uint64_t index) {
    return ReadXarrayEntry(kernel_, btf_, head, index);
  }
  Status Walk(uint64_t head, uint64_t last = UINT64_MAX) {
    entries.clear();
    return WalkXarray(kernel_, btf_, head, last, budget, [this](uint64_t index, uint64_t entry) {
      entries.emplace_back(index, entry);
    });
  }

  Entries entries;
  XarrayBudget budget{1000, 10000};

 private:
  static Btf Layout(uint32_t slots) {
    BtfBuilder b;
    const uint32_t u64 = b.Int("u64", 8);
    b.Struct("xa_node", 65 * 8,
             {{"slots", b.Array(b.Pointer(u64), slots), 0}, {"shift", u64, slots * 64}});
    return Btf::Parse(b.Build(), {}, "BTF").value();
  }

  FakeKernel kernel_;
  Btf btf_;
  uint64_t slots_;
  uint64_t next_ = 0xffff888000100000;
};

TEST_CASE("an xarray without nodes has its entry 0, or nothing") {
  Scene s;
  CHECK(s.At(kOne, 0) == kOne);
  CHECK(s.At(kOne, 1) == 0);
  CHECK(s.At(0, 0) == 0);
  CHECK(s.Walk(kOne));
  CHECK(s.entries == Entries{{0, kOne}});
  CHECK(s.Walk(0));
  CHECK(s.entries.empty());
}

TEST_CASE("entries are found by index, and walked in its order") {
  Scene s;
  const uint64_t low = s.Node(0, {{1, kOne}, {63, kTwo}});
  const uint64_t high = s.Node(0, {{0, kNumber}, {2, kOne | 1}});
  const uint64_t head = s.Node(6, {{0, low}, {63, high}});
  CHECK(s.At(head, 1) == kOne);
  CHECK(s.At(head, 63) == kTwo);
  CHECK(s.At(head, 63 * 64) == kNumber);
  CHECK(s.At(head, 63 * 64 + 2) == (kOne | 1));
  // An empty slot, a slot of the node above, the last index there is room for and the one behind.
  for (const uint64_t index : {0U, 64U, 4095U, 4096U}) CHECK(s.At(head, index) == 0);
  CHECK(s.Walk(head));
  CHECK(s.entries == Entries{{1, kOne}, {63, kTwo}, {4032, kNumber}, {4034, kOne | 1}});
  CHECK(s.budget.nodes == 1000 - 3);
  CHECK(s.budget.entries == 10000 - 4);
}

TEST_CASE("a walk ends with the last index that is asked for") {
  Scene s;
  const uint64_t head =
      s.Node(6, {{0, s.Node(0, {{62, kOne}, {63, kTwo}})}, {1, s.Node(0, {{0, kOne}})}});
  CHECK(s.Walk(head, 62));
  CHECK(s.entries == Entries{{62, kOne}});
  CHECK(s.budget.nodes == 1000 - 2);
  CHECK(s.Walk(head, 63));
  CHECK(s.entries == Entries{{62, kOne}, {63, kTwo}});
  CHECK(s.Walk(head, 64));
  CHECK(s.entries.size() == 3);
}

TEST_CASE("indices of 64 bits: the node at the top has slots that none leads to") {
  Scene s;
  uint64_t entry = s.Node(0, {{63, kTwo}});
  for (uint64_t shift = 6; shift <= 54; shift += 6) entry = s.Node(shift, {{63, entry}});
  const uint64_t head = s.Node(60, {{15, entry}, {16, entry}, {63, entry}});
  CHECK(s.At(head, UINT64_MAX) == kTwo);
  CHECK(s.At(head, UINT64_MAX - 1) == 0);
  CHECK(s.Walk(head));
  CHECK(s.entries == Entries{{UINT64_MAX, kTwo}});
}

TEST_CASE("nodes of a kernel that was built to be small have 16 slots") {
  Scene s(16);
  const uint64_t head = s.Node(4, {{15, s.Node(0, {{15, kOne}})}});
  CHECK(s.At(head, 255) == kOne);
  CHECK(s.At(head, 256) == 0);
  CHECK(s.Walk(head));
  CHECK(s.entries == Entries{{255, kOne}});
  CHECK_FALSE(s.At(s.Node(6, {}), 0));
  Scene other(32);
  CHECK(other.At(other.Node(0, {}), 0).error().code == ErrorCode::kUnsupported);
}

TEST_CASE("a reserved slot is empty, other marks of the array are damage") {
  Scene s;
  CHECK(s.At(kReserved, 0) == 0);
  CHECK(s.At(kRetry, 0).error().code == ErrorCode::kMalformed);
  const uint64_t head = s.Node(0, {{1, kReserved}, {2, kOne}, {3, kSibling}, {4, kRetry}});
  CHECK(s.At(head, 1) == 0);
  CHECK(s.At(head, 3).error().message == "xarray entry 0x3: 0xa is a mark of the array's own");
  CHECK(s.At(head, 4).error().message == "xarray entry 0x4: 0x402 is a mark of the array's own");
  const Status walked = s.Walk(head);
  REQUIRE_FALSE(walked);
  CHECK(walked.error().message == s.At(head, 3).error().message);
  CHECK(s.entries == Entries{{2, kOne}});
}

TEST_CASE("a node that does not have the shift of its place is damage, the others are walked") {
  // As deep as its parent, one bit beside, deeper by a level, no step of an index, wide values.
  for (const uint64_t shift :
       {uint64_t{12}, uint64_t{5}, uint64_t{7}, uint64_t{0}, uint64_t{64}, UINT64_MAX - 5}) {
    CAPTURE(shift);
    Scene s;
    const uint64_t bad = s.Node(shift, {{0, s.Node(0, {{1, kOne}})}});
    const uint64_t good = s.Node(6, {{0, s.Node(0, {{1, kTwo}})}});
    const uint64_t head = s.Node(12, {{0, bad}, {1, good}});
    CHECK(s.At(head, 1).error().code == ErrorCode::kMalformed);
    CHECK(s.At(head, 4097) == kTwo);
    CHECK(s.Walk(head).error().code == ErrorCode::kMalformed);
    CHECK(s.entries == Entries{{4097, kTwo}});
  }
  // Below the last level; at the top.
  Scene s;
  const uint64_t below = s.Node(UINT64_MAX - 5, {{0, kOne}});
  CHECK_FALSE(s.At(s.Node(0, {{0, below}}), 0));
  for (const uint64_t shift : {uint64_t{3}, uint64_t{64}, uint64_t{66}, UINT64_MAX - 3}) {
    CAPTURE(shift);
    CHECK(s.At(s.Node(shift, {{0, kOne}}), 0).error().code == ErrorCode::kMalformed);
  }
}

TEST_CASE("nodes that lead back to themselves or to each other end") {
  Scene s;
  const uint64_t own = s.Node(6, {});
  s.SetSlot(own, 0, own);
  CHECK(s.At(own, 0).error().code == ErrorCode::kMalformed);
  CHECK(s.Walk(own).error().code == ErrorCode::kMalformed);
  const uint64_t a = s.Node(6, {});
  const uint64_t b = s.Node(0, {{0, a}, {1, kOne}});
  s.SetSlot(a, 0, b);
  CHECK(s.At(a, 0).error().code == ErrorCode::kMalformed);
  CHECK(s.Walk(a).error().code == ErrorCode::kMalformed);
  CHECK(s.entries == Entries{{1, kOne}});
}

TEST_CASE("a node that is not in the dump hides its entries only") {
  Scene s;
  const uint64_t lost = s.Node(0, {{1, kOne}});
  s.Lose(lost);
  const uint64_t head = s.Node(6, {{0, lost}, {1, s.Node(0, {{1, kTwo}})}});
  CHECK(s.At(head, 1).error().code == ErrorCode::kUnknown);
  CHECK(s.At(head, 65) == kTwo);
  CHECK(s.Walk(head).error().code == ErrorCode::kUnknown);
  CHECK(s.entries == Entries{{65, kTwo}});
}

TEST_CASE("walks share a budget of nodes and entries: below it, at it and above") {
  const auto walk = [](size_t nodes, size_t entries) {
    Scene s;
    const uint64_t head = s.Node(6, {{0, s.Node(0, {{1, kOne}, {2, kOne}})}});
    s.budget = {nodes + 2, entries + 2};
    REQUIRE(s.Walk(head));
    const Status second = s.Walk(head);
    return std::pair(second ? std::string() : second.error().message, s.entries.size());
  };
  const std::string limit = "more nodes or entries of xarrays than are read";
  CHECK(walk(3, 3) == std::pair(std::string(), size_t{2}));
  CHECK(walk(2, 2) == std::pair(std::string(), size_t{2}));
  CHECK(walk(1, 2) == std::pair(limit, size_t{0}));
  CHECK(walk(2, 1) == std::pair(limit, size_t{1}));
}

}  // namespace
}  // namespace dmaudit
