// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/iommu_arguments.h"

#include <algorithm>
#include <utility>

namespace dmaudit {
namespace {

struct Argument {
  std::string name;  // '-' reads as '_', as the kernel compares names
  std::optional<std::string> value;
};

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\xa0'; }

// Takes the next argument off `line`: lib/cmdline.c next_arg(). Blanks inside double quotes do not
// end it, and quotes around it or around its value are no part of it.
std::optional<Argument> NextArgument(std::string_view& line) {
  while (!line.empty() && IsSpace(line.front())) line.remove_prefix(1);
  if (line.empty()) return std::nullopt;
  const bool quoted = line.front() == '"';
  if (quoted) line.remove_prefix(1);
  bool in_quotes = quoted;
  size_t equals = 0;
  size_t end = 0;
  for (; end < line.size(); ++end) {
    const char c = line[end];
    if (IsSpace(c) && !in_quotes) break;
    if (equals == 0 && c == '=') equals = end;
    if (c == '"') in_quotes = !in_quotes;
  }
  std::string_view text = line.substr(0, end);
  line.remove_prefix(end);
  if (quoted && text.ends_with('"')) text.remove_suffix(1);
  Argument argument;
  // A '=' in the first place starts no value.
  argument.name = text.substr(0, equals == 0 ? text.size() : std::min(equals, text.size()));
  std::replace(argument.name.begin(), argument.name.end(), '-', '_');
  if (equals != 0 && equals < text.size()) {
    std::string_view value = text.substr(equals + 1);
    if (value.starts_with('"')) {
      value.remove_prefix(1);
      if (value.ends_with('"')) value.remove_suffix(1);
    }
    argument.value = std::string(value);
  }
  return argument;
}

// The words of a list with commas, empty ones left out.
std::vector<std::string_view> Words(std::string_view list) {
  std::vector<std::string_view> words;
  while (!list.empty()) {
    const std::string_view word = list.substr(0, list.find(','));
    list.remove_prefix(std::min(word.size() + 1, list.size()));
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

// The kernel compares prefixes: "online" is "on".

void IntelIommu(std::string_view list, IommuArguments& out) {
  for (const std::string_view word : Words(list)) {
    if (word.starts_with("on")) {
      out.driver = true;
    } else if (word.starts_with("off")) {
      out.driver = false;
    } else if (word.starts_with("igfx_off")) {
      out.no_graphics = true;
    } else if (word.starts_with("sm_on")) {
      out.scalable = true;
    } else if (word.starts_with("sm_off")) {
      out.scalable = false;
    }
  }
}

void Iommu(std::string_view list, IommuArguments& out) {
  for (const std::string_view word : Words(list)) {
    if (word.starts_with("off")) out.all_off = true;
    if (word.starts_with("pt")) out.passthrough = true;
    if (word.starts_with("nopt")) out.passthrough = false;
  }
}

void Intremap(std::string_view list, IommuArguments& out) {
  for (const std::string_view word : Words(list)) {
    if (word.starts_with("on")) {
      out.interrupts = true;
    } else if (word.starts_with("off")) {
      out.interrupts = false;
    } else if (word.starts_with("no_x2apic_optout")) {
      out.no_x2apic_opt_out = true;
    }
  }
}

// kstrtobool(): by the first letter, "on" and "off" by the second.
std::optional<bool> Boolean(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const char first = static_cast<char>(text[0] | 0x20);
  if (first == 'y' || first == 't' || text[0] == '1') return true;
  if (first == 'n' || first == 'f' || text[0] == '0') return false;
  if (first != 'o' || text.size() < 2) return std::nullopt;
  const char second = static_cast<char>(text[1] | 0x20);
  if (second == 'n') return true;
  if (second == 'f') return false;
  return std::nullopt;
}

void Acpi(std::string_view value, IommuArguments& out) {
  if (value == "off") out.no_acpi = true;
  if (value == "force") out.no_acpi = false;
}

void Take(const Argument& argument, IommuArguments& out) {
  const std::string& name = argument.name;
  const std::string_view value = argument.value ? std::string_view(*argument.value) : "";
  if (name == "intel_iommu") {
    IntelIommu(value, out);
  } else if (name == "iommu") {
    Iommu(value, out);
  } else if (name == "iommu.passthrough") {
    if (const std::optional<bool> given = Boolean(value)) out.passthrough = given;
  } else if (name == "intremap") {
    Intremap(value, out);
  } else if (name == "nointremap") {
    out.interrupts = false;
  } else if (name == "nox2apic") {
    out.no_x2apic = true;
  } else if (name == "acpi") {
    Acpi(value, out);
  } else if (name == "noapic") {
    out.no_io_apic = true;
  } else if (name == "elfcorehdr") {
    out.old_memory = true;
  } else if (name == "nolapic" || name == "disableapic" || name == "apic" || name == "nosmp") {
    out.unclear_interrupts.push_back(name);
  } else if (name == "module_blacklist" || name == "modprobe.blacklist" ||
             name == "rd.driver.blacklist") {
    for (const std::string_view word : Words(value)) {
      std::string& module = out.blocked_modules.emplace_back(word);
      std::replace(module.begin(), module.end(), '-', '_');
    }
  }
}

}  // namespace

IommuArguments ParseIommuArguments(std::string_view command_line) {
  IommuArguments out;
  out.cut = command_line.size() >= kMaxKernelCommandLine;
  std::string_view rest = command_line.substr(0, kMaxKernelCommandLine - 1);
  while (const std::optional<Argument> argument = NextArgument(rest)) {
    // What follows is for init.
    if (argument->name == "__" && !argument->value) break;
    Take(*argument, out);
  }
  return out;
}

}  // namespace dmaudit
