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
        .formats = {"text", "json"},
        .brief = true},
       RunReport},
      {{.name = "mappings",
        .operands = "VMCORE...",
        .summary = "List every live IOVA range of every device. Exit status 3 when something could "
                   "hide rows: NDJSON and CSV themselves do not say it.",
        .formats = {"text", "ndjson", "csv"}},
       RunMappings},
      {{.name = "inherit",
        .operands = "VMCORE...",
        .summary = "Predict what a capture kernel does with the DMA tables that it finds in use, "
                   "and what becomes of each device's DMA. Exit status 3 when more than one "
                   "outcome is possible or not everything was seen.",
        .formats = {"text", "json"},
        .brief = true,
        .capture_option = true},
       RunInherit},
      {{.name = "info",
        .operands = "VMCORE...",
        .summary = "Describe the dump: container, page states, kernel, where its symbols and types "
                   "come from.",
        .formats = {"text", "json"},
        .audit_options = false},
       RunInfo},
      {{.name = "pages",
        .operands = "VMCORE...",
        .summary = "List which memory is in the dump and what is known of the rest; with --crc32 "
                   "decode every page and list its state and checksum.",
        .formats = {"text", "ndjson"},
        .audit_options = false,
        .discovery_options = false,
        .crc32_option = true},
       RunPages},
      {{.name = "read",
        .operands = "VMCORE... PA [LEN]",
        .summary = "Show LEN bytes of physical memory from PA on as a hex dump; what is unknown is "
                   "shown as its state. PA is hexadecimal, LEN decimal or 0x... (default 256, at "
                   "most 16 MiB). Exit status 3 when any of it is unknown.",
        .formats = {},
        .audit_options = false,
        .discovery_options = false,
        .address_operands = true},
       RunRead},
      {{.name = "convert",
        .operands = "VMCORE...",
        .summary =
            "Write the whole dump as one kdump-compressed or ELF file: not flattened, in one "
            "part, every page with the bytes or the state that it has.",
        .formats = {"kdump", "elf"},
        .audit_options = false,
        .discovery_options = false,
        .which_option = true,
        .output_required = true,
        .codec_option = true},
       RunConvert},
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
