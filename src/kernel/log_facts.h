// SPDX-License-Identifier: GPL-2.0-or-later
// Facts that the kernel printed into its log: the crash kernel's reservation, the DMAR units, DMA
// faults, the reason of the panic. A log can be written to by programs (/dev/kmsg) and old lines
// are overwritten, so these are claims to hold against stronger sources, each with its line.
#ifndef DMAUDIT_KERNEL_LOG_FACTS_H_
#define DMAUDIT_KERNEL_LOG_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "kernel/log.h"
#include "kernel/machine.h"

namespace dmaudit {

// Where a fact was read. May hold anything: escape on output.
struct LogLine {
  uint64_t sequence = 0;
  uint64_t nanoseconds = 0;  // since boot
  std::string text;          // one line, without the time stamp, cut at kMaxLine

  static constexpr size_t kMaxLine = 2048;  // more than printk ever puts into one record
};
// "log record 42: <text>", for Known<T>::Add.
std::string ToString(const LogLine& line);

// A stretch the kernel says it reserved at boot. It can have been shrunk since through
// /sys/kernel/kexec_crash_size.
struct LogReservation {
  ReservationKind kind = ReservationKind::kHigh;  // never kCma: the log has no addresses of those
  // The printed end of "crashkernel reserved: A - B" is exclusive; this range has its last byte.
  PhysRange range;
  // The line gives whole MiB only ("Reserving %ldMB of memory at %ldMB"): start and size were
  // rounded down.
  bool rounded = false;
  LogLine line;
};

// "crashkernel CMA reserved: N MB in M ranges": sizes alone.
struct LogCmaReservation {
  uint64_t mebibytes = 0;  // reserved, which may be less than was asked for
  uint64_t ranges = 0;
  LogLine line;
};

// "dmarN: reg_base_addr ... ver M:m cap ... ecap ..."; "IOMMU N: ..." before 3.14.
struct LogUnit {
  uint64_t index = 0;
  PhysAddr registers;
  uint64_t version_major = 0;
  uint64_t version_minor = 0;
  uint64_t cap = 0;
  uint64_t ecap = 0;
  LogLine line;
};

// A recorded DMA fault. The kernel prints neither segment nor unit.
struct LogFault {
  uint8_t bus = 0;
  uint8_t devfn = 0;
  std::optional<Pasid> pasid;
  Iova iova;
  bool write = false;
  std::optional<uint8_t> reason;  // nothing when its line was lost
  LogLine line;
};

struct LogHostAddressWidth {
  unsigned bits = 0;
  LogLine line;
};

struct LogCommandLine {
  std::string text;  // printk cuts long ones
  LogLine line;
};

enum class FlushPolicy : uint8_t { kLazy, kStrict };
struct LogFlushPolicy {
  FlushPolicy policy = FlushPolicy::kLazy;
  LogLine line;
};

struct LogDefaultDomain {
  std::string type;  // "Translated", "Passthrough", ...
  LogLine line;
};

struct LogFacts {
  // Budgets. The kernel prints one line a reservation, and supports at most 1024 units; faults are
  // rate-limited, but a long-lived machine can have printed any number.
  static constexpr size_t kMaxReservations = 8;
  static constexpr size_t kMaxUnits = 1024;
  static constexpr size_t kMaxFaults = 256;

  std::vector<LogReservation> reservations;
  std::vector<LogCmaReservation> cma_reservations;
  std::vector<LogUnit> units;
  std::vector<LogHostAddressWidth> host_address_widths;  // differing claims only
  std::optional<LogCommandLine> command_line;
  std::optional<LogLine> iommu_enabled;  // "DMAR: IOMMU enabled": the option, not yet the hardware
  std::optional<LogDefaultDomain> default_domain;
  std::optional<LogFlushPolicy> flush_policy;
  std::optional<LogLine> amd_vi;  // a line that only a kernel with an AMD IOMMU prints
  std::vector<LogFault> faults;   // oldest first, the first kMaxFaults
  uint64_t faults_seen = 0;
  uint64_t interrupt_faults_seen = 0;  // interrupt remapping faults: counted, not kept

  // Why the kernel died, as crash(8) would choose: the panic's own words where they say something,
  // otherwise the exception or the SysRq that led to it.
  std::optional<LogLine> panic;

  uint64_t records = 0;  // records looked at
};

// Takes records in the order of the log, one by one.
class LogFactsCollector {
 public:
  // kKeep when the record told something: the records kept, taken alone, tell the same again. (Only
  // counts differ: of all records, and of faults beyond kMaxFaults.)
  LogVerdict Take(const LogRecord& record);
  // Call once, after the last record.
  LogFacts Finish();

 private:
  // Each says whether the line told something.
  bool TakeLine(const LogRecord& record, std::string_view text);
  bool TakeReservation(const LogLine& line);
  bool TakeFault(const LogLine& line);
  bool TakeIommu(const LogLine& line);
  bool TakePanic(const LogLine& line);

  LogFacts facts_;
  bool reason_pending_ = false;  // the last line was a fault whose reason is on the next one
  bool in_oops_ = false;
  // The lines that may say why the kernel died, by kind.
  std::optional<LogLine> panic_, sysrq_, exception_, oops_, bug_;
};

// One pass over the log of a dump. Errors and diagnostics are those of ReadLog; notes that a budget
// ran out are "log.limit".
Result<LogFacts> ReadLogFacts(const Vmcoreinfo& vmcoreinfo, KernelReader& reader,
                              MemorySession& session, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_LOG_FACTS_H_
