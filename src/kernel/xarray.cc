// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/xarray.h"

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "kernel/type_view.h"

namespace dmaudit {
namespace {

// Entries with the low bits 10 are the array's own (xa_is_internal): a node, or below
// kFirstNode a mark.
constexpr uint64_t kTagMask = 3;
constexpr uint64_t kInternal = 2;
constexpr uint64_t kFirstNode = 4096;
// XA_ZERO_ENTRY: a slot that is reserved for an entry to come.
constexpr uint64_t kReserved = (257 << 2) | kInternal;

bool IsInternal(uint64_t entry) { return (entry & kTagMask) == kInternal; }
bool IsNode(uint64_t entry) { return IsInternal(entry) && entry >= kFirstNode; }

// What is at a place that has no node: an entry, or 0.
Result<uint64_t> EntryOf(uint64_t value, uint64_t index) {
  if (value == kReserved) return uint64_t{0};
  if (IsInternal(value)) {
    return Fail(ErrorCode::kMalformed, "xarray entry {:#x}: {:#x} is a mark of the array's own",
                index, value);
  }
  return value;
}

struct Node {
  uint64_t shift;
  uint64_t bits;  // of an index, that this node tells: it has as many slots
  KernelVa slots;

  uint64_t size() const { return uint64_t{1} << bits; }
};

// `above` is the node that leads there.
Result<Node> ReadNode(KernelReader& reader, const TypeSource& types, uint64_t entry,
                      const std::optional<Node>& above) {
  const StructView view(reader, types, KernelVa(entry - kInternal), "xa_node");
  const Result<MemberLayout> layout = types.Member("xa_node", "slots");
  if (!layout) return tl::unexpected<Error>(layout.error());
  // XA_CHUNK_SIZE: 16 where the kernel was built to be small (CONFIG_BASE_SMALL).
  if (layout->elements != 64 && layout->elements != 16) {
    return Fail(ErrorCode::kUnsupported, "xa_node.slots: {} of them, expected 64 or 16",
                layout->elements);
  }
  const uint64_t bits = layout->elements == 64 ? 6 : 4;
  const Result<KernelVa> slots = view.AddressOf("slots");
  if (!slots) return tl::unexpected<Error>(slots.error());
  const Result<uint64_t> shift = view.Integer("shift");
  if (!shift) return tl::unexpected<Error>(shift.error());
  const bool fits = above ? *shift + bits == above->shift : *shift % bits == 0;
  if (*shift >= 64 || !fits) {
    return Fail(ErrorCode::kMalformed, "{}: {} does not fit {}", view.Place("shift"), *shift,
                above ? "the node above" : "an index");
  }
  return Node{*shift, bits, *slots};
}

}  // namespace

Result<uint64_t> ReadXarrayEntry(KernelReader& reader, const TypeSource& types, uint64_t head,
                                 uint64_t index) {
  uint64_t value = head;
  uint64_t rest = index;
  std::optional<Node> above;
  while (IsNode(value)) {
    const Result<Node> node = ReadNode(reader, types, value, above);
    if (!node) return tl::unexpected<Error>(node.error());
    const uint64_t slot = rest >> node->shift;
    // Only the node at the top can be too small for an index.
    if (slot >= node->size()) return uint64_t{0};
    rest -= slot << node->shift;
    const Result<uint64_t> next = reader.ReadU64(KernelVa(node->slots.value() + slot * 8));
    if (!next) return tl::unexpected<Error>(next.error());
    value = *next;
    above = *node;
  }
  // An array without nodes has at most its entry 0.
  if (!above && index != 0) return uint64_t{0};
  return EntryOf(value, index);
}

Status WalkXarray(KernelReader& reader, const TypeSource& types, uint64_t head, uint64_t last,
                  XarrayBudget& budget,
                  const std::function<void(uint64_t index, uint64_t entry)>& visit) {
  struct Branch {
    uint64_t value;
    uint64_t index;  // the lowest one there
    std::optional<Node> above;
  };
  Status outcome;
  const auto damaged = [&outcome](const Error& error) {
    if (outcome) outcome = tl::unexpected<Error>(error);
  };
  const auto limit = [] {
    return Fail(ErrorCode::kLimit, "more nodes or entries of xarrays than are read");
  };
  // One node's slots for each level at most.
  std::vector<Branch> rest = {{head, 0, std::nullopt}};
  while (!rest.empty()) {
    const Branch branch = rest.back();
    rest.pop_back();
    if (!IsNode(branch.value)) {
      const Result<uint64_t> entry = EntryOf(branch.value, branch.index);
      if (!entry) damaged(entry.error());
      if (!entry || *entry == 0) continue;
      if (budget.entries == 0) return limit();
      --budget.entries;
      visit(branch.index, *entry);
      continue;
    }
    if (budget.nodes == 0) return limit();
    --budget.nodes;
    const Result<Node> node = ReadNode(reader, types, branch.value, branch.above);
    if (!node) {
      damaged(node.error());
      continue;
    }
    std::vector<std::byte> slots(node->size() * 8);
    if (const Status read = reader.Read(node->slots, slots); !read) {
      damaged(read.error());
      continue;
    }
    for (uint64_t slot = node->size(); slot-- != 0;) {
      const uint64_t value = LoadUnchecked<uint64_t>(slots, slot * 8);
      if (value == 0 || slot > (last - branch.index) >> node->shift) continue;
      rest.push_back({value, branch.index + (slot << node->shift), *node});
    }
  }
  return outcome;
}

}  // namespace dmaudit
