// SPDX-License-Identifier: GPL-2.0-or-later
// Where a kernel's symbols and types come from: the ways that are open, in their order.
#ifndef DMAUDIT_KERNEL_LOAD_LAYOUTS_H_
#define DMAUDIT_KERNEL_LOAD_LAYOUTS_H_

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/diagnostics.h"
#include "kernel/kernel_image.h"
#include "kernel/roads.h"
#include "kernel/symbols.h"
#include "kernel/types.h"
#include "kernel/vmlinux.h"

namespace dmaudit {

// Every symbol and structure that discovery asks for, so that each table is gone through once.
std::vector<std::string_view> WantedSymbols();
std::span<const std::string_view> WantedStructures();

// Symbols and types out of a vmlinux that the user gives, else out of the dump, else out of a
// vmlinux at the usual places. Where none is found the result is empty, says why, and the audit is
// not complete.
SymbolTable LoadSymbols(KernelImage& image, Vmlinux& vmlinux, const Roads& roads,
                        DiagnosticSink& sink);
std::unique_ptr<const TypeSource> LoadTypes(const SymbolTable& symbols, KernelImage& image,
                                            Vmlinux& vmlinux, const Roads& roads,
                                            DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_LOAD_LAYOUTS_H_
