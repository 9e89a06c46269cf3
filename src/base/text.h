// SPDX-License-Identifier: GPL-2.0-or-later
// Text out of a dump, made safe for a terminal or a line-based format.
#ifndef DMAUDIT_BASE_TEXT_H_
#define DMAUDIT_BASE_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dmaudit {

// Printable ASCII and well-formed UTF-8 stay; control characters (C0, DEL, C1), malformed bytes and
// the bidirectional controls become \xNN, so no text of a dump can move a cursor or forge a line.
std::string EscapeForTerminal(std::string_view text);

// Bytes as people read them: "4 KiB", "1.5 MiB"; exact multiples without a fraction.
std::string HumanSize(uint64_t bytes);

// "1 device", "3 devices".
std::string Counted(uint64_t n, std::string_view noun);

// The first `limit` of them with `separator` between, then " and 3 more" where there are more.
std::string ListFirst(const std::vector<std::string>& items, size_t limit,
                      std::string_view separator);

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_TEXT_H_
