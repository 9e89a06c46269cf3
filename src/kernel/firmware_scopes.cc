// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/firmware_scopes.h"

#include <fmt/format.h>

#include <utility>

#include "kernel/kernel_view.h"
#include "kernel/scope_array.h"
#include "kernel/type_view.h"

namespace dmaudit {
namespace {

struct List {
  ScopeKind kind;
  const char* symbol;
  const char* type;
  // Type of the copy of the firmware's structure that `hdr` points to; it holds the segment.
  const char* header;
  const char* flag;  // member; empty: none
};
constexpr List kLists[] = {
    {ScopeKind::kUnit, "dmar_drhd_units", "dmar_drhd_unit", "", "include_all"},
    {ScopeKind::kReservedMemory, "dmar_rmrr_units", "dmar_rmrr_unit", "acpi_dmar_reserved_memory",
     ""},
    {ScopeKind::kAtsRoot, "dmar_atsr_units", "dmar_atsr_unit", "acpi_dmar_atsr", "include_all"},
    {ScopeKind::kAtsDevices, "dmar_satc_units", "dmar_satc_unit", "acpi_dmar_satc",
     "atc_required"}};

class ScopeReader {
 public:
  explicit ScopeReader(const KernelView& kernel) : kernel_(kernel) {}

  FirmwareScopes Read() {
    out_.complete = out_.units_complete = true;
    for (const List& list : kLists) ReadList(list);
    return std::move(out_);
  }

 private:
  void Failed(const List& list, const Error& error) {
    ReportFailure(kernel_.sink, Effect::kNote,
                  fmt::format("{} (scopes that firmware declares)", list.symbol), error);
    out_.complete = false;
    if (list.kind == ScopeKind::kUnit) out_.units_complete = false;
  }

  void ReadList(const List& list) {
    // Kernels before 5.15 have no list of SATCs.
    if (list.kind == ScopeKind::kAtsDevices && !kernel_.symbols.Has(list.symbol)) return;
    const Result<KernelVa> head = kernel_.symbols.Find(list.symbol);
    if (!head) return Failed(list, head.error());
    const Status walked = WalkList(kernel_.reader, kernel_.types, *head, list.type, "list",
                                   kMaxScopes, [&](const StructView& unit) {
                                     ReadUnit(list, unit);
                                     return true;
                                   });
    if (!walked) Failed(list, walked.error());
  }

  void ReadUnit(const List& list, const StructView& unit) {
    FirmwareScope scope;
    scope.kind = list.kind;
    scope.place = fmt::format("{} @ {:#x}", list.type, unit.address().value());
    if (list.kind == ScopeKind::kUnit) {
      const Result<uint64_t> registers = unit.Integer("reg_base_addr");
      if (registers) scope.registers = PhysAddr(*registers);
    }
    if (list.kind == ScopeKind::kReservedMemory && !ReadRange(list, unit, scope)) return;
    if (*list.flag != '\0') {
      const Result<uint64_t> flag = unit.Integer(list.flag);
      scope.flag = std::nullopt;
      if (flag) {
        scope.flag = *flag != 0;
      } else {
        Failed(list, flag.error());
      }
    }
    ReadSegment(list, unit, scope);
    if (const Status read = ReadDevices(unit, scope); !read) {
      scope.whole = false;
      Failed(list, read.error());
    }
    out_.scopes.push_back(std::move(scope));
  }

  bool ReadRange(const List& list, const StructView& unit, FirmwareScope& scope) {
    const Result<uint64_t> first = unit.Integer("base_address");
    const Result<uint64_t> last = unit.Integer("end_address");
    for (const auto* value : {&first, &last}) {
      if (!*value) return Failed(list, value->error()), false;
    }
    if (*last < *first) {
      Failed(list, {ErrorCode::kMalformed, fmt::format("{} ends at {:#x} before it begins at {:#x}",
                                                       scope.place, *last, *first)});
      return false;
    }
    scope.range = PhysRange{PhysAddr(*first), PhysAddr(*last)};
    return true;
  }

  void ReadSegment(const List& list, const StructView& unit, FirmwareScope& scope) {
    if (list.kind == ScopeKind::kUnit) {
      const Result<uint64_t> segment = unit.Integer("segment");
      if (segment) {
        scope.segment = static_cast<uint16_t>(*segment);
      } else {
        Failed(list, segment.error());
      }
      return;
    }
    const Result<KernelVa> header = unit.Pointer("hdr");
    if (header && header->value() != 0) {
      const StructView copy(kernel_.reader, kernel_.types, *header, list.header);
      const Result<uint64_t> segment = copy.Integer("segment");
      if (segment) {
        scope.segment = static_cast<uint16_t>(*segment);
        return;
      }
      // The header can be a copy, or lie in the ACPI table, which is not in a dump.
      scope.segment = OnlySegment();
      if (!scope.segment) return Failed(list, segment.error());
    } else {
      scope.segment = OnlySegment();
    }
    if (!scope.segment) return;
    scope.origin = Origin::kDerived;
    scope.place += ", segment of all units";
  }

  // The segment of all units (their list comes first), if it is one.
  std::optional<uint16_t> OnlySegment() const {
    if (!out_.units_complete) return std::nullopt;  // one that was not read may have another
    std::optional<uint16_t> only;
    for (const FirmwareScope& scope : out_.scopes) {
      if (scope.kind != ScopeKind::kUnit) continue;
      if (!scope.segment || (only && *only != *scope.segment)) return std::nullopt;
      only = scope.segment;
    }
    return only;
  }

  Status ReadDevices(const StructView& unit, FirmwareScope& scope) {
    const Result<uint64_t> count = unit.Integer("devices_cnt");
    if (!count) return tl::unexpected<Error>(count.error());
    if (*count > kMaxScopeDevices - devices_) {
      return Fail(ErrorCode::kLimit, "{} lists {} devices", scope.place, *count);
    }
    devices_ += *count;
    const auto add = [&](const std::optional<ScopeDevice>& device) {
      if (!device) {
        ++scope.absent;
      } else if (!scope.segment) {
        ++scope.unplaced;
      } else {
        scope.devices.push_back(Bdf{*scope.segment, device->bus, device->devfn});
      }
    };
    return VisitScopeDevices(kernel_, unit, *count, add);
  }

  const KernelView& kernel_;
  FirmwareScopes out_;
  uint64_t devices_ = 0;
};

}  // namespace

std::string_view ToString(ScopeKind kind) {
  switch (kind) {
    case ScopeKind::kUnit:
      return "DRHD";
    case ScopeKind::kReservedMemory:
      return "RMRR";
    case ScopeKind::kAtsRoot:
      return "ATSR";
    case ScopeKind::kAtsDevices:
      return "SATC";
  }
  return "DRHD";
}

FirmwareScopes DiscoverScopes(const KernelView& kernel) { return ScopeReader(kernel).Read(); }

}  // namespace dmaudit
