// SPDX-License-Identifier: GPL-2.0-or-later
// Values of the options that say how the machine is discovered.
#ifndef DMAUDIT_CLI_DISCOVERY_ARGUMENTS_H_
#define DMAUDIT_CLI_DISCOVERY_ARGUMENTS_H_

#include <string_view>

#include "base/result.h"
#include "kernel/discovery_options.h"

namespace dmaudit::cli {

// "NAME,SEG,CAP,ECAP,RTADDR", numbers in hexadecimal (0x optional).
Result<UserUnit> ParseUserUnit(std::string_view text);

// "PA[,legacy|scalable]", PA in hexadecimal and a multiple of 4096.
Result<UserRoot> ParseUserRoot(std::string_view text);

// "crashed", "capture", or the physical address of a VMCOREINFO text in hexadecimal.
Result<WhichKernel> ParseWhichKernel(std::string_view text);

}  // namespace dmaudit::cli

#endif  // DMAUDIT_CLI_DISCOVERY_ARGUMENTS_H_
