// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/acpi_scopes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/text.h"
#include "vmcore/io/file_source.h"

namespace dmaudit {
namespace {

// Devices of a rival claim that are listed.
constexpr size_t kMaxListed = 8;

std::string Names(const std::set<Bdf>& devices) {
  if (devices.empty()) return "no devices";
  std::vector<std::string> names;
  for (const Bdf& bdf : devices) names.push_back(ToString(bdf));
  return "devices " + ListFirst(names, kMaxListed, " ");
}

class Merger {
 public:
  Merger(const std::string& path, const DeviceInventory& inventory,
         const std::vector<UnitState>& units, FirmwareScopes& scopes, DiagnosticSink& sink)
      : path_(path), scopes_(scopes), sink_(sink), known_(scopes.scopes.size()) {
    for (const UnitState& unit : units) {
      if (unit.register_base) audited_.insert(unit.register_base.value());
    }
    for (const DeviceFacts& device : inventory.devices) {
      if (!device.bdf) continue;
      present_.insert(*device.bdf);
      // The first of a path is the device itself, but for virtual functions.
      if (device.path && device.path->size() > 1 && device.path->front() == *device.bdf) {
        bus_behind_.emplace((*device.path)[1], device.bdf->bus);
      }
    }
  }

  void Merge(const AcpiDmar& table) {
    for (const std::string& problem : table.problems) {
      sink_.Note("kernel.acpi-table", "{}: {}", path_, problem);
    }
    if (!table.skipped.empty()) {
      sink_.Note("kernel.acpi-skipped", "{}: not used: {}", path_,
                 ListFirst(table.skipped, kMaxListed, ", "));
    }
    for (const AcpiScope& structure : table.scopes) Add(structure);
    // In the order of kinds; within one those of the kernel first.
    std::stable_sort(
        scopes_.scopes.begin(), scopes_.scopes.end(),
        [](const FirmwareScope& a, const FirmwareScope& b) { return a.kind < b.kind; });
    if (table.whole()) {
      scopes_.complete = scopes_.units_complete = true;
    } else if (used_) {
      // A device that damage puts behind a unit would look translated.
      sink_.Incomplete("kernel.acpi-table",
                       "{}: what the dump lacks is taken from it, and it has problems: which "
                       "devices are behind which unit may be wrong",
                       path_);
    }
  }

 private:
  // The requester id of what an entry names.
  std::optional<Bdf> Place(uint16_t segment, const AcpiScopeEntry& entry) const {
    uint8_t bus = entry.start_bus;
    for (size_t i = 0; i + 1 < entry.path.size(); ++i) {
      const auto behind = bus_behind_.find(Bdf{segment, bus, entry.path[i]});
      if (behind == bus_behind_.end()) return std::nullopt;
      bus = behind->second;
    }
    return Bdf{segment, bus, entry.path.back()};
  }

  FirmwareScope ScopeOf(const AcpiScope& structure) const {
    FirmwareScope scope;
    scope.kind = structure.kind;
    scope.segment = structure.segment;
    scope.registers = structure.registers;
    scope.range = structure.range;
    scope.flag = structure.flag;
    scope.whole = structure.whole;
    scope.origin = Origin::kAcpiTable;
    scope.place =
        fmt::format("{} @ {:#x} of {}", ToString(structure.kind), structure.offset, path_);
    for (const AcpiScopeEntry& entry : structure.entries) {
      // The kernel keeps those of devices alone: interrupts of the others are not DMA.
      if (entry.type == AcpiScopeEntry::Type::kIoApic ||
          entry.type == AcpiScopeEntry::Type::kHpet) {
        continue;
      }
      const std::optional<Bdf> bdf = Place(structure.segment, entry);
      if (bdf) {
        scope.devices.push_back(*bdf);
      } else {
        ++scope.unplaced;
      }
    }
    return scope;
  }

  // `named`: the devices of `table`.
  static bool Same(const FirmwareScope& kernel, const FirmwareScope& table,
                   const std::set<Bdf>& named) {
    if (kernel.kind != table.kind) return false;
    if (kernel.kind == ScopeKind::kUnit) return kernel.registers == table.registers;
    if (kernel.segment && kernel.segment != table.segment) return false;
    if (kernel.kind == ScopeKind::kReservedMemory) {
      return kernel.range && kernel.range->first == table.range->first;
    }
    return std::all_of(kernel.devices.begin(), kernel.devices.end(),
                       [&](const Bdf& bdf) { return named.contains(bdf); });
  }

  void Add(const AcpiScope& structure) {
    FirmwareScope table = ScopeOf(structure);
    const std::set<Bdf> named(table.devices.begin(), table.devices.end());
    for (size_t i = 0; i < known_; ++i) {
      if (matched_.contains(i) || !Same(scopes_.scopes[i], table, named)) continue;
      matched_.insert(i);
      return Compare(table, scopes_.scopes[i]);
    }
    // A list that was read to its end lacks nothing: the kernel did not take the structure.
    if (scopes_.complete) {
      sink_.Note("kernel.disagree", "{}: the kernel lists no such structure", table.place);
    }
    if (table.kind == ScopeKind::kUnit && !audited_.contains(*table.registers)) AddUnitGap(table);
    used_ = true;
    scopes_.scopes.push_back(std::move(table));
  }

  void AddUnitGap(const FirmwareScope& table) {
    sink_.Incomplete("kernel.unit-not-listed",
                     "{}: a unit with registers at {:#x} that is none of those found in the dump: "
                     "its tables are not audited",
                     table.place, table.registers->value());
  }

  void Rival(FirmwareScope& kernel, const FirmwareScope& table, const std::string& theirs,
             const std::string& own) {
    kernel.rivals.push_back({theirs, Origin::kAcpiTable, table.place});
    sink_.Note("kernel.disagree", "{}: {}, but {}: {}", kernel.place, own, table.place, theirs);
  }

  void Compare(const FirmwareScope& table, FirmwareScope& kernel) {
    bool filled = false;
    if (!kernel.segment) {
      kernel.segment = table.segment;
      filled = true;
    } else if (kernel.segment != table.segment) {
      Rival(kernel, table, fmt::format("segment {:04x}", *table.segment),
            fmt::format("segment {:04x}", *kernel.segment));
    }
    if (kernel.kind != ScopeKind::kReservedMemory) {
      if (!kernel.flag) {
        kernel.flag = table.flag;
        filled = true;
      } else if (kernel.flag != table.flag) {
        Rival(kernel, table, *table.flag ? "flag set" : "flag clear",
              *kernel.flag ? "flag set" : "flag clear");
      }
    }
    if (kernel.range && kernel.range->last != table.range->last) {
      Rival(kernel, table, fmt::format("ends at {:x}", table.range->last.value()),
            fmt::format("ends at {:x}", kernel.range->last.value()));
    }
    filled = CompareDevices(table, kernel) || filled;
    if (!filled) return;
    kernel.place += ", " + table.place;
    used_ = true;
  }

  // True when the table's devices were taken.
  bool CompareDevices(const FirmwareScope& table, FirmwareScope& kernel) {
    const std::set<Bdf> own(kernel.devices.begin(), kernel.devices.end());
    const std::set<Bdf> theirs(table.devices.begin(), table.devices.end());
    if (!kernel.whole || kernel.unplaced != 0) {
      // What was read of the kernel's list stays.
      for (const Bdf& bdf : theirs) {
        if (!own.contains(bdf)) kernel.devices.push_back(bdf);
      }
      kernel.whole = table.whole;
      kernel.unplaced = table.unplaced;
      return true;
    }
    if (!table.whole || table.unplaced != 0) return false;
    // The kernel counts entries without a device, and the table has ids for them too.
    const bool only_kernel =
        std::any_of(own.begin(), own.end(), [&](const Bdf& bdf) { return !theirs.contains(bdf); });
    const bool only_table = std::any_of(theirs.begin(), theirs.end(), [&](const Bdf& bdf) {
      return !own.contains(bdf) && (kernel.absent == 0 || present_.contains(bdf));
    });
    if (only_kernel || only_table) Rival(kernel, table, Names(theirs), Names(own));
    return false;
  }

  const std::string& path_;
  FirmwareScopes& scopes_;
  DiagnosticSink& sink_;
  size_t known_;       // scopes of the kernel; those of the table come after them
  bool used_ = false;  // anything of the table is in `scopes_`
  std::set<size_t> matched_;
  std::set<PhysAddr> audited_;  // registers of the units
  std::set<Bdf> present_;
  std::map<Bdf, uint8_t> bus_behind_;
};

}  // namespace

Result<AcpiDmar> LoadAcpiDmar(const std::string& path) {
  const auto usage = [&path](const Error& error) {
    return Fail(ErrorCode::kUsage, "--acpi-dmar: {}: {}", path, error.message);
  };
  const Result<std::unique_ptr<FileSource>> file = FileSource::Open(path);
  if (!file) return Fail(ErrorCode::kUsage, "--acpi-dmar: {}", file.error().message);
  // One byte more than is allowed tells a longer file.
  std::vector<std::byte> bytes(std::min<uint64_t>((*file)->size(), kMaxAcpiTable + 1));
  const Result<size_t> read = (*file)->ReadAt(FileOffset(0), bytes);
  if (!read) return usage(read.error());
  Result<AcpiDmar> table = ParseAcpiDmar(std::span(bytes).first(*read));
  if (!table) return usage(table.error());
  return table;
}

void MergeAcpiDmar(const AcpiDmar& table, const std::string& path, const DeviceInventory& inventory,
                   const std::vector<UnitState>& units, FirmwareScopes& scopes,
                   DiagnosticSink& sink) {
  Merger(path, inventory, units, scopes, sink).Merge(table);
}

}  // namespace dmaudit
