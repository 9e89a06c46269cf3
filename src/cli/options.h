// SPDX-License-Identifier: GPL-2.0-or-later
// Command-line options that several subcommands share.
#ifndef DMAUDIT_CLI_OPTIONS_H_
#define DMAUDIT_CLI_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/audit.h"
#include "base/address.h"
#include "base/result.h"
#include "vmcore/io/spool.h"
#include "vmcore/write/kdump_writer.h"

namespace dmaudit::cli {

// What a process says by its exit status.
enum ExitStatus : int {
  kExitClean = 0,       // no finding at or above --fail-on, and complete
  kExitFindings = 1,    // a finding at or above --fail-on
  kExitCannotRun = 2,   // the request or the dump could not be used
  kExitIncomplete = 3,  // no such finding, but not everything was seen
};

enum class FailOn : uint8_t { kCritical, kWarning, kNever };
enum class ColourMode : uint8_t { kAuto, kAlways, kNever };

struct Options {
  std::vector<std::string> paths;  // "-" is standard input
  SpoolOptions spool;
  OpenOptions open;
  AuditOptions audit;
  FailOn fail_on = FailOn::kCritical;
  ColourMode colour = ColourMode::kAuto;
  std::string output;  // empty: standard output
  std::string format;
  bool crc32 = false;            // pages
  std::optional<unsigned> jobs;  // threads; as many as there are processors when not given
  PhysAddr address;              // read
  uint64_t length = 0;           // read; not 0, and inside the address space
  KdumpOptions kdump;            // convert; threads are in `jobs`
  std::optional<std::string> capture_command_line;  // inherit
  bool quiet = false;
  bool verbose = false;
  bool help = false;
};

// What a subcommand accepts.
struct CommandSyntax {
  std::string_view name;
  std::string_view operands;         // "VMCORE"
  std::string_view summary;          // one sentence
  std::vector<std::string> formats;  // the first is the default; empty: no --format
  bool audit_options = true;         // --crashkernel, -s
  bool discovery_options = true;     // --unit, --root, --roads, --which, --vmlinux, ...
  bool which_option = false;         // of these only --which
  bool brief = false;                // a text report: --color, and -q leaves the first two lines
  bool output_required = false;
  bool crc32_option = false;      // --crc32, -j
  bool codec_option = false;      // --codec, -j
  bool capture_option = false;    // --capture-cmdline
  bool address_operands = false;  // PA [LEN] behind the paths
};

// Parses everything after the subcommand's name. Option names are never guessed from a prefix. An
// error (kUsage) is one line.
Result<Options> ParseOptions(const CommandSyntax& syntax,
                             const std::vector<std::string>& arguments);

// The text of `dmaudit COMMAND --help`.
std::string HelpText(const CommandSyntax& syntax);

// Bytes, or with one of the suffixes K, M, G, T (powers of 1024).
Result<uint64_t> ParseSize(std::string_view text);

// START-END in hexadecimal (0x optional), END included, as in /proc/iomem.
Result<PhysRange> ParsePhysRange(std::string_view text);

}  // namespace dmaudit::cli

#endif  // DMAUDIT_CLI_OPTIONS_H_
