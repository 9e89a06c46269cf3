// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the kallsyms tables in the kernel image where VMCOREINFO does not locate them (kernels
// before 6.0).
#ifndef DMAUDIT_KERNEL_KALLSYMS_SEARCH_H_
#define DMAUDIT_KERNEL_KALLSYMS_SEARCH_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "kernel/kallsyms_decode.h"
#include "kernel/kernel_image.h"
#include "kernel/symbols.h"

namespace dmaudit {

// Tables that prove each other: tokens by their index, markers and names by a walk over all names.
struct KallsymsCandidate {
  KernelVa num_syms;
  KernelVa names;
  KernelVa markers;
  KernelVa token_table;
  KernelVa token_index;
  uint32_t count = 0;         // of symbols
  uint64_t marker_bytes = 0;  // size of all markers
  LengthForm lengths = LengthForm::kUleb128;
};

struct KallsymsCandidates {
  std::vector<KallsymsCandidate> found;
  // Which tables were found and what did not follow from them; empty when not even tokens were.
  std::string nearest;
  // The budget that ran out, or empty: there may be more.
  std::string limit;
};

// By structure alone; what the addresses mean is not looked at.
KallsymsCandidates FindKallsymsTables(const ImageBytes& image);

// Finds the tables and the encoding in which the anchors of VMCOREINFO agree (kKallsymsAnchors),
// and looks up the wanted names. Searching is no evidence; the tables found are then read again as
// evidence, the markers that find them included. kNotFound when nothing fits, kMalformed when more
// than one thing does: nothing is guessed.
Result<SymbolTable> SearchKallsyms(KernelImage& image, std::span<const std::string_view> wanted);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_KALLSYMS_SEARCH_H_
