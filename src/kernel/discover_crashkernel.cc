// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/discover_crashkernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "kernel/type_view.h"

namespace dmaudit {
namespace {

// Kernels with CMA reservations have room for 4 ranges; leave it room to grow.
constexpr uint32_t kMaxCmaRanges = 64;
// A rounded log line gives whole MiB, rounded down.
constexpr uint64_t kLogRounding = uint64_t{1} << 20;
// Gaps of the dump inside one stretch of RAM, and entries of the resource tree: a crash kernel has
// two reservations.
constexpr size_t kMaxRivals = 16;

std::string Text(const PhysRange& range) {
  return fmt::format("{:#x}-{:#x}", range.first.value(), range.last.value());
}

// The stretches of `within` that the dump does not describe as RAM.
std::vector<PhysRange> Gaps(const PhysicalMemory& memory, const PhysRange& within) {
  std::vector<PhysRange> gaps;
  std::optional<PhysAddr> next = within.first;  // first byte not yet accounted for
  memory.VisitRam([&](PhysRange ram) {
    if (!next || ram.first > within.last || gaps.size() == kMaxRivals) return false;
    if (ram.last < *next) return true;
    if (ram.first > *next) gaps.push_back({*next, PhysAddr(ram.first.value() - 1)});
    next = ram.last.Plus(1);
    return true;
  });
  if (next && *next <= within.last && gaps.size() < kMaxRivals) {
    gaps.push_back({*next, within.last});
  }
  return gaps;
}

class CrashkernelReader {
 public:
  CrashkernelReader(const KernelView& kernel, const PhysicalMemory& memory)
      : kernel_(kernel), memory_(memory) {}

  CrashkernelDiscovery Read() {
    high_known_ = ReadResource(ReservationKind::kHigh);
    low_known_ = ReadResource(ReservationKind::kLow);
    ReadCma();
    CheckCma();
    AddTreeClaims();
    AddLogClaims();
    AddGapClaims();
    ReportDisagreement();

    CrashkernelDiscovery discovery;
    const bool tree_known = kernel_.iomem && kernel_.iomem->complete;
    if (high_known_ || tree_known || !reservations_.empty()) {
      discovery.reservations = std::move(reservations_);
    } else {
      kernel_.sink.Incomplete("kernel.no-reservation",
                              "neither crashk_res nor iomem_resource nor the log tells what is "
                              "reserved for the crash kernel");
    }
    ReadLoaded(discovery);
    return discovery;
  }

 private:
  void Add(ReservationKind kind, PhysRange range, Origin origin, std::string place) {
    Reservation& reservation = reservations_.emplace_back();
    reservation.kind = kind;
    reservation.range.Add(range, origin, std::move(place));
  }

  // Never set, or given back through /sys/kernel/kexec_crash_size down to nothing.
  static bool IsUnset(uint64_t start, uint64_t end) {
    return (start == 0 && end == 0) || (start != 0 && end == start - 1);
  }

  // crashk_res or crashk_low_res. True when it is known what the variable reserves, if anything.
  bool ReadResource(ReservationKind kind) {
    const std::string_view symbol = ToString(kind);
    const Result<KernelVa> address = kernel_.symbols.Find(symbol);
    if (!address) {
      // Where kallsyms has crashk_res, a missing crashk_low_res means a kernel without one.
      if (kind == ReservationKind::kLow && kernel_.symbols.Get("crashk_res") &&
          !kernel_.symbols.Has(symbol)) {
        return true;
      }
      Report(Effect::kIncomplete, "crash kernel reservation", address.error());
      return false;
    }
    variables_.push_back(*address);
    const StructView resource(kernel_.reader, kernel_.types, *address, "resource");
    const Result<uint64_t> start = resource.Integer("start");
    const Result<uint64_t> end = resource.Integer("end");
    for (const auto* failed : {&start, &end}) {
      if (*failed) continue;
      Report(Effect::kIncomplete, symbol, failed->error());
      return false;
    }
    if (IsUnset(*start, *end)) return true;
    if (*end < *start) {
      kernel_.sink.Incomplete("kernel.damaged",
                              "{} at {:#x} ends at {:#x} before it begins at {:#x}", symbol,
                              address->value(), *end, *start);
      return false;
    }
    Add(kind, {PhysAddr(*start), PhysAddr(*end)}, Origin::kKernelObject,
        fmt::format("{} @ {:#x}", symbol, address->value()));
    return true;
  }

  void ReadCma() {
    const std::string_view symbol = ToString(ReservationKind::kCma);
    if (!kernel_.symbols.Has(symbol) && !kernel_.symbols.Has("crashk_cma_cnt")) {
      return;  // before 6.17
    }
    const auto failed = [&](const Error& error) { Report(Effect::kIncomplete, symbol, error); };
    const Result<uint32_t> count = ReadIntVariable(kernel_, "crashk_cma_cnt");
    if (!count) return failed(count.error());
    if (*count == 0) return;
    const Result<KernelVa> base = kernel_.symbols.Find(symbol);
    if (!base) return failed(base.error());
    const Result<uint64_t> size = kernel_.types.SizeOf("range");
    if (!size) return failed(size.error());
    if (*count > kMaxCmaRanges) {
      kernel_.sink.Incomplete("kernel.limit", "crashk_cma_cnt is {}, only {} are read", *count,
                              kMaxCmaRanges);
    }
    for (uint32_t i = 0; i < std::min(*count, kMaxCmaRanges); ++i) {
      // Both factors are at most 32 bits wide.
      const std::optional<KernelVa> at = base->Plus(uint64_t{i} * *size);
      if (!at) return failed({ErrorCode::kMalformed, "out of the address space"});
      const StructView range(kernel_.reader, kernel_.types, *at, "range");
      const Result<uint64_t> start = range.Integer("start");
      const Result<uint64_t> end = range.Integer("end");
      if (!start) return failed(start.error());
      if (!end) return failed(end.error());
      if (*end < *start) {
        kernel_.sink.Incomplete("kernel.damaged", "{}[{}] ends at {:#x} before it begins at {:#x}",
                                symbol, i, *end, *start);
        continue;
      }
      Add(ReservationKind::kCma, {PhysAddr(*start), PhysAddr(*end)}, Origin::kKernelObject,
          fmt::format("{}[{}] @ {:#x}", symbol, i, at->value()));
    }
  }

  // CMA ranges stay as they were reserved at boot: one that is not there any more was lost.
  void CheckCma() {
    const auto found = static_cast<uint64_t>(
        std::count_if(reservations_.begin(), reservations_.end(),
                      [](const Reservation& r) { return r.kind == ReservationKind::kCma; }));
    for (const LogCmaReservation& line : kernel_.log.cma_reservations) {
      if (found >= line.ranges) continue;
      kernel_.sink.Incomplete("kernel.reservation-doubtful", "{}: {} has {} of these",
                              ToString(line.line), ToString(ReservationKind::kCma), found);
      return;
    }
  }

  // The reservation that another source means, too: memory of the CMA ranges is ordinary RAM, and
  // neither tree nor log nor gap shows it.
  Reservation* Match(const PhysRange& range) {
    for (Reservation& reservation : reservations_) {
      if (reservation.kind != ReservationKind::kCma && reservation.range.value().Overlaps(range)) {
        return &reservation;
      }
    }
    return nullptr;
  }

  // "Crash kernel" in /proc/iomem. The variables are linked into the tree themselves, which is no
  // second opinion; anything else of that name is one.
  void AddTreeClaims() {
    if (!kernel_.iomem) return;
    std::vector<const Resource*> unmatched;
    for (const Resource& resource : kernel_.iomem->resources) {
      if (resource.name != "Crash kernel" || unmatched.size() == kMaxRivals) continue;
      const bool is_variable =
          std::find(variables_.begin(), variables_.end(), resource.address) != variables_.end();
      if (is_variable && IsUnset(resource.range.first.value(), resource.range.last.value())) {
        continue;
      }
      Reservation* reservation = Match(resource.range);
      if (reservation == nullptr) {
        unmatched.push_back(&resource);
      } else if (!is_variable && reservation->range.claims().size() < kMaxRivals) {
        reservation->range.Add(resource.range, Origin::kKernelObject, Place(resource));
      }
    }
    // The low reservation exists beside a higher main one only.
    std::sort(unmatched.begin(), unmatched.end(),
              [](const Resource* a, const Resource* b) { return a->range.first > b->range.first; });
    bool high_missing = !high_known_;
    for (const Resource* resource : unmatched) {
      if (high_known_ && low_known_) {
        kernel_.sink.Note("kernel.disagree",
                          "{} is {}, but crashk_res and crashk_low_res do not hold it",
                          Place(*resource), Text(resource->range));
      }
      Add(high_missing ? ReservationKind::kHigh : ReservationKind::kLow, resource->range,
          Origin::kKernelObject, Place(*resource));
      high_missing = false;
    }
  }
  static std::string Place(const Resource& resource) {
    return fmt::format("iomem_resource \"{}\" @ {:#x}", resource.name, resource.address.value());
  }

  void AddLogClaims() {
    for (const LogReservation& line : kernel_.log.reservations) {
      if (Reservation* reservation = Match(line.range)) {
        const PhysRange known = reservation->range.value();
        // A rounded line that fits is the same claim.
        const bool fits = line.rounded && line.range.first == known.first.AlignDown(kLogRounding) &&
                          line.range.size() == (known.size() & ~(kLogRounding - 1));
        reservation->range.Add(fits ? known : line.range, Origin::kLog, ToString(line.line));
        CheckLeftOut(line, &known);
      } else if (line.kind == ReservationKind::kLow ? low_known_ : high_known_) {
        kernel_.sink.Note("kernel.disagree", "{}: {} does not hold this any more",
                          ToString(line.line), ToString(line.kind));
        CheckLeftOut(line, nullptr);
      } else {
        Add(line.kind, line.range, Origin::kLog, ToString(line.line));
      }
    }
  }

  // A reservation can be given back, and then the log alone holds it. But memory that the log says
  // was reserved and that the dump leaves out was the crash kernel's: a variable that lies
  // elsewhere is damaged.
  void CheckLeftOut(const LogReservation& line, const PhysRange* known) {
    for (const PhysRange& gap : Gaps(memory_, line.range)) {
      if (known != nullptr && known->Contains(gap)) continue;
      kernel_.sink.Incomplete(
          "kernel.reservation-doubtful",
          "{} does not hold {}, which {} says and the dump leaves out: where the "
          "crash kernel's memory was is not certain",
          ToString(line.kind), Text(gap), ToString(line.line));
      return;
    }
  }

  // A dump taken through /proc/vmcore leaves the crash kernel's own memory out. Other holes of RAM
  // look the same, so a gap only counts where a reservation is claimed.
  void AddGapClaims() {
    if (!kernel_.iomem) return;
    const std::vector<PhysRange> ram = SystemRam(*kernel_.iomem);
    for (Reservation& reservation : reservations_) {
      if (reservation.kind == ReservationKind::kCma) continue;
      const PhysRange range = reservation.range.value();
      for (const PhysRange& stretch : ram) {
        if (!stretch.Contains(range)) continue;
        for (const PhysRange& gap : Gaps(memory_, stretch)) {
          if (!gap.Overlaps(range)) continue;
          reservation.range.Add(gap, Origin::kContainer, "System RAM that the dump leaves out");
        }
      }
    }
  }

  void ReportDisagreement() {
    for (const Reservation& reservation : reservations_) {
      const auto& chosen = reservation.range.chosen();
      for (const auto& claim : reservation.range.claims()) {
        if (claim.value == chosen.value) continue;
        kernel_.sink.Note("kernel.disagree", "{}: {} by {}, but {} by {}",
                          ToString(reservation.kind), Text(chosen.value), chosen.place,
                          Text(claim.value), claim.place);
      }
    }
  }

  void ReadLoaded(CrashkernelDiscovery& discovery) {
    const Result<KernelVa> address = kernel_.symbols.Find("kexec_crash_image");
    if (!address) return Report(Effect::kNote, "loaded crash kernel", address.error());
    const Result<uint64_t> image = kernel_.reader.ReadU64(*address);
    if (!image) return Report(Effect::kNote, "kexec_crash_image", image.error());
    discovery.loaded.Add(*image != 0, Origin::kKernelObject,
                         fmt::format("kexec_crash_image @ {:#x}", address->value()));
    if (*image != 0) discovery.image = ReadCrashImage(kernel_, KernelVa(*image));
    const auto is_main = [](const Reservation& r) { return r.kind == ReservationKind::kHigh; };
    if (*image != 0 && discovery.reservations &&
        std::none_of(discovery.reservations->begin(), discovery.reservations->end(), is_main)) {
      // Loading needs memory in crashk_res, and while a kernel is loaded that cannot be given back.
      kernel_.sink.Incomplete("kernel.reservation-doubtful",
                              "a crash kernel was loaded (kexec_crash_image is {:#x}), but where "
                              "its memory is reserved is not known",
                              *image);
    }
  }

  void Report(Effect effect, std::string_view context, const Error& error) {
    ReportFailure(kernel_.sink, effect, context, error);
  }

  const KernelView& kernel_;
  const PhysicalMemory& memory_;
  std::vector<Reservation> reservations_;
  std::vector<KernelVa> variables_;  // addresses of crashk_res and crashk_low_res
  bool high_known_ = false;
  bool low_known_ = false;
};

}  // namespace

CrashkernelDiscovery DiscoverCrashkernel(const KernelView& kernel, const PhysicalMemory& memory) {
  return CrashkernelReader(kernel, memory).Read();
}

}  // namespace dmaudit
