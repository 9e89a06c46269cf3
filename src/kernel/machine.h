// SPDX-License-Identifier: GPL-2.0-or-later
// What Linux knew: the kernel's identity, its DMAR units, its crash kernel, out of one dump,
// without debuginfo.
#ifndef DMAUDIT_KERNEL_MACHINE_H_
#define DMAUDIT_KERNEL_MACHINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/diagnostics.h"
#include "base/known.h"
#include "base/result.h"
#include "dmar/unit_state.h"
#include "kernel/capture_facts.h"
#include "kernel/crash_image.h"
#include "kernel/device_facts.h"
#include "kernel/discovery_options.h"
#include "kernel/firmware_scopes.h"
#include "vmcore/dump.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// One stretch of memory reserved for the crash kernel.
enum class ReservationKind : uint8_t {
  kHigh,
  kLow,
  kCma
};  // crashk_res, crashk_low_res, crashk_cma_ranges[i]
std::string_view ToString(
    ReservationKind kind);  // "crashk_res", "crashk_low_res", "crashk_cma_ranges"

struct Reservation {
  ReservationKind kind = ReservationKind::kHigh;
  Known<PhysRange> range;
};

// Identity of the kernel whose structures are read.
struct KernelIdentity {
  Known<std::string> release;
  Known<std::string> version;   // utsname.version, "#1 SMP ..."
  Known<std::string> build_id;  // hex
  Known<std::string> command_line;
  // Physical minus link address of the kernel image, modulo 2^64.
  std::optional<uint64_t> phys_base;
  std::optional<uint64_t> crash_time;  // seconds since the epoch, VMCOREINFO CRASHTIME
  std::string panic_line;  // first "Kernel panic" / "sysrq: Trigger a crash" / BUG line of the log;
                           // may be empty
  std::string symbols_from;  // "kallsyms (VMCOREINFO)", "none: <reason>"
  std::string types_from;    // "BTF (__start_BTF)", "none: <reason>"
  // Which kernel's tables were walked, and why: "the crashed kernel (VMCOREINFO)", and when CPU
  // notes show another page table root: "two kernels: VMCOREINFO is of the crashed one, the CPUs
  // run the capture kernel".
  std::string whose_tables;
  bool two_kernels = false;
};

enum class IommuPresence : uint8_t {
  kUnknown,  // could not be told
  kIntel,    // at least one DMAR unit is listed
  kNone,     // dmar_drhd_units is empty and no other IOMMU is registered
  kAmd,      // AMD-Vi in use: its tables are not read
  kOther,
};

struct MachineState {
  KernelIdentity identity;
  IommuPresence iommu = IommuPresence::kUnknown;
  std::string iommu_evidence;  // what decided it
  std::vector<UnitState> units;
  DeviceInventory inventory;
  FirmwareScopes scopes;
  // nullopt: the reservation could not be determined at all. Empty: known, and nothing is reserved.
  std::optional<std::vector<Reservation>> reservations;
  Known<bool> crash_kernel_loaded;        // kexec_crash_image != NULL
  std::optional<CrashImage> crash_image;  // nothing when none was loaded or that is not known
  CaptureFacts capture;
  Known<std::vector<PhysRange>> firmware_reserved;  // iomem_resource "Reserved"
  Known<std::vector<PhysRange>>
      system_ram;  // iomem_resource "System RAM" (and the container's RAM as a rival claim)
};

// Reads everything above. Missing pieces are diagnostics that name symbol, type or member, and
// leave the field unknown; only a dump in which no kernel can be found at all, and for which the
// user gives no unit either, is an error, and a vmlinux of another kernel or a file that is no DMAR
// table (kUsage).
Result<MachineState> DiscoverMachine(const Dump& dump, MemorySession& session, DiagnosticSink& sink,
                                     const DiscoveryOptions& options = {});

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_MACHINE_H_
