// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/finding_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/text.h"
#include "dmar/trace.h"
#include "dmar/walk.h"

namespace dmaudit {
namespace {

std::string Devices(size_t n) { return Counted(n, "device"); }

const FindingKind& OverlapKind(ReservationKind reservation, bool writable, bool held) {
  if (!writable) return findings::kOverlapReadOnly;
  if (reservation != ReservationKind::kCma) return findings::kOverlapWritable;
  return held ? findings::kOverlapCmaHeld : findings::kOverlapCma;
}

bool AllUnable(const Finding& finding) {
  const std::vector<DeviceRef>& devices = finding.devices;
  return !finding.devices_open && !devices.empty() &&
         std::all_of(devices.begin(), devices.end(),
                     [](const DeviceRef& d) { return d.ability == DmaAbility::kUnable; });
}

// An ignored unit without a device behind it is how the kernel skips empty ones.
bool IgnoredAsEmpty(const AuditedUnit& unit) {
  return unit.status == UnitStatus::kIgnored && unit.state.scope_devices &&
         unit.state.scope_devices.value() == 0;
}

}  // namespace

std::vector<DeviceRef> FindingBuilder::DevicesOf(const AuditedDomain& domain) const {
  std::vector<DeviceRef> devices;
  for (const size_t index : domain.devices) {
    const AuditedDevice& device = result_.devices[index];
    devices.push_back({device.bdf, device.pasid, device.facts, device.ability});
  }
  return devices;
}

bool FindingBuilder::HeldByUser(const AuditedDomain& domain) const {
  const DeviceInventory& inventory = result_.machine.inventory;
  return std::any_of(domain.devices.begin(), domain.devices.end(), [&](size_t index) {
    return dmaudit::HeldByUser(result_.devices[index], inventory);
  });
}

std::string FindingBuilder::DriverOf(const DeviceRef& device) const {
  if (!device.facts) return {};
  const std::string name = result_.machine.inventory.devices[*device.facts].driver.value_or("");
  // As modules are named; a headline has no room for anything else.
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '.';
  });
  return plain ? name : std::string();
}

bool FindingBuilder::HasRoom(const FindingKind& kind) {
  Told& told = told_[&kind];
  if (told.findings < kMaxPerKind) {
    ++told.findings;
    return true;
  }
  ++told.left_out;
  return false;
}

void FindingBuilder::AddWithPath(Finding finding, size_t device) {
  want_paths_.emplace_back(findings_.size(), device);
  findings_.push_back(std::move(finding));
}

void FindingBuilder::Add(Finding finding, std::optional<size_t> device) {
  if (device) return AddWithPath(std::move(finding), *device);
  findings_.push_back(std::move(finding));
}

void FindingBuilder::AddPaths() {
  using Requester = std::pair<Bdf, std::optional<Pasid>>;
  for (size_t unit = 0; unit < result_.units.size(); ++unit) {
    std::multimap<Requester, std::pair<size_t, size_t>> wanted;
    for (const auto& want : want_paths_) {
      const AuditedDevice& device = result_.devices[want.second];
      if (device.unit == unit) wanted.emplace(Requester{device.bdf, device.pasid}, want);
    }
    if (wanted.empty()) continue;
    DiagnosticSink repeated;  // the walk that found the devices has reported everything
    (void)WalkAttachments(
        result_.units[unit].state, rules_[unit], session_, repeated,
        [&](const Attachment& attachment) {
          const auto [first, last] = wanted.equal_range({attachment.bdf, attachment.pasid});
          for (auto it = first; it != last;) {
            const auto [finding, device] = it->second;
            // One requester can have two spaces: with and without PASID 0.
            if (result_.domains[result_.devices[device].domain].space != attachment.space) {
              ++it;
              continue;
            }
            std::vector<EntryRef>& evidence = findings_[finding].evidence;
            evidence.insert(evidence.begin(), attachment.path.begin(), attachment.path.end());
            it = wanted.erase(it);
          }
          return !wanted.empty();
        });
  }
  want_paths_.clear();
}

void FindingBuilder::AddSums() {
  for (const auto& [kind, told] : told_) {
    if (told.left_out == 0) continue;
    Finding finding;
    finding.kind = kind;
    finding.message =
        fmt::format("{} more of this kind, not listed: {}", told.left_out, kind->condition);
    finding.headline = finding.message.substr(0, kMaxHeadline);
    findings_.push_back(std::move(finding));
  }
}

void FindingBuilder::CompareWithImage(Finding& finding) const {
  const std::optional<CrashImage>& image = result_.machine.crash_image;
  if (!image) return;
  for (size_t i = 0; i < image->segments.size(); ++i) {
    const bool hit = std::any_of(
        finding.overlaps.begin(), finding.overlaps.end(),
        [&](const Overlap& overlap) { return overlap.overlap.Overlaps(image->segments[i].range); });
    if (hit) finding.image_segments.push_back(i);
  }
  if (!finding.image_segments.empty()) {
    finding.hits_image = true;
  } else if (image->complete && finding.overlaps.size() == finding.overlap_count) {
    finding.hits_image = false;
  }
}

void FindingBuilder::AddOverlaps(size_t index, const DomainOverlaps& overlaps) {
  if (!result_.machine.reservations) return;
  const AuditedDomain& domain = result_.domains[index];
  const std::string& unit = result_.units[domain.unit].state.name;
  const bool held = HeldByUser(domain);
  const auto add = [&](const Reservation& reservation, const OverlapTotals& totals, bool writable) {
    if (totals.bytes == 0) return;
    const FindingKind& kind = OverlapKind(reservation.kind, writable, held);
    if (!HasRoom(kind)) return;
    Finding finding;
    finding.kind = &kind;
    finding.units = {unit};
    finding.devices = DevicesOf(domain);
    finding.domain = domain.space.did;
    finding.reservation = reservation.kind;
    finding.reserved = reservation.range.value();
    const size_t list = std::min(totals.listed.size(), kMaxListedInAll - listed_);
    finding.overlaps.assign(totals.listed.begin(),
                            totals.listed.begin() + static_cast<std::ptrdiff_t>(list));
    listed_ += list;
    finding.overlap_count = totals.count;
    finding.overlap_bytes = totals.bytes;
    if (reservation.kind != ReservationKind::kCma) CompareWithImage(finding);
    const std::string what = fmt::format("{} can {} {} of", Devices(finding.devices.size()),
                                         writable ? "write to" : "read", HumanSize(totals.bytes));
    finding.message =
        fmt::format("{} {} ({:x}-{:x}), in {} range{}{}", what, ToString(reservation.kind),
                    finding.reserved->first.value(), finding.reserved->last.value(), totals.count,
                    totals.count == 1 ? "" : "s", held ? "; held by user space" : "");
    const auto headline = [&](const std::string& who) {
      return fmt::format("{} can {} {} of the crash kernel ({}){}", who,
                         writable ? "write to" : "read", HumanSize(totals.bytes),
                         ToString(reservation.kind), AllUnable(finding) ? ", idle" : "");
    };
    if (finding.devices.size() == 1) {
      const std::string name = ToString(finding.devices[0].bdf);
      const std::string driver = DriverOf(finding.devices[0]);
      if (!driver.empty()) finding.headline = headline(fmt::format("{} ({})", name, driver));
      // The driver goes first where the line would be too long.
      if (driver.empty() || finding.headline.size() > kMaxHeadline)
        finding.headline = headline(name);
    } else {
      finding.headline = headline(Devices(finding.devices.size()));
    }
    if (!totals.listed.empty()) {
      const Overlap& first = totals.listed.front();
      const uint64_t skip = first.overlap.first.value() - first.range.pa.value();
      finding.evidence = TraceTranslation(domain.space, rules_[domain.unit], session_,
                                          Iova(first.range.iova.value() + skip));
    }
    AddWithPath(std::move(finding), domain.devices.front());
  };
  for (size_t i = 0; i < result_.machine.reservations->size(); ++i) {
    const Reservation& reservation = (*result_.machine.reservations)[i];
    if (!reservation.range) continue;
    add(reservation, overlaps.writable[i], true);
    add(reservation, overlaps.read_only[i], false);
  }
}

void FindingBuilder::AddUntranslatedDevices(Finding& finding, WhyUntranslated why) const {
  for (const UntranslatedDevice& device : result_.untranslated) {
    if (device.why != why) continue;
    finding.devices.push_back({*result_.machine.inventory.devices[device.facts].bdf, std::nullopt,
                               device.facts, states_.Ability(device.facts)});
  }
  finding.devices_open = !result_.untranslated_complete;
}

void FindingBuilder::AddUnits(const FindingKind& kind, UnitStatus status, WhyUntranslated why,
                              std::string_view text) {
  Finding finding;
  finding.kind = &kind;
  for (const AuditedUnit& unit : result_.units) {
    if (unit.status == status && !IgnoredAsEmpty(unit)) {
      finding.units.push_back(unit.state.name);
    }
  }
  if (finding.units.empty()) return;
  AddUntranslatedDevices(finding, why);
  std::string names;
  for (const std::string& name : finding.units) names += (names.empty() ? "" : ", ") + name;
  finding.message =
      fmt::format("{}: {}; every bus master behind it reaches all memory", names, text);
  finding.headline =
      fmt::format("{} {}: all memory in reach",
                  status == UnitStatus::kIgnored ? "the kernel ignores" : "translation off on",
                  Counted(finding.units.size(), "unit"));
  findings_.push_back(std::move(finding));
}

std::string_view FindingBuilder::CrashKernelIncluded() const {
  return ReservesCrashKernel(result_.machine) ? ", the crash kernel's included" : "";
}

void FindingBuilder::AddPassThrough() {
  Finding finding;
  finding.kind = &findings::kPassThrough;
  std::optional<size_t> example;
  for (const AuditedDomain& domain : result_.domains) {
    if (domain.space.stage != Stage::kPassThrough) continue;
    const std::vector<DeviceRef> devices = DevicesOf(domain);
    finding.devices.insert(finding.devices.end(), devices.begin(), devices.end());
    const std::string& unit = result_.units[domain.unit].state.name;
    if (std::find(finding.units.begin(), finding.units.end(), unit) == finding.units.end()) {
      finding.units.push_back(unit);
    }
    if (!example) example = domain.devices.front();
  }
  if (finding.devices.empty()) return;
  std::sort(finding.devices.begin(), finding.devices.end());
  const std::string devices = Devices(finding.devices.size());
  const std::string_view reach = finding.devices.size() == 1 ? "reaches" : "reach";
  finding.message = fmt::format("{} in hardware pass-through {} all memory{}", devices, reach,
                                CrashKernelIncluded());
  finding.headline = fmt::format("{} in pass-through {} all memory", devices, reach);
  AddWithPath(std::move(finding), *example);
}

void FindingBuilder::AddIdentityDomains() {
  for (const AuditedDomain& domain : result_.domains) {
    if (domain.identity != IdentityKind::kWhole || !HasRoom(findings::kIdentityDomain)) continue;
    Finding finding;
    finding.kind = &findings::kIdentityDomain;
    finding.units = {result_.units[domain.unit].state.name};
    finding.devices = DevicesOf(domain);
    finding.domain = domain.space.did;
    const std::string devices = Devices(finding.devices.size());
    const std::string_view reach = finding.devices.size() == 1 ? "reaches" : "reach";
    finding.message = fmt::format("{} in an identity domain (did {}) {} all memory{}", devices,
                                  domain.space.did.value, reach, CrashKernelIncluded());
    finding.headline = fmt::format("{} in an identity domain {} all memory", devices, reach);
    AddWithPath(std::move(finding), domain.devices.front());
  }
}

void FindingBuilder::AddDeviceTlbs() {
  Finding finding;
  finding.kind = &findings::kDeviceTlb;
  for (const AuditedDevice& device : result_.devices) {
    if (device.device_tlb) finding.devices.push_back({device.bdf, device.pasid});
  }
  if (finding.devices.empty()) return;
  finding.headline = fmt::format("{} may use translations cached in the device (ATS)",
                                 Devices(finding.devices.size()));
  finding.message = finding.headline + "; those are not in a dump";
  findings_.push_back(std::move(finding));
}

void FindingBuilder::AddUntranslated() {
  AddUnits(findings::kTranslationOff, UnitStatus::kTranslationOff, WhyUntranslated::kTranslationOff,
           "DMA translation is off");
  AddUnits(findings::kUnitIgnored, UnitStatus::kIgnored, WhyUntranslated::kUnitIgnored,
           "ignored by the kernel");
  if (result_.machine.iommu == IommuPresence::kNone) {
    Finding finding;
    finding.kind = &findings::kNoIommu;
    finding.message = fmt::format("no IOMMU ({}); every bus master reaches all memory",
                                  result_.machine.iommu_evidence);
    finding.headline = "no IOMMU: every bus master reaches all memory";
    AddUntranslatedDevices(finding, WhyUntranslated::kNoIommu);
    findings_.push_back(std::move(finding));
  }
  const std::vector<AuditedUnit>& units = result_.units;
  if (!units.empty() && std::all_of(units.begin(), units.end(), IgnoredAsEmpty)) {
    Finding finding;
    finding.kind = &findings::kNoIommu;
    finding.message =
        "no device is behind an IOMMU (every unit is ignored as empty); every bus master reaches "
        "all memory";
    finding.headline = "no IOMMU in use: all memory in reach";
    findings_.push_back(std::move(finding));
  }
}

void FindingBuilder::AddReach() {
  AddPassThrough();
  AddIdentityDomains();
  AddUntranslated();
  AddDeviceTlbs();
}

void FindingBuilder::AddCrashKernel() {
  const MachineState& machine = result_.machine;
  if (!machine.reservations) return;
  Finding finding;
  if (machine.reservations->empty()) {
    finding.kind = &findings::kNoCrashKernel;
    finding.message = "no memory is reserved for a crash kernel";
  } else if (machine.crash_kernel_loaded && !machine.crash_kernel_loaded.value()) {
    finding.kind = &findings::kCrashKernelNotLoaded;
    finding.message = "memory is reserved, but no crash kernel was loaded";
  } else {
    return;
  }
  finding.headline = finding.message;
  findings_.push_back(std::move(finding));
}

void FindingBuilder::Add(std::vector<Finding> findings) {
  std::move(findings.begin(), findings.end(), std::back_inserter(findings_));
}

std::vector<Finding> FindingBuilder::Take() {
  AddPaths();
  AddSums();
  for (Finding& finding : findings_) {
    if (IsReachOfAllMemory(*finding.kind)) {
      finding.headline = OfAllMemory(std::move(finding.headline), result_.machine);
    }
  }
  for (Finding& finding : findings_) finding.idle = AllUnable(finding);
  // What no device could use just then comes after what one could, never lower.
  std::stable_sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
    return std::pair(b.kind->severity, a.idle) < std::pair(a.kind->severity, b.idle);
  });
  return std::move(findings_);
}

}  // namespace dmaudit
