// SPDX-License-Identifier: GPL-2.0-or-later
// Telling a whole identity domain from identity ranges inside a translating one.
#ifndef DMAUDIT_AUDIT_IDENTITY_H_
#define DMAUDIT_AUDIT_IDENTITY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "dmar/translation.h"

namespace dmaudit {

// RAM as whole 4 KiB pages above 1 MiB, ascending and merged: firmware keeps pieces below 1 MiB,
// and the kernel's own identity domain leaves them out too.
std::vector<PhysRange> WholeRamPages(const std::vector<PhysRange>& system_ram);

// Adds up how much of the RAM a stream of ascending live ranges maps at its own address, for
// reading and writing.
class IdentityCover {
 public:
  // `ram` as WholeRamPages gives it; outlives this.
  explicit IdentityCover(const std::vector<PhysRange>& ram) : ram_(ram) {}

  void Add(const LiveRange& range);
  // All RAM is covered; false when there is no RAM known.
  bool whole() const { return total() != 0 && covered_ == total(); }

 private:
  uint64_t total() const;

  const std::vector<PhysRange>& ram_;
  size_t next_ = 0;
  uint64_t covered_ = 0;
};

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_IDENTITY_H_
