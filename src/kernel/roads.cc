// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/roads.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "base/text.h"

namespace dmaudit {
namespace {

struct Named {
  std::string_view name;
  std::string_view goal;
};
constexpr std::array<Named, kRoads> kNames = {{{"vmcoreinfo", "symbols"},
                                               {"signature", "symbols"},
                                               {"vmlinux", "symbols"},
                                               {"btf-symbols", "types"},
                                               {"btf-search", "types"},
                                               {"dwarf", "types"},
                                               {"kernel-list", "units"},
                                               {"log-search", "units"},
                                               {"user", "units"}}};

std::optional<size_t> IndexOf(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i].name == name) return i;
  }
  return std::nullopt;
}

}  // namespace

std::string_view ToString(Road road) { return kNames[static_cast<size_t>(road)].name; }

Result<Roads> Roads::Parse(std::string_view list) {
  std::bitset<kRoads> named, closed;
  std::string_view rest = list;
  for (;;) {
    const size_t comma = rest.find(',');
    const std::string_view word = rest.substr(0, comma);
    const bool closes = word.starts_with("no-");
    const std::optional<size_t> index = IndexOf(closes ? word.substr(3) : word);
    if (!index) {
      return Fail(ErrorCode::kUsage, "no such way: {} ({})", EscapeForTerminal(word),
                  DescribeRoads());
    }
    (closes ? closed : named).set(*index);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (named.any() && closed.any()) {
    return Fail(ErrorCode::kUsage, "names with and without no- are not mixed: {}",
                EscapeForTerminal(list));
  }
  Roads roads;
  for (size_t i = 0; i < kNames.size(); ++i) {
    bool goal_named = false;
    for (size_t j = 0; j < kNames.size(); ++j) {
      goal_named = goal_named || (named[j] && kNames[j].goal == kNames[i].goal);
    }
    roads.allowed_[i] = !closed[i] && (!goal_named || named[i]);
  }
  return roads;
}

std::string DescribeRoads() {
  std::string text;
  std::string_view goal;
  for (const Named& named : kNames) {
    if (named.goal == goal) {
      text += fmt::format(", {}", named.name);
    } else {
      text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", named.goal, named.name);
      goal = named.goal;
    }
  }
  return text;
}

}  // namespace dmaudit
