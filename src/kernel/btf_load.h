// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the BTF of the kernel proper in a dump.
#ifndef DMAUDIT_KERNEL_BTF_LOAD_H_
#define DMAUDIT_KERNEL_BTF_LOAD_H_

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "kernel/btf.h"
#include "kernel/kernel_reader.h"
#include "kernel/symbols.h"

namespace dmaudit {

// The symbols around the blob, for whoever looks symbols up beforehand.
inline constexpr std::array<std::string_view, 4> kBtfBounds = {
    "__start_BTF", "__stop_BTF", "_binary__btf_vmlinux_bin_start", "_binary__btf_vmlinux_bin_end"};

// Distribution kernels carry 4 to 10 MB.
inline constexpr uint64_t kMaxBtf = uint64_t{32} << 20;

// kNotFound when there is none of the symbols (the kernel was built without BTF, or without
// KALLSYMS_ALL).
Result<Btf> LoadBtf(const SymbolTable& symbols, KernelReader& reader,
                    std::span<const std::string_view> wanted);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_BTF_LOAD_H_
