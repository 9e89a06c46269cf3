// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/text.h"
#include "report/device_list.h"
#include "report/inheritance_report.h"
#include "report/layout.h"

namespace dmaudit {
namespace {

constexpr size_t kBriefReasons = 12;
constexpr size_t kBriefRows = 32;
// The line that names units has room for a few.
constexpr size_t kNamedUnits = 4;

std::string Safe(std::string_view text) { return EscapeForTerminal(text); }

std::string_view Words(TableFate fate) {
  switch (fate) {
    case TableFate::kCopied:
      return "copied: translation goes on, through the dead kernel's page tables";
    case TableFate::kMisread:
      return "copied as tables of another format";
    case TableFate::kRefused:
      return "refused: translation goes off for a moment, then on with empty tables";
    case TableFate::kSwitchedOff:
      return "translation is switched off";
    case TableFate::kEmptied:
      return "replaced by empty tables at once";
    case TableFate::kSwitchedOn:
      return "translation comes on with empty tables";
    case TableFate::kStaysOff:
      return "translation was off and stays off";
    case TableFate::kUntouched:
      return "left as they are: translation goes on";
  }
  return "";
}

std::string_view Words(InterruptFate fate) {
  switch (fate) {
    case InterruptFate::kCopied:
      return "copied";
    case InterruptFate::kOtherFormat:
      return "copied, destinations read as the other kind of APIC ids";
    case InterruptFate::kReplaced:
      return "replaced by an empty table";
    case InterruptFate::kSwitchedOn:
      return "remapping comes on with a table of its own";
    case InterruptFate::kStaysOff:
      return "remapping was off and stays off";
    case InterruptFate::kUntouched:
      return "left as it is: remapping goes on through the old table";
  }
  return "";
}

// `translated`: before the crash.
std::string_view Words(DmaFate fate, bool translated) {
  switch (fate) {
    case DmaFate::kGoesOn:
      return "goes on to the same memory";
    case DmaFate::kPhysical:
      return "goes to its IOVAs taken as physical addresses";
    case DmaFate::kGapThenBlocked:
      return "goes to its IOVAs taken as physical addresses for a moment, then is blocked";
    case DmaFate::kBlocked:
      return "is blocked";
    case DmaFate::kUnpredictable:
      return "goes through misread tables, or is blocked";
    case DmaFate::kGapThenUnknown:
      return "goes to its IOVAs taken as physical addresses for a moment; then it is blocked, or "
             "goes on so where pass-through is the default";
    case DmaFate::kUnknown:
      if (!translated) return "is blocked, or goes on where pass-through is the default";
      return "is blocked, or goes to its IOVAs taken as physical addresses where pass-through is "
             "the default";
  }
  return "";
}

class InheritanceText {
 public:
  InheritanceText(const DumpInfo& input, const AuditResult& audit, const Inheritance& inheritance,
                  const TextOptions& options, Output& output)
      : input_(input), audit_(audit), prediction_(inheritance), options_(options), out_(output) {}

  void Write() {
    First();
    Capture();
    Units();
    Devices();
    Untranslated();
  }

 private:
  void Heading(std::string_view title) {
    out_.Write(options_.colour ? fmt::format("\n\x1b[1m{}\x1b[0m\n", title)
                               : fmt::format("\n{}\n", title));
  }

  void First() {
    WriteWrapped("", InheritanceLine(audit_, prediction_), out_);
    WriteWrapped("", InheritanceCertaintyLine(audit_, prediction_), out_);
    const std::vector<std::string>& gaps = prediction_.incomplete_because;
    const size_t shown = options_.verbose ? gaps.size() : std::min(kBriefReasons, gaps.size());
    for (size_t i = 0; i < shown; ++i) WriteWrapped("  - ", Safe(gaps[i]), out_);
    More(gaps.size(), shown, "gap");
  }

  void More(size_t total, size_t shown, std::string_view noun) {
    if (total > shown) {
      out_.Write(fmt::format("  ... and {} (-v lists them)\n", Counted(total - shown, noun)));
    }
  }

  void Capture() {
    Heading("Capture kernel");
    const CaptureFacts& facts = audit_.machine.capture;
    for (const std::string& path : input_.paths) WriteWrapped("  file          ", Safe(path), out_);
    const KernelIdentity& kernel = audit_.machine.identity;
    if (kernel.release) {
      WriteWrapped("  crashed       ", Safe(kernel.release.value()), out_);
    }
    if (prediction_.command_line) {
      const Claim<std::string>& line = prediction_.command_line.chosen();
      WriteWrapped("  command line  ", Safe(line.value), out_);
      WriteWrapped("  from          ", Safe(line.place), out_);
    } else {
      WriteWrapped("  command line  ", "not known: " + Safe(prediction_.no_command_line), out_);
    }
    WriteWrapped("  taken to be   ",
                 fmt::format("a kernel of the crashed one's build: {}", Safe(facts.copy_rule_from)),
                 out_);
    if (!options_.verbose) return;
    const auto variable = [this](std::string_view head, const Known<bool>& known) {
      WriteWrapped(head, known ? Safe(known.chosen().place) : "not known", out_);
    };
    variable("  driver off    ", facts.driver_off);
    variable("  scalable mode ", facts.scalable);
    variable("  x2APIC        ", facts.x2apic);
  }

  template <typename Fate>
  void Outcomes(std::string_view head, const std::vector<Possible<Fate>>& all) {
    for (const Possible<Fate>& one : all) {
      WriteWrapped(head,
                   fmt::format("{}{} ({})", all.size() > 1 ? "perhaps " : "", Words(one.fate),
                               Safe(one.reason)),
                   out_);
      const size_t shown =
          options_.verbose ? one.when.size() : std::min<size_t>(3, one.when.size());
      for (size_t i = 0; i < shown; ++i) {
        WriteWrapped("                if ", Safe(one.when[i]), out_);
      }
      if (shown < one.when.size()) {
        out_.Write(fmt::format("                or in {} (-v lists them)\n",
                               Counted(one.when.size() - shown, "more case")));
      }
    }
  }

  void Units() {
    Heading("Units");
    if (audit_.units.empty()) {
      WriteWrapped("  ", fmt::format("none ({})", Safe(audit_.machine.iommu_evidence)), out_);
      return;
    }
    const size_t shown =
        options_.verbose ? audit_.units.size() : std::min(kBriefRows, audit_.units.size());
    for (size_t i = 0; i < shown; ++i) {
      const UnitState& state = audit_.units[i].state;
      out_.Write(fmt::format("  {}{}\n", Safe(state.name), state.ignored ? " (ignored)" : ""));
      Outcomes("    tables      ", prediction_.units[i].tables);
      Outcomes("    interrupts  ", prediction_.units[i].interrupts);
      if (!options_.verbose) continue;
      Place("    ECAP        ", state.ecap);
      Place("    GCMD        ", state.gcmd);
      Place("    RTADDR      ", state.rtaddr);
      Place("    IRTA        ", state.irta);
    }
    More(audit_.units.size(), shown, "unit");
  }

  template <typename T>
  void Place(std::string_view head, const Known<T>& known) {
    if (!known) return WriteWrapped(head, "not known", out_);
    WriteWrapped(head,
                 fmt::format("{:#x}, {}: {}", known.value(), ToString(known.chosen().origin),
                             Safe(known.chosen().place)),
                 out_);
  }

  // Devices of one unit to which the same happens are one group; in it those with the same note are
  // one row. Those that are behind no unit come last.
  void Devices() {
    if (audit_.devices.empty() && audit_.untranslated.empty()) return;
    Heading("DMA that goes on");
    using Rows = std::map<std::string, std::vector<DeviceRef>>;
    using Group = std::tuple<size_t, bool, std::vector<DmaFate>>;
    std::map<Group, Rows> groups;
    for (size_t i = 0; i < audit_.devices.size(); ++i) {
      const AuditedDevice& device = audit_.devices[i];
      const DeviceInheritance& fate = prediction_.devices[i];
      groups[{device.unit, true, fate.dma}][Note(fate, device.ability)].push_back(
          {device.bdf, device.pasid});
    }
    const DeviceInventory& inventory = audit_.machine.inventory;
    for (size_t i = 0; i < audit_.untranslated.size(); ++i) {
      const UntranslatedDevice& device = audit_.untranslated[i];
      const DeviceInheritance& fate = prediction_.untranslated[i];
      const DeviceFacts& facts = inventory.devices[device.facts];
      groups[{device.unit.value_or(audit_.units.size()), false, fate.dma}]
            [Note(fate, AbilityOf(facts, inventory))]
                .push_back({*facts.bdf, std::nullopt});
    }
    size_t shown = 0;
    size_t rows = 0;
    for (const auto& [key, notes] : groups) {
      const auto& [unit, translated, dma] = key;
      if (options_.verbose || shown < kBriefRows) GroupHead(unit, translated, dma);
      for (const auto& [note, devices] : notes) {
        ++rows;
        if (!options_.verbose && shown == kBriefRows) continue;
        ++shown;
        WriteWrapped("    ", fmt::format("{}: {}", DeviceList(devices, !options_.verbose), note),
                     out_);
      }
    }
    More(rows, shown, "row");
  }

  static std::string Note(const DeviceInheritance& fate, DmaAbility ability) {
    std::string note = Safe(fate.driver_note);
    if (ability == DmaAbility::kUnable) note += "; by the kernel's records it could start no DMA";
    return note;
  }

  void GroupHead(size_t unit, bool translated, const std::vector<DmaFate>& dma) {
    if (unit == audit_.units.size()) {
      WriteWrapped(
          "  ", "behind no unit: untranslated DMA goes on, until a driver stops the device", out_);
      return;
    }
    const std::string name = Safe(audit_.units[unit].state.name);
    const std::string_view kind = translated ? "DMA" : "untranslated DMA";
    const auto& tables = prediction_.units[unit].tables;
    const bool one =
        std::all_of(dma.begin(), dma.end(), [&dma](DmaFate other) { return other == dma.front(); });
    for (size_t i = 0; i < (one ? 1 : dma.size()); ++i) {
      WriteWrapped("  ",
                   one ? fmt::format("{}: {} {}, until a driver stops the device", name, kind,
                                     Words(dma[i], translated))
                       : fmt::format("{}, {}: {} {}, until a driver stops the device", name,
                                     ToString(tables[i].fate), kind, Words(dma[i], translated)),
                   out_);
    }
  }

  static std::string Hits(const std::optional<AddressHits>& hits, std::string_view where) {
    if (!hits) return "";
    if (hits->ranges == 0) return fmt::format("; none of the others hits {}", where);
    return fmt::format("; {} ({}) hit {}, {} of them writable ({})", hits->ranges,
                       HumanSize(hits->bytes), where, hits->writable_ranges,
                       HumanSize(hits->writable_bytes));
  }

  // Whether a domain has a row of its own without -v: what leads nowhere is a number.
  static bool Notable(const UntranslatedReach& reach) {
    const auto hit = [](const std::optional<AddressHits>& hits) {
      return hits && hits->ranges != 0;
    };
    return !reach.complete || hit(reach.ram) || hit(reach.crash_kernel) || hit(reach.image);
  }

  void Untranslated() {
    std::vector<size_t> notable;
    uint64_t quiet = 0;
    uint64_t quiet_ranges = 0;
    bool any = false;
    for (size_t i = 0; i < prediction_.reach.size(); ++i) {
      const std::optional<UntranslatedReach>& reach = prediction_.reach[i];
      if (!reach) continue;
      any = true;
      unknown_ram_ |= !reach->ram;
      unknown_reservation_ |= !reach->crash_kernel;
      unknown_image_ |= !reach->image;
      if (options_.verbose || Notable(*reach)) {
        notable.push_back(i);
      } else {
        ++quiet;
        quiet_ranges += reach->all.ranges;
      }
    }
    if (!any) return;
    Heading("IOVAs taken as physical addresses while translation is off");
    const size_t shown = options_.verbose ? notable.size() : std::min(kBriefRows, notable.size());
    for (size_t i = 0; i < shown; ++i) ReachRow(notable[i]);
    More(notable.size(), shown, "domain");
    if (quiet != 0) {
      WriteWrapped("  ",
                   fmt::format("{} with {}: none is seen to hit other memory than it is mapped to",
                               Counted(quiet, notable.empty() ? "domain" : "other domain"),
                               Counted(quiet_ranges, "mapped range")),
                   out_);
    }
    if (unknown_ram_) WriteWrapped("  ", "where RAM is is not known", out_);
    if (unknown_reservation_) {
      WriteWrapped("  ", "where the crash kernel's memory is is not known", out_);
    }
    if (unknown_image_) {
      WriteWrapped("  ", "where the pieces of the loaded crash kernel lie is not known", out_);
    }
  }

  void ReachRow(size_t index) {
    const UntranslatedReach& reach = *prediction_.reach[index];
    const AuditedDomain& domain = audit_.domains[index];
    std::vector<DeviceRef> devices;
    for (const size_t device : domain.devices) {
      devices.push_back({audit_.devices[device].bdf, audit_.devices[device].pasid});
    }
    WriteWrapped("  ",
                 fmt::format("{} domain {}: {}", Safe(audit_.units[domain.unit].state.name),
                             domain.space.did.value, DeviceList(devices, !options_.verbose)),
                 out_);
    std::string text = Counted(reach.all.ranges, "mapped range");
    if (reach.same.ranges != 0) {
      text += fmt::format(", {} of them to the same address", reach.same.ranges);
    }
    text += Hits(reach.ram, "RAM") + Hits(reach.crash_kernel, "the crash kernel's memory") +
            Hits(reach.image, "the loaded crash kernel");
    if (!reach.complete) text += "; not every range was seen";
    WriteWrapped("    ", text, out_);
  }

  const DumpInfo& input_;
  const AuditResult& audit_;
  const Inheritance& prediction_;
  const TextOptions& options_;
  Output& out_;
  bool unknown_ram_ = false;
  bool unknown_reservation_ = false;
  bool unknown_image_ = false;
};

bool Kept(TableFate fate) { return fate == TableFate::kCopied || fate == TableFate::kUntouched; }

std::string UnitNames(const std::vector<std::string>& names) {
  std::vector<std::string> safe;
  for (const std::string& name : names) safe.push_back(Safe(name));
  return ListFirst(safe, kNamedUnits, ", ");
}

}  // namespace

std::string InheritanceLine(const AuditResult& audit, const Inheritance& inheritance) {
  std::vector<std::string> kept, lost, off, open;
  for (size_t i = 0; i < audit.units.size(); ++i) {
    const auto& tables = inheritance.units[i].tables;
    const std::string& name = audit.units[i].state.name;
    if (tables.size() != 1) {
      open.push_back(name);
    } else if (Kept(tables[0].fate)) {
      kept.push_back(name);
    } else if (tables[0].fate == TableFate::kStaysOff || tables[0].fate == TableFate::kSwitchedOn) {
      off.push_back(name);
    } else {
      lost.push_back(name);
    }
  }
  if (!open.empty()) {
    return fmt::format("OPEN: what the capture kernel does with the tables of {} is not known",
                       UnitNames(open));
  }
  if (!kept.empty() && !lost.empty()) {
    return fmt::format("PARTLY INHERITED: translation goes on for {}, not for {}", UnitNames(kept),
                       UnitNames(lost));
  }
  if (!lost.empty()) {
    return fmt::format("NOT INHERITED: the capture kernel does not go on with the tables of {}",
                       UnitNames(lost));
  }
  if (!kept.empty()) {
    return fmt::format("INHERITED: translation goes on through the tables of {}", UnitNames(kept));
  }
  if (!off.empty()) {
    return fmt::format("NOTHING TO INHERIT: translation was off for {}", UnitNames(off));
  }
  return audit.machine.iommu == IommuPresence::kNone
             ? "NOTHING TO INHERIT: no IOMMU was in use, and DMA goes on untranslated"
             : "OPEN: which units there were is not known";
}

std::string InheritanceCertaintyLine(const AuditResult& audit, const Inheritance& inheritance) {
  const std::string scope =
      audit.filter ? fmt::format(" for -s {} alone", ToString(*audit.filter)) : std::string();
  if (inheritance.complete()) {
    return fmt::format("Complete{}: {}, {}, one outcome for each", scope,
                       Counted(audit.units.size(), "unit"),
                       Counted(audit.devices.size() + audit.untranslated.size(), "device"));
  }
  return fmt::format("NOT COMPLETE{}: {}", scope,
                     Counted(inheritance.incomplete_because.size(), "gap"));
}

void WriteTextInheritance(const DumpInfo& input, const AuditResult& audit,
                          const Inheritance& inheritance, const TextOptions& options,
                          Output& output) {
  InheritanceText(input, audit, inheritance, options, output).Write();
}

}  // namespace dmaudit
