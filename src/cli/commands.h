// SPDX-License-Identifier: GPL-2.0-or-later
// The subcommands: each parses its own arguments, does its work and gives the exit status.
#ifndef DMAUDIT_CLI_COMMANDS_H_
#define DMAUDIT_CLI_COMMANDS_H_

#include <span>
#include <string>
#include <vector>

#include "cli/options.h"

namespace dmaudit::cli {

struct Command {
  CommandSyntax syntax;
  // The exit status; an error is "cannot run".
  Result<int> (*run)(const CommandSyntax& syntax, const Options& options);
};

// All subcommands; the first is the one that runs when none is named.
std::span<const Command> Commands();

Result<int> RunReport(const CommandSyntax& syntax, const Options& options);
Result<int> RunMappings(const CommandSyntax& syntax, const Options& options);
Result<int> RunInherit(const CommandSyntax& syntax, const Options& options);
Result<int> RunInfo(const CommandSyntax& syntax, const Options& options);
Result<int> RunPages(const CommandSyntax& syntax, const Options& options);
Result<int> RunRead(const CommandSyntax& syntax, const Options& options);
Result<int> RunConvert(const CommandSyntax& syntax, const Options& options);
Result<int> RunDistill(const CommandSyntax& syntax, const Options& options);

}  // namespace dmaudit::cli

#endif  // DMAUDIT_CLI_COMMANDS_H_
