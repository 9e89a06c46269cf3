// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/pasid_domains.h"

#include <optional>

namespace dmaudit {
namespace {

// A PASID has 20 bits.
constexpr uint64_t kLastPasid = (uint64_t{1} << 20) - 1;
constexpr uint64_t kTagMask = 3;
// 6.15 and later mark an entry that is a handle; unmarked ones are domains.
constexpr uint64_t kHandle = 1;

bool IsPointer(uint64_t value) { return value >> 63 != 0 && value % 8 == 0; }

}  // namespace

std::map<uint32_t, DomainType> PasidDomains::Read(const StructView& group) {
  std::map<uint32_t, DomainType> types;
  if (!group.Has("pasid_array.xa_head")) return types;
  const Result<uint64_t> head = group.Integer("pasid_array.xa_head");
  if (!head) return types;
  const Status walked = WalkXarray(kernel_.reader, kernel_.types, *head, kLastPasid, left_,
                                   [&](uint64_t pasid, uint64_t entry) {
                                     if (const auto type = TypeOfEntry(entry))
                                       types.emplace(static_cast<uint32_t>(pasid), *type);
                                   });
  if (!walked && !told_) {
    ReportFailure(kernel_.sink, Effect::kNote, "domains of PASIDs", walked.error());
    told_ = true;
  }
  return types;
}

std::optional<DomainType> PasidDomains::TypeOfEntry(uint64_t entry) const {
  const uint64_t pointer = entry & ~kTagMask;
  if (!IsPointer(pointer)) return std::nullopt;
  if ((entry & kTagMask) == kHandle) return TypeBehindHandle(pointer);
  if ((entry & kTagMask) != 0) return std::nullopt;
  return TypeOfUnmarked(pointer);
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
