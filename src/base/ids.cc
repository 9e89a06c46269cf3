// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/ids.h"

#include <fmt/format.h>

#include <cstddef>
#include <vector>

#include "base/number.h"

namespace dmaudit {

std::string ToString(const Bdf& bdf) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", bdf.segment, bdf.bus, bdf.device(),
                     bdf.function());
}

bool BdfFilter::Matches(const Bdf& bdf) const {
  return (!segment || *segment == bdf.segment) && (!bus || *bus == bdf.bus) &&
         (!device || *device == bdf.device()) && (!function || *function == bdf.function());
}

std::string ToString(const BdfFilter& filter) {
  const auto part = [](const auto& value, int width) {
    return value ? fmt::format("{:0{}x}", *value, width) : std::string("*");
  };
  std::string text;
  if (filter.segment) text = part(filter.segment, 4) + ":";
  if (filter.segment || filter.bus) text += part(filter.bus, 2) + ":";
  return text + part(filter.device, 2) + "." + part(filter.function, 1);
}

namespace {

// One part of a filter: empty or "*" is any value.
template <typename T>
bool ParsePart(std::string_view text, uint64_t max, std::optional<T>& out) {
  if (text.empty() || text == "*") return true;
  const std::optional<uint64_t> value = ParseHex(text);
  if (!value || *value > max) return false;
  out = static_cast<T>(*value);
  return true;
}

}  // namespace

std::optional<BdfFilter> ParseBdfFilter(std::string_view text) {
  if (text.empty()) return std::nullopt;
  BdfFilter filter;
  std::vector<std::string_view> parts;
  for (size_t start = 0;;) {
    const size_t colon = text.find(':', start);
    parts.push_back(text.substr(start, colon == std::string_view::npos ? colon : colon - start));
    if (colon == std::string_view::npos) break;
    start = colon + 1;
  }
  if (parts.size() > 3) return std::nullopt;
  std::string_view slot = parts.back();
  const size_t dot = slot.find('.');
  if (dot != std::string_view::npos) {
    if (!ParsePart(slot.substr(dot + 1), 7, filter.function)) return std::nullopt;
    slot = slot.substr(0, dot);
  }
  if (!ParsePart(slot, 0x1f, filter.device)) return std::nullopt;
  if (parts.size() >= 2 && !ParsePart(parts[parts.size() - 2], 0xff, filter.bus)) {
    return std::nullopt;
  }
  if (parts.size() == 3 && !ParsePart(parts[0], 0xffff, filter.segment)) return std::nullopt;
  return filter;
}

}  // namespace dmaudit
