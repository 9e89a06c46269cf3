// SPDX-License-Identifier: GPL-2.0-or-later
// Identifiers that requests and tables carry: PCI requester, VT-d domain id, PASID.
#ifndef DMAUDIT_BASE_IDS_H_
#define DMAUDIT_BASE_IDS_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dmaudit {

// A PCI function: segment, bus, device, function. Printed as lspci -D does: "0000:00:1f.2".
struct Bdf {
  uint16_t segment = 0;
  uint8_t bus = 0;
  uint8_t devfn = 0;

  constexpr uint8_t device() const { return static_cast<uint8_t>(devfn >> 3); }
  constexpr uint8_t function() const { return static_cast<uint8_t>(devfn & 7); }
  friend constexpr auto operator<=>(const Bdf&, const Bdf&) = default;
};
std::string ToString(const Bdf& bdf);

// A filter as `lspci -s` takes it: [[SEG:]BUS:]DEV.FN, every part but the punctuation optional ("*"
// or empty = any).
struct BdfFilter {
  std::optional<uint16_t> segment;
  std::optional<uint8_t> bus;
  std::optional<uint8_t> device;
  std::optional<uint8_t> function;

  bool Matches(const Bdf& bdf) const;
};
// "00:1f.2", "0000:00:1f.*": the parts that are given, "*" for those left open between them.
std::string ToString(const BdfFilter& filter);
// Nothing when the text is not such a filter or a number is out of range.
std::optional<BdfFilter> ParseBdfFilter(std::string_view text);

// VT-d domain id, the tag of cached translations (16 bits in a context entry or PASID entry).
struct DomainId {
  uint16_t value = 0;
  friend constexpr auto operator<=>(const DomainId&, const DomainId&) = default;
};

// Process address space id, 20 bits.
struct Pasid {
  uint32_t value = 0;
  friend constexpr auto operator<=>(const Pasid&, const Pasid&) = default;
};

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_IDS_H_
