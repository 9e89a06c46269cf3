// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/finding.h"

#include <array>

namespace dmaudit {

std::string_view ToString(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kCritical:
      return "critical";
  }
  return "critical";
}

bool IsReachOfAllMemory(const FindingKind& kind) { return kind.id.starts_with("reach."); }

bool ReservesCrashKernel(const MachineState& machine) {
  return machine.reservations && !machine.reservations->empty();
}

std::string OfAllMemory(std::string headline, const MachineState& machine) {
  static constexpr std::string_view kIncluded = ", crash kernel included";
  if (ReservesCrashKernel(machine) && headline.size() + kIncluded.size() <= kMaxHeadline)
    headline += kIncluded;
  return headline;
}

namespace findings {

const FindingKind kOverlapWritable = {
    "overlap.writable", Severity::kCritical,
    "a writable mapping covers memory of crashk_res or crashk_low_res",
    "A device could overwrite the crash kernel's image, its initrd or its working memory, before "
    "the panic and while "
    "the dump is taken: Linux 4.2 and later lets the capture kernel inherit the old tables."};
const FindingKind kOverlapCma = {
    "overlap.cma", Severity::kWarning,
    "a writable mapping covers memory of a crashkernel CMA range",
    "The page was under DMA at the panic. CMA crash memory (6.17 and later) is ordinary RAM until "
    "the crash; the capture "
    "kernel only waits 10 seconds for transfers to end before it uses the memory."};
const FindingKind kOverlapCmaHeld = {
    "overlap.cma-held", Severity::kCritical,
    "a writable mapping of a device that user space holds covers memory of a crashkernel CMA range",
    "The device belongs to a virtual machine or another user of VFIO or iommufd, which keeps "
    "transfers going for as long as it likes: the 10 seconds that the capture kernel waits do not "
    "end them."};
const FindingKind kOverlapReadOnly = {
    "overlap.read-only", Severity::kWarning,
    "a read-only mapping covers memory reserved for the crash kernel",
    "A device can read the crash kernel's memory but not change it. Nothing legitimate maps it."};
const FindingKind kPassThrough = {"reach.passthrough", Severity::kWarning,
                                  "devices are in hardware pass-through",
                                  "Their requests are not translated: they reach all memory, the "
                                  "crash kernel included (iommu=pt)."};
const FindingKind kIdentityDomain = {"reach.identity-domain", Severity::kWarning,
                                     "a domain maps all RAM at its own address",
                                     "Its devices reach all memory, the crash kernel included, as "
                                     "in pass-through (the kernel's static identity domain)."};
const FindingKind kTranslationOff = {
    "reach.translation-off", Severity::kWarning, "DMA translation is not enabled on a unit",
    "Every bus master behind the unit reaches all memory, the crash kernel included."};
const FindingKind kUnitIgnored = {
    "reach.unit-ignored", Severity::kWarning,
    "the kernel ignores a unit that has devices behind it",
    "Nobody programmed the unit's tables: every bus master behind it reaches all memory."};
const FindingKind kNoIommu = {"reach.no-iommu", Severity::kWarning,
                              "the kernel knows no IOMMU, or drives none",
                              "Every bus master reaches all memory, the crash kernel included."};
const FindingKind kNoUnit = {"reach.no-unit", Severity::kWarning,
                             "a PCI device is behind no unit, by the scopes that firmware declares",
                             "No unit's scope names the device, its physical function or a bridge "
                             "above it, and no unit takes "
                             "the rest of its segment (INCLUDE_ALL): nothing translates its "
                             "requests, they reach all memory, "
                             "the crash kernel included."};
const FindingKind kRegionOverCrashKernel = {
    "rmrr.crash-kernel", Severity::kWarning,
    "memory that firmware wants devices to reach (RMRR) lies over the crash kernel's memory",
    "The kernel maps an RMRR at its own address for the devices that it names, whatever lies "
    "there. "
    "Where it is mapped, there is a critical overlap too."};
const FindingKind kRegionInRam = {
    "rmrr.in-ram", Severity::kWarning,
    "memory that firmware wants devices to reach (RMRR) is in use as ordinary RAM",
    "A firmware defect: the devices that it names can change memory that the kernel gives to "
    "anybody, the crash kernel's own structures included."};
const FindingKind kRegionNotMapped = {
    "rmrr.not-mapped", Severity::kInfo,
    "memory that firmware wants a device to reach (RMRR) is not mapped for it",
    "The device's requests to it are refused. Nothing reaches the crash kernel by it; faults and a "
    "device that stopped may come from it."};
const FindingKind kViewRoot = {
    "view.root", Severity::kWarning,
    "a device is translated by other page tables than those of the domain that the kernel has it "
    "in",
    "A defect of the kernel, or damage: what the kernel mapped and unmapped for the device is not "
    "what the device can reach. The reach that is reported is that of the entry."};
const FindingKind kViewDomainId = {
    "view.domain-id", Severity::kWarning,
    "a device's entry has another domain id than the domain that the kernel has it in",
    "Cached translations are tagged with the entry's id and invalidated by the kernel's: the "
    "device "
    "may have gone on using mappings that are in no table any more."};
const FindingKind kViewType = {
    "view.type", Severity::kWarning,
    "a device's entry has another kind of translation than the domain that the kernel has it in",
    "Pass-through where the kernel means translation, tables of the other stage, or a live entry "
    "of a "
    "device that the kernel has blocked: the device reaches what the kernel does not know of."};
const FindingKind kViewNoEntry = {
    "view.no-entry", Severity::kWarning,
    "the kernel has a device in a domain, and the tables translate nothing for the device",
    "The unit refuses the device's requests, or the tables that were read are not the ones in "
    "use."};
const FindingKind kDeviceTlb = {"device.device-tlb", Severity::kInfo,
                                "devices may use translations that they cached themselves (ATS)",
                                "Requests that a device marks as translated bypass the tables; "
                                "what a device still held is not in a dump."};
const FindingKind kRegionNotReserved = {
    "rmrr.not-reserved", Severity::kInfo,
    "memory that firmware wants devices to reach (RMRR) is not reserved in its memory map",
    "A firmware defect: the kernel may place the registers of devices, or memory that is added "
    "later, where other devices write."};
const FindingKind kNoCrashKernel = {
    "crashkernel.none", Severity::kInfo, "no memory is reserved for a crash kernel",
    "There is nothing for DMA to hit; and this machine could not have captured a dump by kdump."};
const FindingKind kCrashKernelNotLoaded = {"crashkernel.not-loaded", Severity::kInfo,
                                           "memory is reserved, but no crash kernel was loaded",
                                           "The reservation was idle memory at the crash."};

namespace {
constexpr std::array kAll = {&kOverlapCmaHeld,  &kOverlapWritable,       &kOverlapCma,
                             &kOverlapReadOnly, &kIdentityDomain,        &kNoIommu,
                             &kNoUnit,          &kPassThrough,           &kTranslationOff,
                             &kUnitIgnored,     &kRegionOverCrashKernel, &kRegionInRam,
                             &kViewDomainId,    &kViewNoEntry,           &kViewRoot,
                             &kViewType,        &kNoCrashKernel,         &kCrashKernelNotLoaded,
                             &kDeviceTlb,       &kRegionNotMapped,       &kRegionNotReserved};
}  // namespace

std::span<const FindingKind* const> All() { return kAll; }

}  // namespace findings
}  // namespace dmaudit
