// SPDX-License-Identifier: GPL-2.0-or-later
// Work on files that may be crafted, by libraries that may fall for it: in a process of its own.
#ifndef DMAUDIT_KERNEL_ISOLATED_H_
#define DMAUDIT_KERNEL_ISOLATED_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"

namespace dmaudit {

struct IsolationLimits {
  unsigned seconds = 20;                // of processor time, and of waiting
  uint64_t memory = uint64_t{3} << 29;  // address space: 1.5 GiB; the mapped file comes on top
  size_t answer = size_t{8} << 20;      // bytes of the answer
};

// Runs `work` in a forked child without standard streams and gives back the bytes it returns.
// Error: the child crashed, hung, ran out of a limit, or sent too much; the message says which. The
// caller is single-threaded.
Result<std::vector<std::byte>> RunIsolated(const std::function<std::vector<std::byte>()>& work,
                                           const IsolationLimits& limits = {});

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_ISOLATED_H_
