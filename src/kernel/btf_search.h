// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the BTF of the kernel proper by its header where no symbol names its bounds.
#ifndef DMAUDIT_KERNEL_BTF_SEARCH_H_
#define DMAUDIT_KERNEL_BTF_SEARCH_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "kernel/btf.h"
#include "kernel/kernel_image.h"

namespace dmaudit {

struct BtfCandidate {
  KernelVa start;
  uint64_t size = 0;  // of header and sections
};

struct BtfCandidates {
  std::vector<BtfCandidate> found;  // the largest first
  std::string limit;                // the budget that ran out, or empty
};

// Blobs whose header fits: version 1, a known header length, sections that begin with the types,
// follow each other and lie inside known memory, and strings that name what only the kernel proper
// defines. Types of modules and programs lack those: they build on the kernel's.
BtfCandidates FindBtfHeaders(const ImageBytes& image);

// The largest blob that defines the kernel's own structures, read again as evidence. kNotFound when
// there is none; the error names what was nearest.
Result<Btf> SearchBtf(KernelImage& image, std::span<const std::string_view> wanted);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_BTF_SEARCH_H_
