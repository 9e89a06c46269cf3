// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/pasid_domains.h"

#include <array>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace dmaudit {
namespace {

// XA_CHUNK_SIZE and XA_CHUNK_SHIFT of 64-bit kernels.
constexpr size_t kSlots = 64;
constexpr uint64_t kShift = 6;
// A PASID has 20 bits: the node at the top tells the highest two.
constexpr uint64_t kTopShift = 18;
// Entries with the low bits 10 are the xarray's own: a node, or below this a reserved entry.
constexpr uint64_t kTagMask = 3;
constexpr uint64_t kInternal = 2;
constexpr uint64_t kFirstNode = 4096;
// 6.15 and later mark an entry that is a handle; unmarked ones are domains.
constexpr uint64_t kHandle = 1;

bool IsPointer(uint64_t value) { return value >> 63 != 0 && value % 8 == 0; }

}  // namespace

std::map<uint32_t, DomainType> PasidDomains::Read(const StructView& group) {
  std::map<uint32_t, DomainType> types;
  if (!group.Has("pasid_array.xa_head")) return types;
  const Result<uint64_t> head = group.Integer("pasid_array.xa_head");
  if (!head) return types;
  struct Branch {
    uint64_t entry;
    uint64_t index;  // of its first PASID
    uint64_t above;  // shift of the node above
  };
  std::vector<Branch> rest = {{*head, 0, kTopShift + kShift}};
  const auto note = [&](const Error& error) {
    if (!told_) ReportFailure(kernel_.sink, Effect::kNote, "domains of PASIDs", error);
    told_ = true;
  };
  while (!rest.empty()) {
    const Branch branch = rest.back();
    rest.pop_back();
    if ((branch.entry & kTagMask) != kInternal) {
      if (branch.entry != 0) Add(branch.entry, branch.index, types);
      continue;
    }
    if (branch.entry < kFirstNode) continue;
    if (nodes_ == kMaxNodes || entries_ >= kMaxEntries) {
      note({ErrorCode::kLimit, "more of them than are read"});
      return types;
    }
    ++nodes_;
    const StructView node(kernel_.reader, kernel_.types, KernelVa(branch.entry - kInternal),
                          "xa_node");
    const Result<uint64_t> shift = node.Integer("shift");
    const Result<KernelVa> slots = node.AddressOf("slots");
    if (!shift || !slots) {
      note(shift ? slots.error() : shift.error());
      continue;
    }
    if (*shift % kShift != 0 || *shift >= branch.above) {
      note({ErrorCode::kMalformed, node.Place("shift") + " does not fit the node above"});
      continue;
    }
    std::array<std::byte, kSlots * 8> bytes{};
    if (const Status read = kernel_.reader.Read(*slots, bytes); !read) {
      note(read.error());
      continue;
    }
    for (size_t slot = 0; slot < kSlots; ++slot) {
      const uint64_t entry = LoadUnchecked<uint64_t>(bytes, slot * 8);
      if (entry != 0) rest.push_back({entry, branch.index + (slot << *shift), *shift});
    }
  }
  return types;
}

void PasidDomains::Add(uint64_t entry, uint64_t pasid, std::map<uint32_t, DomainType>& types) {
  if (pasid >> 20 != 0 || entries_ == kMaxEntries) return;
  ++entries_;
  const uint64_t pointer = entry & ~kTagMask;
  if (!IsPointer(pointer)) return;
  std::optional<DomainType> type;
  if ((entry & kTagMask) == kHandle) {
    type = TypeBehindHandle(pointer);
  } else if ((entry & kTagMask) == 0) {
    type = TypeOfUnmarked(pointer);
  }
  if (type) types.emplace(static_cast<uint32_t>(pasid), *type);
}

std::optional<DomainType> PasidDomains::TypeBehindHandle(uint64_t handle) const {
  const StructView view(kernel_.reader, kernel_.types, KernelVa(handle), "iommu_attach_handle");
  if (!view.Has("domain")) return std::nullopt;
  const Result<uint64_t> domain = view.Integer("domain");
  if (!domain || !IsPointer(*domain)) return std::nullopt;
  return TypeAt(*domain);
}

// 6.11 to 6.14 keep handles without a mark, everything else a domain. No member tells, but a handle
// begins with a pointer and a domain with its type: a word that is not known is neither.
std::optional<DomainType> PasidDomains::TypeOfUnmarked(uint64_t pointer) const {
  const StructView view(kernel_.reader, kernel_.types, KernelVa(pointer), "iommu_attach_handle");
  if (view.Has("domain")) {
    const Result<uint64_t> domain = view.Integer("domain");
    if (!domain) return std::nullopt;
    if (IsPointer(*domain)) return TypeAt(*domain);
  }
  return TypeAt(pointer);
}

std::optional<DomainType> PasidDomains::TypeAt(uint64_t domain) const {
  const StructView view(kernel_.reader, kernel_.types, KernelVa(domain), "iommu_domain");
  const Result<uint64_t> raw = view.Integer("type");
  if (!raw || DomainTypeOf(*raw) == DomainType::kOther) return std::nullopt;
  return DomainTypeOf(*raw);
}

}  // namespace dmaudit
