// SPDX-License-Identifier: GPL-2.0-or-later
// Findings: what the tables say. The product.
#ifndef DMAUDIT_AUDIT_FINDING_H_
#define DMAUDIT_AUDIT_FINDING_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "dmar/translation.h"
#include "kernel/machine.h"

namespace dmaudit {

enum class Severity : uint8_t { kInfo, kWarning, kCritical };
// "info", "warning", "critical".
std::string_view ToString(Severity severity);

// One kind of finding. Documentation, reports and policies are projections of the registry.
struct FindingKind {
  std::string_view id;  // stable
  Severity severity;
  std::string_view condition;    // when it is reported
  std::string_view explanation;  // what it means for a crash kernel
};

namespace findings {
extern const FindingKind kOverlapWritable;
extern const FindingKind kOverlapCmaHeld;
extern const FindingKind kOverlapCma;
extern const FindingKind kOverlapReadOnly;
extern const FindingKind kPassThrough;
extern const FindingKind kIdentityDomain;
extern const FindingKind kTranslationOff;
extern const FindingKind kUnitIgnored;
extern const FindingKind kNoIommu;
extern const FindingKind kNoUnit;
extern const FindingKind kRegionOverCrashKernel;
extern const FindingKind kRegionInRam;
extern const FindingKind kRegionNotMapped;
extern const FindingKind kRegionNotReserved;
extern const FindingKind kViewRoot;
extern const FindingKind kViewDomainId;
extern const FindingKind kViewType;
extern const FindingKind kViewNoEntry;
extern const FindingKind kDeviceTlb;
extern const FindingKind kNoCrashKernel;
extern const FindingKind kCrashKernelNotLoaded;

// All kinds, in order of severity and id.
std::span<const FindingKind* const> All();
}  // namespace findings

// A requester as findings and reports name it.
struct DeviceRef {
  Bdf bdf;
  std::optional<Pasid> pasid;
  std::optional<size_t> facts = std::nullopt;  // index into MachineState::inventory.devices
  DmaAbility ability = DmaAbility::kUnknown;
  friend auto operator<=>(const DeviceRef&, const DeviceRef&) = default;
};

// A live range as far as it lies inside one stretch of the reservation.
struct Overlap {
  LiveRange range;    // the whole live range
  PhysRange overlap;  // the part inside the reservation
};

struct Finding {
  const FindingKind* kind = nullptr;
  std::string message;
  std::string headline;  // the same in at most kMaxHeadline columns

  // Subject; what does not apply is empty.
  std::vector<std::string> units;
  std::vector<DeviceRef> devices;
  bool devices_open = false;  // it holds for others too, which are not known
  std::optional<DomainId> domain;
  std::optional<ReservationKind> reservation;
  std::optional<PhysRange> reserved;
  std::vector<Overlap> overlaps;  // at most kMaxListedOverlaps
  uint64_t overlap_count = 0;     // all of them
  uint64_t overlap_bytes = 0;
  // Overlaps with crashk_res or crashk_low_res: indices of the segments of the loaded crash kernel
  // (MachineState::crash_image) that the listed overlaps touch, and whether any does. Unknown when
  // the segments are not known, or no listed overlap touches one and not all are listed.
  std::vector<size_t> image_segments;
  std::optional<bool> hits_image;
  // None of the devices could start DMA when the kernel died, by the kernel's records. The severity
  // stays what it is: the mapping is there, and the device needs only to be switched on again.
  bool idle = false;

  // Entries that prove it, from the root table down, for the first overlap or device.
  std::vector<EntryRef> evidence;
};

// What a line of 100 columns leaves beside the verdict's word and the count of further findings.
inline constexpr size_t kMaxHeadline = 72;

// The kinds that say so: reach.*.
bool IsReachOfAllMemory(const FindingKind& kind);

// Memory is known to be reserved for a crash kernel.
bool ReservesCrashKernel(const MachineState& machine);

// A headline about reach to all memory: says that the crash kernel's is a part of it, where some is
// reserved and the line has room.
std::string OfAllMemory(std::string headline, const MachineState& machine);

// Listed per finding; further overlaps are counted. Enough for every real case, small for a hostile
// one.
inline constexpr size_t kMaxListedOverlaps = 1024;

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_FINDING_H_
