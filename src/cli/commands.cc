// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/commands.h"

namespace dmaudit::cli {

std::span<const Command> Commands() {
  static const std::vector<Command> commands = {
      {{.name = "report",
        .operands = "VMCORE...",
        .summary =
            "Say which device could DMA where at the crash, and whether any of it reaches the "
            "crash kernel.",
        .formats = {"text", "json"}},
       RunReport},
      {{.name = "mappings",
        .operands = "VMCORE...",
        .summary = "List every live IOVA range of every device.",
        .formats = {"text", "ndjson", "csv"}},
       RunMappings},
      {{.name = "info",
        .operands = "VMCORE...",
        .summary = "Describe the dump: container, page states, kernel, where its symbols and types "
                   "come from.",
        .formats = {"text", "json"},
        .audit_options = false},
       RunInfo},
      {{.name = "distill",
        .operands = "VMCORE...",
        .summary = "Write a small vmcore that holds what the audit rests on and nothing else.",
        .formats = {},
        .audit_options = false,
        .output_required = true},
       RunDistill},
  };
  return commands;
}

}  // namespace dmaudit::cli
