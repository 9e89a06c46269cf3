// SPDX-License-Identifier: GPL-2.0-or-later
// What firmware told the kernel in the DMAR table: which devices a unit covers, which memory
// devices must reach (RMRR), where ATS may be used (ATSR, SATC).
#ifndef DMAUDIT_KERNEL_FIRMWARE_SCOPES_H_
#define DMAUDIT_KERNEL_FIRMWARE_SCOPES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "base/known.h"

namespace dmaudit {

struct KernelView;

enum class ScopeKind : uint8_t { kUnit, kReservedMemory, kAtsRoot, kAtsDevices };
// "DRHD", "RMRR", "ATSR", "SATC".
std::string_view ToString(ScopeKind kind);

struct FirmwareScope {
  ScopeKind kind = ScopeKind::kUnit;
  std::optional<uint16_t> segment;
  std::optional<PhysAddr> registers;  // of a unit
  std::optional<PhysRange> range;     // of an RMRR
  // A unit or ATSR for everything of the segment that no other names; a SATC whose devices need
  // ATS.
  // Nothing: it could not be read.
  std::optional<bool> flag = false;
  std::vector<Bdf> devices;  // those of the list that exist; bridges stand for what is behind them
  bool whole = true;         // every entry of its list was read
  uint64_t unplaced = 0;     // devices that exist, and whose segment is not known
  uint64_t absent = 0;       // entries of the list without a device
  Origin origin = Origin::kKernelObject;
  std::string place;
  // What another source says otherwise, as text: "segment 0001", "devices 0000:00:1f.0".
  std::vector<Claim<std::string>> rivals;
};

struct FirmwareScopes {
  // Every list was read to its end.
  bool complete = false;
  bool units_complete = false;        // the list of units was
  std::vector<FirmwareScope> scopes;  // in the order of ScopeKind, then of their lists
};

// Elements of one list of the kernel; a DMAR table of 64 KiB would have room for about as many.
inline constexpr size_t kMaxScopes = 4096;
// Devices over all lists.
inline constexpr uint64_t kMaxScopeDevices = 65536;

// dmar_drhd_units, dmar_rmrr_units, dmar_atsr_units, dmar_satc_units. What cannot be read is a
// note: no DMA is hidden by it.
FirmwareScopes DiscoverScopes(const KernelView& kernel);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_FIRMWARE_SCOPES_H_
