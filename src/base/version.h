// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef DMAUDIT_BASE_VERSION_H_
#define DMAUDIT_BASE_VERSION_H_

#include <string_view>

namespace dmaudit {

inline constexpr std::string_view kVersion =
    DMAUDIT_VERSION;  // set by the build, from CMakeLists.txt

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_VERSION_H_
