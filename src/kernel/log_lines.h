// SPDX-License-Identifier: GPL-2.0-or-later
// The wordings of single log lines, all kernels since 2.6.32. Each parser takes one line without
// newline and gives nothing unless the line is exactly one of its wordings with sensible numbers.
#ifndef DMAUDIT_KERNEL_LOG_LINES_H_
#define DMAUDIT_KERNEL_LOG_LINES_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/ids.h"

namespace dmaudit::log_lines {

// Leaves out "[   12.345678] ", with or without a caller ("[T1]", "[   C0]"), in front.
std::string_view WithoutTimeStamp(std::string_view line);

// The line from `pattern` on: at its start, or behind prefixes that end in ':' as drivers put them
// ("DMAR: ", "pci 0000:00:00.2: "). Nothing when `pattern` stands anywhere else: then somebody only
// mentions it.
std::optional<std::string_view> From(std::string_view line, std::string_view pattern);

struct Reservation {
  bool low = false;
  bool rounded = false;  // known to whole MiB only
  PhysRange range;
};
std::optional<Reservation> ParseReservation(std::string_view line);

struct CmaReservation {
  uint64_t mebibytes = 0;
  uint64_t ranges = 0;
};
std::optional<CmaReservation> ParseCmaReservation(std::string_view line);

struct Unit {
  uint64_t index = 0;
  PhysAddr registers;
  uint64_t version_major = 0;
  uint64_t version_minor = 0;
  uint64_t cap = 0;
  uint64_t ecap = 0;
};
std::optional<Unit> ParseUnit(std::string_view line);

std::optional<unsigned> ParseHostAddressWidth(std::string_view line);

struct Fault {
  uint8_t bus = 0;
  uint8_t devfn = 0;
  std::optional<Pasid> pasid;
  Iova iova;
  bool write = false;
  std::optional<uint8_t> reason;  // nothing when it is on the next line
};
std::optional<Fault> ParseFault(std::string_view line);
// The second line of a fault before 4.6: "DMAR:[fault reason NN] text".
std::optional<uint8_t> ParseFaultReason(std::string_view line);
bool IsInterruptFault(std::string_view line);

// A line that only a kernel with an AMD IOMMU prints. Others of its prefix say that there is none.
bool IsAmdViEvidence(std::string_view line);

}  // namespace dmaudit::log_lines

#endif  // DMAUDIT_KERNEL_LOG_LINES_H_
