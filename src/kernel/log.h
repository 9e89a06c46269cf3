// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel log buffer, record by record, out of the dump.
#ifndef DMAUDIT_KERNEL_LOG_H_
#define DMAUDIT_KERNEL_LOG_H_

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/diagnostics.h"
#include "base/result.h"
#include "kernel/kernel_reader.h"
#include "kernel/vmcoreinfo.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

struct LogRecord {
  uint64_t sequence = 0;     // the kernel's own number; counted from the oldest record before 5.10
  uint64_t nanoseconds = 0;  // since boot
  std::string_view text;     // may hold newlines and anything else; valid during the call
};

// Calls `visit` for every readable record, oldest first, until it returns false. A record whose
// text was redacted is passed over silently; one that is damaged or unreadable is a diagnostic (a
// note: the log is no place where findings live). Reading is search; a record for which `visit`
// says `keep` is read again as evidence. The layout is chosen by what VMCOREINFO describes: the
// lockless ring buffer (5.10+), the record buffer (3.5-5.9); the older byte ring is not read.
//
// Notes, one of each kind: "log.damaged", "log.unreadable", "log.limit". An error when VMCOREINFO
// describes no log that is read here (kNotFound, kUnsupported), when the buffer's own control words
// are not known (kUnknown) or make no sense (kMalformed).
enum class LogVerdict : uint8_t { kSkip, kKeep, kStop };
Status ReadLog(const Vmcoreinfo& vmcoreinfo, KernelReader& reader, MemorySession& session,
               DiagnosticSink& sink, const std::function<LogVerdict(const LogRecord&)>& visit);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_LOG_H_
