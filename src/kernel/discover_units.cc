// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/discover_units.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>

#include "base/number.h"
#include "kernel/firmware_scopes.h"
#include "kernel/scope_array.h"
#include "kernel/type_view.h"

namespace dmaudit {
namespace {

constexpr uint64_t kPageMask = ~uint64_t{0xfff};

// Bits of ECAP_REG that decide how the kernel programs a unit.
constexpr uint64_t kEcapExtendedContext = uint64_t{1} << 24;  // ECS, withdrawn
constexpr uint64_t kEcapScalableMode = uint64_t{1} << 43;     // SMTS
// Translation table mode in RTADDR_REG.
constexpr uint64_t kRtaddrScalable = uint64_t{1} << 10;
constexpr uint64_t kRtaddrExtended = uint64_t{1} << 11;
// IQA_REG: wide descriptors and a queue of two pages, as the kernel sets both with SMTS.
constexpr uint64_t kIqaWide = uint64_t{1} << 11;
constexpr uint64_t kIqaTwoPages = 1;
// IRTA_REG: extended interrupt mode, and 2^(15+1) entries.
constexpr uint64_t kIrtaExtended = uint64_t{1} << 11;
constexpr uint64_t kIrtaEntries = 0xf;
// PQA_REG: 2^4 pages.
constexpr uint64_t kPqaPages = 4;
constexpr uint32_t kGcmdTranslation = uint32_t{1} << 31;  // TE
// intel_iommu.flags: translation was on when this kernel took the unit over.
constexpr uint64_t kFlagTranslationPreEnabled = 1;

// A unit is printed once per boot; a log that repeats it adds nothing.
constexpr size_t kMaxLogLines = 4;

// A scope entry takes at least 6 bytes of a DMAR structure, whose length is 16 bits.
constexpr uint64_t kMaxScope = 65535 / 6;

// What is asked once for all units.
struct Globals {
  Result<uint32_t> scalable_mode = Fail(ErrorCode::kNotFound, "");
  Result<uint32_t> extended_context = Fail(ErrorCode::kNotFound, "");
  Result<uint32_t> eim_mode = Fail(ErrorCode::kNotFound, "");
  Result<uint32_t> enabled = Fail(ErrorCode::kNotFound, "");
};

// The translation table mode, or nothing when it cannot be told.
std::optional<uint64_t> TableMode(const KernelView& kernel, const UnitState& unit,
                                  const std::string& label, const Globals& globals) {
  if (!unit.ecap) return std::nullopt;
  for (const auto& claim : unit.ecap.claims()) {
    // Read in the wrong mode, tables look rejected or empty.
    if (((claim.value ^ unit.ecap.value()) & (kEcapScalableMode | kEcapExtendedContext)) != 0) {
      kernel.sink.Incomplete(
          "kernel.disagree", "{}: the table mode is not known: ECAP is {:#x} by {}, {:#x} by {}",
          label, unit.ecap.value(), unit.ecap.chosen().place, claim.value, claim.place);
      return std::nullopt;
    }
  }
  const auto variable = [&](std::string_view symbol, const Result<uint32_t>& value,
                            uint64_t capability) -> std::optional<bool> {
    if ((unit.ecap.value() & capability) == 0) return false;
    if (value) return *value != 0;
    // Where dmar_drhd_units is found, there are data symbols: a missing variable means a kernel
    // without the mode.
    const bool has_data_symbols = kernel.symbols.Has("dmar_drhd_units");
    if (!kernel.symbols.Has(symbol) && has_data_symbols) return false;
    if (!has_data_symbols) return std::nullopt;
    ReportFailure(kernel.sink, Effect::kIncomplete, label, value.error());
    return std::nullopt;
  };
  const std::optional<bool> scalable =
      variable("intel_iommu_sm", globals.scalable_mode, kEcapScalableMode);
  const std::optional<bool> extended =
      variable("intel_iommu_ecs", globals.extended_context, kEcapExtendedContext);
  if (!scalable || !extended) return std::nullopt;
  if (*scalable) return kRtaddrScalable;
  return *extended ? kRtaddrExtended : 0;
}

class UnitReader {
 public:
  // `scopes_left`: of kMaxScopeDevices, for all units: a crafted dump can lead every one to the
  // same array.
  UnitReader(const KernelView& kernel, const Globals& globals, const StructView& drhd,
             uint64_t& scopes_left)
      : kernel_(kernel), globals_(globals), drhd_(drhd), scopes_left_(scopes_left) {}

  UnitState Read() {
    ReadDrhd();
    const Result<KernelVa> iommu = drhd_.Pointer("iommu");
    if (!iommu) {
      Report(Effect::kIncomplete, iommu.error());
    } else if (iommu->value() == 0) {
      if (!unit_.ignored) {
        kernel_.sink.Incomplete("kernel.no-iommu", "{}: {} is null: nothing is known of the unit",
                                Label(), drhd_.Place("iommu"));
      }
    } else {
      ReadIommu(StructView(kernel_.reader, kernel_.types, *iommu, "intel_iommu"));
    }
    AddOutsideClaims();
    AddRootTable();
    return std::move(unit_);
  }

 private:
  std::string Label() const {
    if (!unit_.name.empty()) return unit_.name;
    if (unit_.register_base) {
      return fmt::format("unit at {:#x}", unit_.register_base.value().value());
    }
    return fmt::format("unit of dmar_drhd_unit {:#x}", drhd_.address().value());
  }
  void Report(Effect effect, const Error& error) {
    ReportFailure(kernel_.sink, effect, Label(), error);
  }

  void ReadDrhd() {
    if (const Result<uint64_t> base = drhd_.Integer("reg_base_addr")) {
      unit_.register_base.Add(PhysAddr(*base), Origin::kKernelObject, drhd_.Place("reg_base_addr"));
    } else {
      Report(Effect::kIncomplete, base.error());
    }
    if (const Result<uint64_t> segment = drhd_.Integer("segment")) {
      unit_.segment = static_cast<uint16_t>(*segment);
    } else {
      Report(Effect::kIncomplete, segment.error());
    }
    if (const Result<uint64_t> ignored = drhd_.Integer("ignored")) {
      unit_.ignored = *ignored != 0;
      if (unit_.ignored) ReadScope();
    } else {
      Report(Effect::kIncomplete, ignored.error());
    }
  }

  // How many devices of an ignored unit's scope exist: the kernel ignores a unit that has none,
  // which is harmless, and the one of the integrated graphics when told so, which is not. What
  // cannot be read stays unknown.
  void ReadScope() {
    const Result<uint64_t> covers_rest = drhd_.Integer("include_all");
    const Result<uint64_t> count = drhd_.Integer("devices_cnt");
    if (!covers_rest || *covers_rest != 0 || !count) return;
    if (*count > std::min(kMaxScope, scopes_left_)) return;
    scopes_left_ -= *count;
    uint64_t present = 0;
    const auto add = [&](const std::optional<ScopeDevice>& device) {
      present += device.has_value();
    };
    if (!VisitScopeDevices(kernel_, drhd_, *count, add)) return;
    unit_.scope_devices.Add(present, Origin::kKernelObject, drhd_.Place("devices"));
  }

  void ReadIommu(const StructView& iommu) {
    const Result<std::string> name = iommu.Text("name");
    if (name) {
      unit_.name = *name;
    } else {
      // The whole structure is unreadable or unknown; one line says it, the members add nothing.
      ReportFailure(
          kernel_.sink, Effect::kIncomplete,
          fmt::format("{}: struct intel_iommu at {:#x}", Label(), iommu.address().value()),
          name.error());
      if (name.error().code == ErrorCode::kUnknown) return;
    }
    ReadRegisterCopies(iommu);
    CheckIdentity(iommu);
    if (const Result<KernelVa> root = iommu.Pointer("root_entry")) {
      root_entry_ = {*root, iommu.Place("root_entry")};
    } else {
      Report(Effect::kIncomplete, root.error());
    }
    ReadQueues(iommu);
    ReadInheritance(iommu);
  }

  void ReadRegisterCopies(const StructView& iommu) {
    if (iommu.Has("reg_phys")) {
      if (const Result<uint64_t> base = iommu.Integer("reg_phys")) {
        unit_.register_base.Add(PhysAddr(*base), Origin::kKernelObject, iommu.Place("reg_phys"));
        if (unit_.register_base.disagrees()) {
          kernel_.sink.Note("kernel.disagree", "{}: {} is {:#x}, but {} is {:#x}", Label(),
                            drhd_.Place("reg_base_addr"), unit_.register_base.value().value(),
                            iommu.Place("reg_phys"), *base);
        }
      } else {
        Report(Effect::kNote, base.error());
      }
    }
    const auto copy = [&](std::string_view member, auto& known) {
      using Value = std::decay_t<decltype(known.value())>;
      if (const Result<uint64_t> value = iommu.Integer(member)) {
        known.Add(static_cast<Value>(*value), Origin::kKernelShadow, iommu.Place(member));
      } else {
        Report(Effect::kIncomplete, value.error());
      }
    };
    copy("cap", unit_.cap);
    copy("ecap", unit_.ecap);
    copy("gcmd", unit_.gcmd);
  }

  void CheckIdentity(const StructView& iommu) {
    if (const Result<uint64_t> number = iommu.Integer("seq_id")) {
      const std::string expected = fmt::format("dmar{}", *number);
      if (!unit_.name.empty() && unit_.name != expected) {
        kernel_.sink.Note("kernel.disagree", "{}: {} is {}, expected name {}", Label(),
                          iommu.Place("seq_id"), *number, expected);
      }
    }
    if (iommu.Has("segment")) {
      const Result<uint64_t> segment = iommu.Integer("segment");
      if (segment && *segment != unit_.segment) {
        kernel_.sink.Note("kernel.disagree", "{}: {} is {:#x}, but {} is {:#x}", Label(),
                          iommu.Place("segment"), *segment, drhd_.Place("segment"), unit_.segment);
      }
    }
    if (iommu.Has("drhd")) {
      const Result<KernelVa> back = iommu.Pointer("drhd");
      if (back && *back != drhd_.address()) {
        kernel_.sink.Note("kernel.disagree", "{}: {} is {:#x}, but it was reached from {:#x}",
                          Label(), iommu.Place("drhd"), back->value(), drhd_.address().value());
      }
    }
  }

  // The physical page behind a pointer member of a structure that a pointer member leads to.
  // Nothing when a pointer is null, the layout has no such member, or a read fails (a note: no DMA
  // is hidden by it).
  std::optional<uint64_t> PageBehind(const StructView& iommu, std::string_view holder,
                                     std::string_view type, std::string_view member) {
    if (!iommu.Has(holder)) return std::nullopt;
    Result<KernelVa> pointer = iommu.Pointer(holder);
    if (pointer && pointer->value() != 0 && !type.empty()) {
      pointer =
          StructView(kernel_.reader, kernel_.types, *pointer, std::string(type)).Pointer(member);
    }
    if (!pointer) {
      Report(Effect::kNote, pointer.error());
      return std::nullopt;
    }
    if (pointer->value() == 0) return std::nullopt;
    const Result<PhysAddr> physical = kernel_.reader.Translate(*pointer);
    if (!physical) {
      Report(Effect::kNote, physical.error());
      return std::nullopt;
    }
    return physical->value() & kPageMask;
  }

  void ReadQueues(const StructView& iommu) {
    if (unit_.ecap) {
      if (const auto page = PageBehind(iommu, "qi", "q_inval", "desc")) {
        const bool wide = (unit_.ecap.value() & kEcapScalableMode) != 0;
        unit_.iqa.Add(*page | (wide ? kIqaWide | kIqaTwoPages : 0), Origin::kDerived,
                      iommu.Place("qi") + " -> q_inval.desc, ECAP.SMTS");
      }
    }
    if (globals_.eim_mode) {
      if (const auto page = PageBehind(iommu, "ir_table", "ir_table", "base")) {
        unit_.irta.Add(*page | (*globals_.eim_mode != 0 ? kIrtaExtended : 0) | kIrtaEntries,
                       Origin::kDerived, iommu.Place("ir_table") + " -> ir_table.base, eim_mode");
      }
    }
    if (const auto page = PageBehind(iommu, "prq", "", "")) {
      unit_.pqa.Add(*page | kPqaPages, Origin::kDerived, iommu.Place("prq"));
    }
  }

  void ReadInheritance(const StructView& iommu) {
    bool inherited = false;
    bool known = true;
    if (iommu.Has("copied_tables")) {
      const Result<KernelVa> copied = iommu.Pointer("copied_tables");
      inherited = copied && copied->value() != 0;
      known = copied.has_value();
    }
    if (iommu.Has("flags")) {
      const Result<uint64_t> flags = iommu.Integer("flags");
      inherited = inherited || (flags && (*flags & kFlagTranslationPreEnabled) != 0);
      known = known && flags.has_value();
    }
    unit_.inherited = inherited || !known;
    if (inherited) {
      kernel_.sink.Note("kernel.inherited-tables",
                        "{}: translation was on when this kernel took the unit over: context "
                        "entries may be those of the kernel before it",
                        Label());
    }
  }

  // What the log and the resource tree say of the same registers.
  void AddOutsideClaims() {
    if (unit_.register_base) {
      const PhysAddr base = unit_.register_base.value();
      if (kernel_.iomem) {
        for (const Resource& resource : kernel_.iomem->resources) {
          if (resource.range.first != base || !resource.name.starts_with("dmar")) continue;
          unit_.register_base.Add(resource.range.first, Origin::kKernelObject,
                                  fmt::format("iomem_resource \"{}\"", resource.name));
          if (unit_.name.empty()) unit_.name = resource.name;
        }
      }
      size_t lines = 0;
      for (const LogUnit& line : kernel_.log.units) {
        if (line.registers != base) continue;
        if (++lines > kMaxLogLines) break;
        if (unit_.name.empty()) unit_.name = fmt::format("dmar{}", line.index);
        const std::string place = ToString(line.line);
        unit_.version.Add(
            static_cast<uint32_t>((line.version_major & 0xf) << 4 | (line.version_minor & 0xf)),
            Origin::kLog, place);
        unit_.cap.Add(line.cap, Origin::kLog, place);
        unit_.ecap.Add(line.ecap, Origin::kLog, place);
      }
      for (const auto* known : {&unit_.cap, &unit_.ecap}) {
        if (!known->disagrees()) continue;
        kernel_.sink.Note("kernel.disagree", "{}: {} says {:#x}, {} says {:#x}", Label(),
                          known->claims().front().place, known->claims().front().value,
                          known->claims().back().place, known->claims().back().value);
      }
    }
    for (const LogHostAddressWidth& width : kernel_.log.host_address_widths) {
      unit_.host_address_width.Add(width.bits, Origin::kLog, ToString(width.line));
    }
    if (unit_.name.empty()) unit_.name = Label();
    if (!unit_.gcmd && !unit_.ignored && globals_.enabled && *globals_.enabled != 0) {
      unit_.gcmd.Add(kGcmdTranslation, Origin::kDerived,
                     "intel_iommu_enabled = 1: translation was switched on; the other enables are "
                     "not known");
    }
  }

  void AddRootTable() {
    if (!root_entry_) return;
    const auto& [address, place] = *root_entry_;
    if (address.value() == 0) {
      if (unit_.gcmd && (unit_.gcmd.value() & kGcmdTranslation) != 0) {
        kernel_.sink.Incomplete("kernel.no-root-table", "{}: translation is on, but {} is null",
                                Label(), place);
      }
      return;
    }
    const Result<PhysAddr> physical = kernel_.reader.Translate(address);
    if (!physical) {
      Report(Effect::kIncomplete, physical.error());
      return;
    }
    const std::optional<uint64_t> mode = TableMode(kernel_, unit_, Label(), globals_);
    if (!mode) return;
    unit_.rtaddr.Add((physical->value() & kPageMask) | *mode, Origin::kDerived,
                     fmt::format("{} = {:#x}, {}", place, address.value(),
                                 *mode == kRtaddrScalable   ? "intel_iommu_sm and ECAP.SMTS"
                                 : *mode == kRtaddrExtended ? "intel_iommu_ecs and ECAP.ECS"
                                                            : "legacy mode"));
  }

  const KernelView& kernel_;
  const Globals& globals_;
  const StructView& drhd_;
  uint64_t& scopes_left_;
  UnitState unit_;
  std::optional<std::pair<KernelVa, std::string>> root_entry_;
};

// N of "dmarN", for sorting; other names come last.
uint64_t NumberOf(const UnitState& unit) {
  const std::string_view name = unit.name;
  if (!name.starts_with("dmar")) return UINT64_MAX;
  return ParseDecimal(name.substr(4)).value_or(UINT64_MAX);
}

}  // namespace

UnitDiscovery DiscoverUnits(const KernelView& kernel) {
  UnitDiscovery discovery;
  const Result<KernelVa> head = kernel.symbols.Find("dmar_drhd_units");
  if (!head) {
    ReportFailure(kernel.sink, Effect::kIncomplete, "DMAR units", head.error());
    return discovery;
  }
  Globals globals;
  globals.scalable_mode = ReadIntVariable(kernel, "intel_iommu_sm");
  globals.extended_context = ReadIntVariable(kernel, "intel_iommu_ecs");
  globals.eim_mode = ReadIntVariable(kernel, "eim_mode");
  globals.enabled = ReadIntVariable(kernel, "intel_iommu_enabled");
  uint64_t scopes_left = kMaxScopeDevices;
  const Status walked =
      WalkList(kernel.reader, kernel.types, *head, "dmar_drhd_unit", "list", kMaxUnits,
               [&](const StructView& drhd) {
                 discovery.units.push_back(UnitReader(kernel, globals, drhd, scopes_left).Read());
                 return true;
               });
  discovery.complete = walked.has_value();
  if (!walked) ReportFailure(kernel.sink, Effect::kIncomplete, "dmar_drhd_units", walked.error());
  std::stable_sort(
      discovery.units.begin(), discovery.units.end(),
      [](const UnitState& a, const UnitState& b) { return NumberOf(a) < NumberOf(b); });
  discovery.evidence = fmt::format("dmar_drhd_units lists {} unit{}", discovery.units.size(),
                                   discovery.units.size() == 1 ? "" : "s");
  return discovery;
}

std::optional<uint64_t> RootTableMode(const KernelView& kernel, const UnitState& unit) {
  Globals globals;
  globals.scalable_mode = ReadIntVariable(kernel, "intel_iommu_sm");
  globals.extended_context = ReadIntVariable(kernel, "intel_iommu_ecs");
  return TableMode(kernel, unit, unit.name, globals);
}

}  // namespace dmaudit
