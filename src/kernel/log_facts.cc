// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/log_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "kernel/log_lines.h"

namespace dmaudit {
namespace {

using log_lines::From;

template <typename T>
bool Append(std::vector<T>& list, size_t limit, T value) {
  if (list.size() >= limit) return false;
  list.push_back(std::move(value));
  return true;
}

// Sets what is not set yet: the kernel's own line comes before any echo of it.
template <typename T>
bool SetFirst(std::optional<T>& slot, T value) {
  if (slot) return false;
  slot = std::move(value);
  return true;
}

bool StartsOneOf(std::string_view line, std::span<const std::string_view> patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [line](std::string_view pattern) { return From(line, pattern).has_value(); });
}

}  // namespace

std::string ToString(const LogLine& line) {
  return fmt::format("log record {}: {}", line.sequence, line.text);
}

LogVerdict LogFactsCollector::Take(const LogRecord& record) {
  ++facts_.records;
  bool told = false;
  std::string_view rest = record.text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    told |= TakeLine(record, rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return told ? LogVerdict::kKeep : LogVerdict::kSkip;
}

bool LogFactsCollector::TakeLine(const LogRecord& record, std::string_view text) {
  while (text.ends_with('\r')) text.remove_suffix(1);
  text = log_lines::WithoutTimeStamp(text).substr(0, LogLine::kMaxLine);
  const LogLine line{record.sequence, record.nanoseconds, std::string(text)};
  return TakeFault(line) || TakePanic(line) || TakeReservation(line) || TakeIommu(line);
}

bool LogFactsCollector::TakeReservation(const LogLine& line) {
  if (const auto found = log_lines::ParseReservation(line.text)) {
    return Append(facts_.reservations, LogFacts::kMaxReservations,
                  {found->low ? ReservationKind::kLow : ReservationKind::kHigh, found->range,
                   found->rounded, line});
  }
  if (const auto found = log_lines::ParseCmaReservation(line.text)) {
    return Append(facts_.cma_reservations, LogFacts::kMaxReservations,
                  {found->mebibytes, found->ranges, line});
  }
  return false;
}

bool LogFactsCollector::TakeFault(const LogLine& line) {
  if (std::exchange(reason_pending_, false)) {
    if (const auto reason = log_lines::ParseFaultReason(line.text)) {
      facts_.faults.back().reason = *reason;
      return true;
    }
  }
  if (const auto found = log_lines::ParseFault(line.text)) {
    ++facts_.faults_seen;
    const bool kept = Append(
        facts_.faults, LogFacts::kMaxFaults,
        {found->bus, found->devfn, found->pasid, found->iova, found->write, found->reason, line});
    reason_pending_ = kept && !found->reason;
    return kept;
  }
  return log_lines::IsInterruptFault(line.text) &&
         facts_.interrupt_faults_seen++ < LogFacts::kMaxFaults;
}

bool LogFactsCollector::TakeIommu(const LogLine& line) {
  if (const auto unit = log_lines::ParseUnit(line.text)) {
    return Append(facts_.units, LogFacts::kMaxUnits,
                  {unit->index, unit->registers, unit->version_major, unit->version_minor,
                   unit->cap, unit->ecap, line});
  }
  if (const auto bits = log_lines::ParseHostAddressWidth(line.text)) {
    const auto same = [&bits](const LogHostAddressWidth& known) { return known.bits == *bits; };
    auto& widths = facts_.host_address_widths;
    if (std::any_of(widths.begin(), widths.end(), same)) return false;
    return Append(widths, LogFacts::kMaxReservations, {*bits, line});
  }
  // "Kernel command line: " is printed later, and in some kernels over several records.
  constexpr std::string_view kCommandLine = "Command line: ";
  if (line.text.starts_with(kCommandLine)) {
    return SetFirst(facts_.command_line, {line.text.substr(kCommandLine.size()), line});
  }
  constexpr std::array<std::string_view, 2> kEnabled = {"DMAR: IOMMU enabled",
                                                        "Intel-IOMMU: enabled"};
  if (StartsOneOf(line.text, kEnabled)) return SetFirst(facts_.iommu_enabled, line);
  constexpr std::string_view kDomain = "Default domain type: ";
  if (const auto text = From(line.text, kDomain)) {
    const std::string_view type = text->substr(kDomain.size());
    return SetFirst(facts_.default_domain, {std::string(type.substr(0, type.find(' '))), line});
  }
  constexpr std::array<std::string_view, 1> kLazy = {
      "DMA domain TLB invalidation policy: lazy mode"};
  if (StartsOneOf(line.text, kLazy)) {
    return SetFirst(facts_.flush_policy, {FlushPolicy::kLazy, line});
  }
  constexpr std::array<std::string_view, 3> kStrict = {
      "DMA domain TLB invalidation policy: strict mode",
      // intel_iommu=strict up to 5.13
      "Disable batched IOTLB flush",
      "disable batched IOTLB flush",
  };
  if (StartsOneOf(line.text, kStrict)) {
    return SetFirst(facts_.flush_policy, {FlushPolicy::kStrict, line});
  }
  if (log_lines::IsAmdViEvidence(line.text)) return SetFirst(facts_.amd_vi, line);
  return false;
}

bool LogFactsCollector::TakePanic(const LogLine& line) {
  constexpr std::array<std::string_view, 2> kPanic = {"Kernel panic - not syncing",
                                                      "Kernel panic: "};
  constexpr std::array<std::string_view, 2> kSysrq = {"SysRq : Trigger a crash",
                                                      "sysrq: Trigger a crash"};
  // First lines of an exception that ends the task or the kernel; "Oops: " with a word since 6.9.
  constexpr std::array<std::string_view, 12> kException = {
      "BUG: unable to handle ",
      "BUG: kernel NULL pointer dereference",
      "BUG: stack guard page was hit",
      "Unable to handle kernel ",
      "kernel BUG at ",
      "Kernel BUG at ",
      "general protection fault",
      "double fault: ",
      "divide error: ",
      "stack segment: ",
      "invalid opcode: ",
      "PANIC: double fault",
  };
  // What follows a panic is the trace of it, and of the other CPUs.
  if (panic_) return false;
  if (StartsOneOf(line.text, kPanic)) return SetFirst(panic_, line);
  if (StartsOneOf(line.text, kSysrq)) {
    sysrq_ = line;
    return true;
  }
  const auto oops = From(line.text, "Oops: ");
  const bool numbered = oops && oops->size() > 6 && (*oops)[6] >= '0' && (*oops)[6] <= '9';
  if (StartsOneOf(line.text, kException) || (oops && !numbered)) {
    // Later lines of the same exception say less than the first.
    if (std::exchange(in_oops_, true)) return false;
    exception_ = line;
    return true;
  }
  if (numbered) return SetFirst(oops_, line);
  if (From(line.text, "---[ end trace ")) return std::exchange(in_oops_, false);
  if (From(line.text, "BUG: ")) return SetFirst(bug_, line);
  return false;
}

LogFacts LogFactsCollector::Finish() {
  // A panic after an exception has nothing to add ("Fatal exception"), and before 4.20 SysRq c
  // crashed through a null pointer on purpose.
  const bool panic_says_little =
      panic_ && panic_->text.find("not syncing: Fatal exception") != std::string::npos;
  if (panic_ && !panic_says_little) {
    facts_.panic = panic_;
  } else {
    for (const auto* candidate : {&sysrq_, &exception_, &oops_, &panic_, &bug_}) {
      if (*candidate) {
        facts_.panic = *candidate;
        break;
      }
    }
  }
  return std::move(facts_);
}

Result<LogFacts> ReadLogFacts(const Vmcoreinfo& vmcoreinfo, KernelReader& reader,
                              MemorySession& session, DiagnosticSink& sink) {
  LogFactsCollector collector;
  const Status status =
      ReadLog(vmcoreinfo, reader, session, sink,
              [&collector](const LogRecord& record) { return collector.Take(record); });
  if (!status) return tl::unexpected<Error>(status.error());
  LogFacts facts = collector.Finish();
  if (facts.faults_seen > facts.faults.size()) {
    sink.Note("log.limit", "kernel log: {} DMA faults, only the first {} are kept",
              facts.faults_seen, facts.faults.size());
  }
  return facts;
}

}  // namespace dmaudit
