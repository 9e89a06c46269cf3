// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/log_lines.h"

#include <algorithm>
#include <array>

#include "base/number.h"

namespace dmaudit::log_lines {
namespace {

constexpr uint64_t kMebibyte = uint64_t{1} << 20;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlphanumeric(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Reads a line from left to right against a wording; after a mismatch nothing matches any more.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }

  Scanner& Literal(std::string_view literal) {
    if (!Skip(literal)) ok_ = false;
    return *this;
  }
  // Whether `literal` comes next; goes past it if so.
  bool Skip(std::string_view literal) {
    if (!ok_ || !rest_.starts_with(literal)) return false;
    rest_.remove_prefix(literal.size());
    return true;
  }
  // Digits alone: a unit may follow at once ("496MB").
  Scanner& Decimal(uint64_t& value) { return Store(ParseDecimal(Take(IsDigit)), value); }
  Scanner& Hex(uint64_t& value) { return Store(ParseHex(Take(IsAlphanumeric)), value); }
  // Hexadecimal with 0x, decimal without.
  Scanner& Number(uint64_t& value) { return Store(ParseNumber(Take(IsAlphanumeric)), value); }

 private:
  std::string_view Take(bool (*belongs)(char)) {
    if (!ok_) return {};
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), belongs);
    const std::string_view word = rest_.substr(0, static_cast<size_t>(end - rest_.begin()));
    rest_.remove_prefix(word.size());
    return word;
  }
  Scanner& Store(std::optional<uint64_t> parsed, uint64_t& value) {
    if (parsed) {
      value = *parsed;
    } else {
      ok_ = false;
    }
    return *this;
  }

  std::string_view rest_;
  bool ok_ = true;
};

bool IsPrefix(std::string_view text) {
  // Prefixes of kernel subsystems; a program that writes to the log calls itself "name[pid]: ".
  constexpr size_t kMaxPrefix = 64;
  if (text.empty()) return true;
  if (text.size() > kMaxPrefix) return false;
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text.ends_with(':') && std::all_of(text.begin(), text.end(), [](char c) {
           return IsAlphanumeric(c) || c == ':' || c == '.' || c == '-' || c == '_' || c == '/' ||
                  c == ' ' || c == '(' || c == ')';
         });
}

// "[fault reason NN]"; decimal without 0x (up to 5.13), hexadecimal with it.
std::optional<uint8_t> ScanReason(Scanner& scanner) {
  uint64_t reason = 0;
  scanner.Literal("[fault reason ").Number(reason).Literal("]");
  if (!scanner.ok() || reason > UINT8_MAX) return std::nullopt;
  return static_cast<uint8_t>(reason);
}

// "[bb:dd.f]", in 5.14 "[0xbb:0xdd.f]".
bool ScanRequester(Scanner& scanner, Fault& fault) {
  uint64_t bus = 0;
  uint64_t device = 0;
  uint64_t function = 0;
  scanner.Literal("[").Hex(bus).Literal(":").Hex(device).Literal(".").Hex(function).Literal("] ");
  if (!scanner.ok() || bus > 0xff || device > 0x1f || function > 7) return false;
  fault.bus = static_cast<uint8_t>(bus);
  fault.devfn = static_cast<uint8_t>(device << 3 | function);
  return true;
}

bool ScanPasid(Scanner& scanner, Fault& fault) {
  constexpr uint64_t kNone = 0xffffffff;  // printed where the request had none, 5.0 to 5.13
  constexpr uint64_t kMax = 0xfffff;
  uint64_t pasid = 0;
  scanner.Hex(pasid);
  if (!scanner.ok() || (pasid > kMax && pasid != kNone)) return false;
  if (pasid != kNone) fault.pasid = Pasid{static_cast<uint32_t>(pasid)};
  return true;
}

}  // namespace

std::string_view WithoutTimeStamp(std::string_view line) {
  const auto skip_bracket = [](std::string_view text, std::string_view allowed) {
    if (!text.starts_with('[')) return text;
    const size_t end = text.find_first_not_of(allowed, 1);
    if (end == 1 || end == std::string_view::npos || text[end] != ']') return text;
    text.remove_prefix(end + 1);
    if (text.starts_with(' ')) text.remove_prefix(1);
    return text;
  };
  const std::string_view stamped = skip_bracket(line, "0123456789. ");
  if (stamped.size() == line.size()) return line;
  return skip_bracket(stamped, "CT0123456789 ");
}

std::optional<std::string_view> From(std::string_view line, std::string_view pattern) {
  for (size_t at = line.find(pattern); at != std::string_view::npos;
       at = line.find(pattern, at + 1)) {
    if (IsPrefix(line.substr(0, at))) return line.substr(at);
  }
  return std::nullopt;
}

std::optional<Reservation> ParseReservation(std::string_view line) {
  Reservation reservation;
  // 6.9 and later; the end is exclusive.
  for (const bool low : {false, true}) {
    const auto text = From(line, low ? "crashkernel low memory reserved: "  //
                                     : "crashkernel reserved: ");
    if (!text) continue;
    Scanner scanner(text->substr(text->find(": ") + 2));
    uint64_t start = 0;
    uint64_t end = 0;
    uint64_t mebibytes = 0;
    scanner.Hex(start).Literal(" - ").Hex(end).Literal(" (").Decimal(mebibytes).Literal(" MB)");
    if (!scanner.ok() || start >= end || (end - start) / kMebibyte != mebibytes) {
      return std::nullopt;
    }
    reservation.low = low;
    reservation.range = {PhysAddr(start), PhysAddr(end - 1)};
    return reservation;
  }
  const auto text = From(line, "Reserving ");
  if (!text) return std::nullopt;
  Scanner scanner(*text);
  uint64_t size = 0;
  uint64_t start = 0;
  scanner.Literal("Reserving ").Decimal(size).Literal("MB of ");
  reservation.low = scanner.Skip("low ");
  reservation.rounded = true;
  scanner.Literal("memory at ").Decimal(start).Literal("MB for crashkernel");
  if (!scanner.ok() || !(scanner.rest().empty() || scanner.rest().starts_with(" ("))) {
    return std::nullopt;
  }
  const auto start_bytes = CheckedMul(start, kMebibyte);
  const auto size_bytes = CheckedMul(size, kMebibyte);
  if (!start_bytes || !size_bytes) return std::nullopt;
  const auto range = PhysRange::FromSize(PhysAddr(*start_bytes), *size_bytes);
  if (!range) return std::nullopt;
  reservation.range = *range;
  return reservation;
}

std::optional<CmaReservation> ParseCmaReservation(std::string_view line) {
  CmaReservation reservation;
  if (const auto text = From(line, "crashkernel CMA reserved: ")) {
    Scanner scanner(*text);
    scanner.Literal("crashkernel CMA reserved: ").Decimal(reservation.mebibytes);
    scanner.Literal(" MB in ").Decimal(reservation.ranges).Literal(" ranges");
    if (!scanner.ok()) return std::nullopt;
    return reservation;
  }
  // Less than was asked for is still reserved.
  if (const auto text = From(line, "crashkernel CMA reservation failed: ")) {
    uint64_t requested = 0;
    Scanner scanner(*text);
    scanner.Literal("crashkernel CMA reservation failed: ").Decimal(requested);
    scanner.Literal(" MB requested, ").Decimal(reservation.mebibytes);
    scanner.Literal(" MB reserved in ").Decimal(reservation.ranges).Literal(" ranges");
    if (!scanner.ok()) return std::nullopt;
    return reservation;
  }
  return std::nullopt;
}

std::optional<Unit> ParseUnit(std::string_view line) {
  constexpr uint64_t kMaxIndex = 1023;  // DMAR_UNITS_SUPPORTED is at most 1024
  constexpr uint64_t kMaxVersion = 15;  // two fields of 4 bits
  for (const std::string_view name : {"dmar", "IOMMU "}) {
    // The driver's own prefix can be the same word: "dmar: dmar0: ...".
    for (auto text = From(line, name); text; text = From(text->substr(1), name)) {
      Unit unit;
      uint64_t registers = 0;
      Scanner scanner(*text);
      scanner.Literal(name).Decimal(unit.index).Literal(": reg_base_addr ").Hex(registers);
      scanner.Literal(" ver ").Decimal(unit.version_major);
      scanner.Literal(":").Decimal(unit.version_minor);
      scanner.Literal(" cap ").Hex(unit.cap).Literal(" ecap ").Hex(unit.ecap);
      if (!scanner.ok() || !scanner.rest().empty()) continue;
      if (unit.index > kMaxIndex || unit.version_major > kMaxVersion ||
          unit.version_minor > kMaxVersion) {
        return std::nullopt;
      }
      unit.registers = PhysAddr(registers);
      return unit;
    }
  }
  return std::nullopt;
}

std::optional<unsigned> ParseHostAddressWidth(std::string_view line) {
  constexpr uint64_t kMax = 64;
  const auto text = From(line, "Host address width ");
  if (!text) return std::nullopt;
  uint64_t bits = 0;
  Scanner scanner(*text);
  scanner.Literal("Host address width ").Decimal(bits);
  if (!scanner.ok() || !scanner.rest().empty() || bits == 0 || bits > kMax) return std::nullopt;
  return static_cast<unsigned>(bits);
}

std::optional<Fault> ParseFault(std::string_view line) {
  const auto text = From(line, "[DMA ");
  if (!text) return std::nullopt;
  Fault fault;
  Scanner scanner(*text);
  scanner.Literal("[DMA ");
  fault.write = scanner.Skip("Write");
  if (!fault.write) scanner.Literal("Read");
  if (!scanner.Skip(" NO_PASID") && scanner.Skip(" PASID ")) {
    if (!ScanPasid(scanner, fault)) return std::nullopt;
  }
  scanner.Literal("] Request device ");
  if (!ScanRequester(scanner, fault)) return std::nullopt;
  if (scanner.Skip("PASID ")) {
    if (!ScanPasid(scanner, fault)) return std::nullopt;
    scanner.Literal(" ");
  }
  uint64_t iova = 0;
  scanner.Literal("fault addr ").Hex(iova);
  if (!scanner.ok()) return std::nullopt;
  fault.iova = Iova(iova);
  scanner.Skip(" ");
  if (scanner.rest().empty()) return fault;
  fault.reason = ScanReason(scanner);
  if (!fault.reason) return std::nullopt;
  return fault;
}

std::optional<uint8_t> ParseFaultReason(std::string_view line) {
  const auto text = From(line, "[fault reason ");
  if (!text) return std::nullopt;
  Scanner scanner(*text);
  return ScanReason(scanner);
}

bool IsInterruptFault(std::string_view line) {
  return From(line, "[INTR-REMAP] Request device [") || From(line, "INTR-REMAP: Request device [");
}

bool IsAmdViEvidence(std::string_view line) {
  constexpr std::array<std::string_view, 9> kEvidence = {
      "AMD-Vi: Found IOMMU ",
      "AMD-Vi: Enabling IOMMU at ",
      "AMD-Vi: Extended features ",
      "AMD-Vi: Using global IVHD EFR:",
      "AMD-Vi: Interrupt remapping enabled",
      "AMD-Vi: Lazy IO/TLB flushing enabled",
      "AMD-Vi: IO/TLB flush on unmap enabled",
      "AMD-Vi: Initialized for Passthrough Mode",
      "AMD-Vi: Event logged [",
  };
  return std::any_of(kEvidence.begin(), kEvidence.end(), [line](std::string_view evidence) {
    return From(line, evidence).has_value();
  });
}

}  // namespace dmaudit::log_lines
