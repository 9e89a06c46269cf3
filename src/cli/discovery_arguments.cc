// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/discovery_arguments.h"

#include <optional>
#include <vector>

#include "base/number.h"
#include "base/text.h"
#include "dmar/hw/root_table_address_register.h"

namespace dmaudit::cli {
namespace {

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> fields;
  for (;;) {
    const size_t comma = text.find(',');
    fields.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return fields;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

Result<UserUnit> ParseUserUnit(std::string_view text) {
  const std::vector<std::string_view> fields = Split(text);
  if (fields.size() != 5 || fields[0].empty()) {
    return Fail(ErrorCode::kUsage, "not NAME,SEG,CAP,ECAP,RTADDR: {}", EscapeForTerminal(text));
  }
  const std::optional<uint64_t> segment = ParseHex(fields[1]);
  const std::optional<uint64_t> cap = ParseHex(fields[2]);
  const std::optional<uint64_t> ecap = ParseHex(fields[3]);
  const std::optional<uint64_t> rtaddr = ParseHex(fields[4]);
  if (!segment || *segment > UINT16_MAX || !cap || !ecap || !rtaddr) {
    return Fail(ErrorCode::kUsage,
                "SEG (16 bits), CAP, ECAP and RTADDR are not all hexadecimal: {}",
                EscapeForTerminal(text));
  }
  if ((*rtaddr & ~(hw::rtaddr::kRta.mask() | hw::rtaddr::kTtm.mask())) != 0) {
    return Fail(ErrorCode::kUsage, "RTADDR has bits below 10 set, which are reserved: {}",
                EscapeForTerminal(text));
  }
  return UserUnit{std::string(fields[0]), static_cast<uint16_t>(*segment), *cap, *ecap, *rtaddr};
}

Result<UserRoot> ParseUserRoot(std::string_view text) {
  const std::vector<std::string_view> fields = Split(text);
  const std::optional<uint64_t> table = ParseHex(fields[0]);
  const bool mode_known =
      fields.size() == 1 ||
      (fields.size() == 2 && (fields[1] == "legacy" || fields[1] == "scalable"));
  if (!table || !mode_known) {
    return Fail(ErrorCode::kUsage, "not PA[,legacy|scalable] with PA in hexadecimal: {}",
                EscapeForTerminal(text));
  }
  if ((*table & ~hw::rtaddr::kRta.mask()) != 0) {
    return Fail(ErrorCode::kUsage, "a root table lies at a multiple of 4096: {}",
                EscapeForTerminal(text));
  }
  UserRoot root{PhysAddr(*table), std::nullopt};
  if (fields.size() == 2) root.scalable = fields[1] == "scalable";
  return root;
}

Result<WhichKernel> ParseWhichKernel(std::string_view text) {
  if (text == "crashed") return WhichKernel{WhichKernel::Kind::kCrashed, {}};
  if (text == "capture") return WhichKernel{WhichKernel::Kind::kCapture, {}};
  const std::optional<uint64_t> address = ParseHex(text);
  if (!address) {
    return Fail(ErrorCode::kUsage, "not crashed, capture or an address in hexadecimal: {}",
                EscapeForTerminal(text));
  }
  return WhichKernel{WhichKernel::Kind::kAddress, PhysAddr(*address)};
}

}  // namespace dmaudit::cli
