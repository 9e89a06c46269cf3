// SPDX-License-Identifier: GPL-2.0-or-later
// Debug files from a server, through elfutils' client library where it is installed.
#ifndef DMAUDIT_KERNEL_DEBUGINFOD_H_
#define DMAUDIT_KERNEL_DEBUGINFOD_H_

#include <string>
#include <string_view>

#include "base/result.h"

namespace dmaudit {

// Asks the servers of $DEBUGINFOD_URLS for the debug file of a build id (hexadecimal) and gives the
// path of the copy in the client's cache. Only when the user wants it: it tells others which kernel
// crashed.
Result<std::string> AskDebuginfod(std::string_view build_id);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_DEBUGINFOD_H_
