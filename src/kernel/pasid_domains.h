// SPDX-License-Identifier: GPL-2.0-or-later
// Domains that an IOMMU group has for requests with a PASID (iommu_group.pasid_array, 6.3 and
// later): those of processes (SVA) among them.
#ifndef DMAUDIT_KERNEL_PASID_DOMAINS_H_
#define DMAUDIT_KERNEL_PASID_DOMAINS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "kernel/device_facts.h"
#include "kernel/kernel_view.h"
#include "kernel/type_view.h"
#include "kernel/xarray.h"

namespace dmaudit {

// Reads the groups of one kernel, with one budget for all of them.
class PasidDomains {
 public:
  // Nodes of xarrays and entries in them that are followed: a thousand of a machine's processes.
  static constexpr size_t kMaxNodes = 4096;
  static constexpr size_t kMaxEntries = 65536;

  // `kernel` outlives this.
  explicit PasidDomains(const KernelView& kernel) : kernel_(kernel) {}

  // By PASID. Missing: where the array cannot be read, or what an entry leads to cannot be told.
  // What is damaged is a note.
  std::map<uint32_t, DomainType> Read(const StructView& group);

 private:
  std::optional<DomainType> TypeOfEntry(uint64_t entry) const;
  std::optional<DomainType> TypeAt(uint64_t domain) const;
  std::optional<DomainType> TypeBehindHandle(uint64_t handle) const;
  std::optional<DomainType> TypeOfUnmarked(uint64_t pointer) const;

  const KernelView& kernel_;
  XarrayBudget left_{kMaxNodes, kMaxEntries};
  bool told_ = false;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_PASID_DOMAINS_H_
