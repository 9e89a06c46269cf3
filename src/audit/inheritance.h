// SPDX-License-Identifier: GPL-2.0-or-later
// What a capture kernel does with the tables that it finds in use, and what becomes of DMA that
// goes on meanwhile. A prediction from the dump alone: the rules are those of Linux, the values
// those of the crashed kernel and of the capture kernel's command line. What is not known is not
// chosen: every outcome that it leaves open is listed, with what it depends on.
#ifndef DMAUDIT_AUDIT_INHERITANCE_H_
#define DMAUDIT_AUDIT_INHERITANCE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/audit.h"
#include "base/diagnostics.h"
#include "base/known.h"
#include "base/result.h"
#include "kernel/iommu_arguments.h"
#include "vmcore/dump.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// DMA translation of one unit.
enum class TableFate : uint8_t {
  kCopied,       // root and context tables are copied, translation never stops
  kMisread,      // copied as if they were of another format
  kRefused,      // not copied: translation off for a moment, then on with empty tables
  kSwitchedOff,  // translation off for good
  kEmptied,      // empty tables at once, translation stays on
  kSwitchedOn,   // was off, comes on with empty tables
  kStaysOff,     // was off and stays off
  kUntouched,    // the unit is left as it is
};
// "copied", "misread", "refused", "switched-off", "emptied", "switched-on", "stays-off",
// "untouched".
std::string_view ToString(TableFate fate);

// Interrupt remapping of one unit.
enum class InterruptFate : uint8_t {
  kCopied,       // the table is copied and read as before
  kOtherFormat,  // copied, and its destinations are read as the other kind of APIC ids
  kReplaced,     // an empty table instead of the old one, remapping stays on
  kSwitchedOn,   // was off, comes on with a table of its own
  kStaysOff,     // was off and stays off
  kUntouched,    // goes on through the old table, which nobody changes
};
// "copied", "other-format", "replaced", "switched-on", "stays-off", "untouched".
std::string_view ToString(InterruptFate fate);

template <typename Fate>
struct Possible {
  Fate fate;
  std::string reason;
  // What must hold for it, one way of coming to it each; empty when it is the only outcome.
  std::vector<std::string> when;
};

// DMA of one device that goes on until somebody stops the device.
enum class DmaFate : uint8_t {
  kGoesOn,          // to the same memory as before
  kPhysical,        // its I/O virtual addresses become physical addresses
  kGapThenBlocked,  // physical for a moment, then blocked
  kBlocked,         // no request gets through
  kUnpredictable,   // through tables read in a wrong format
  kGapThenUnknown,  // physical for a moment, then blocked or physical for good
  kUnknown,         // blocked or physical
};
// "goes-on", "physical", "gap-then-blocked", "blocked", "unpredictable", "gap-then-unknown",
// "unknown".
std::string_view ToString(DmaFate fate);

// Live ranges of a domain, taken as physical addresses.
struct AddressHits {
  uint64_t ranges = 0;
  uint64_t bytes = 0;
  uint64_t writable_ranges = 0;
  uint64_t writable_bytes = 0;
};

// Where the live I/O virtual addresses of a domain lead when translation is off.
struct UntranslatedReach {
  AddressHits all;
  AddressHits same;  // mapped to the very address: nothing changes for these
  // Of the others.
  std::optional<AddressHits> ram;           // nothing when RAM is not known
  std::optional<AddressHits> crash_kernel;  // nothing when the reservations are not known
  std::optional<AddressHits> image;         // the loaded crash kernel; nothing when not known
  bool complete = true;                     // every live range was seen
};

struct UnitInheritance {
  std::vector<Possible<TableFate>> tables;          // at least one
  std::vector<Possible<InterruptFate>> interrupts;  // at least one
};

struct DeviceInheritance {
  std::vector<DmaFate> dma;  // one for each of its unit's tables; one where it is behind no unit
  // What is known of a driver that would stop the device once the capture kernel runs.
  std::string driver_note;
  bool driver_blocked = false;  // the command line keeps its module from being loaded
};

struct Inheritance {
  // Claims in the order of their strength; the user's word replaces what the dump says.
  Known<std::string> command_line;
  std::string no_command_line;  // why it is not known
  IommuArguments arguments;     // of command_line
  // Whether devices get pass-through domains where tables start empty.
  std::optional<bool> passthrough;
  // Parallel to units, devices and domains of the audit.
  std::vector<UnitInheritance> units;
  std::vector<DeviceInheritance> devices;
  std::vector<std::optional<UntranslatedReach>> reach;  // where translation may go off
  std::vector<DeviceInheritance> untranslated;          // parallel to AuditResult::untranslated
  // Reasons why the prediction or what it says of devices is not all; empty means complete.
  std::vector<std::string> incomplete_because;
  bool complete() const { return incomplete_because.empty(); }
};

// What is known of the capture kernel itself, beside what the crashed one tells of their build.
struct CaptureKernel {
  Known<std::string> command_line;
  // What it does without an option, where it runs in the dump and was given none.
  std::optional<bool> driver_default;    // the VT-d driver is on
  std::optional<bool> scalable_default;  // it wants scalable mode
};

// `audit` as RunAudit gives it, with its diagnostics in `sink`.
Inheritance PredictInheritance(const AuditResult& audit, const CaptureKernel& capture,
                               MemorySession& session, DiagnosticSink& sink);

// The command line: the user's where `given`, else that of the loaded image, else of a capture
// kernel that runs in the dump.
CaptureKernel FindCaptureKernel(const Dump& dump, const AuditResult& audit,
                                const AuditOptions& options,
                                const std::optional<std::string>& given, MemorySession& session);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_INHERITANCE_H_
