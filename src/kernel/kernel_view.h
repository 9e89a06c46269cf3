// SPDX-License-Identifier: GPL-2.0-or-later
// Everything discovery needs to look at one kernel: memory, symbols, layouts, log, and where bad
// news goes.
#ifndef DMAUDIT_KERNEL_KERNEL_VIEW_H_
#define DMAUDIT_KERNEL_KERNEL_VIEW_H_

#include <optional>

#include "base/diagnostics.h"
#include "kernel/kernel_reader.h"
#include "kernel/log_facts.h"
#include "kernel/resource_tree.h"
#include "kernel/symbols.h"
#include "kernel/types.h"

namespace dmaudit {

struct KernelView {
  KernelReader& reader;
  const SymbolTable& symbols;
  const TypeSource& types;
  const LogFacts& log;                       // empty when the log could not be read
  const std::optional<ResourceTree>& iomem;  // none when it could not be read at all
  DiagnosticSink& sink;
};

// Reports why something could not be read, under the id that fits the error: "kernel.no-symbol",
// "kernel.no-type", "kernel.unreadable", "kernel.damaged".
void ReportFailure(DiagnosticSink& sink, Effect effect, std::string_view context,
                   const Error& error);

// An `int` variable of the kernel. kNotFound when there is no such symbol.
Result<uint32_t> ReadIntVariable(const KernelView& kernel, std::string_view symbol);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_KERNEL_VIEW_H_
