// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/log_units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "dmar/hw/global_command_register.h"
#include "dmar/hw/root_table_address_register.h"
#include "dmar/rules.h"
#include "dmar/walk.h"

namespace dmaudit {
namespace {

namespace rt = hw::rtaddr;

constexpr uint64_t kTableSize = 4096;
// struct intel_iommu from `cap` to `root_entry`: under 300 bytes without lock debugging, which adds
// two structures of about 100.
constexpr size_t kWordsBehind = 96;
// reg_phys, reg_size, cap, ecap.
constexpr uint64_t kBeforePair = 16;
// Copies of one structure that are followed: a stale one or two may lie in freed memory.
constexpr size_t kMaxCopies = 16;

struct Copy {
  PhysAddr pair;  // where the copy of CAP is
};

struct Root {
  uint64_t rtaddr = 0;
  PhysAddr pair;
  PhysAddr pointer;  // where the pointer to the root table is
  uint64_t devices = 0;
};

class LogUnits {
 public:
  LogUnits(const KernelView& kernel, MemorySession& session, uint64_t max_pages)
      : kernel_(kernel), session_(session), max_pages_(max_pages) {}

  UnitDiscovery Find() {
    UnitDiscovery discovery;
    AddUnits(discovery.units);
    if (discovery.units.empty()) return discovery;
    discovery.evidence = fmt::format("the log names {} unit{}", discovery.units.size(),
                                     discovery.units.size() == 1 ? "" : "s");
    FindCopies(discovery.units);
    for (size_t i = 0; i < discovery.units.size(); ++i) AddRoot(discovery.units[i], copies_[i]);
    return discovery;
  }

 private:
  void AddUnits(std::vector<UnitState>& units) {
    std::map<PhysAddr, size_t> by_registers;
    for (const LogUnit& line : kernel_.log.units) {
      const std::string place = ToString(line.line);
      const auto [known, fresh] = by_registers.try_emplace(line.registers, units.size());
      if (fresh) {
        UnitState& unit = units.emplace_back();
        unit.name = fmt::format("dmar{}", line.index);
        unit.register_base.Add(line.registers, Origin::kLog, place);
        unit.version.Add(
            static_cast<uint32_t>((line.version_major & 0xf) << 4 | (line.version_minor & 0xf)),
            Origin::kLog, place);
        for (const LogHostAddressWidth& width : kernel_.log.host_address_widths) {
          unit.host_address_width.Add(width.bits, Origin::kLog, ToString(width.line));
        }
        AddEnables(unit);
      }
      UnitState& unit = units[known->second];
      // Lines that repeat each other, as after a second boot into the same buffer, add nothing.
      const auto add = [&place](Known<uint64_t>& known_value, uint64_t value) {
        if (!known_value || known_value.value() != value) {
          known_value.Add(value, Origin::kLog, place);
        }
      };
      add(unit.cap, line.cap);
      add(unit.ecap, line.ecap);
    }
  }

  void AddEnables(UnitState& unit) {
    const Result<uint32_t> enabled = ReadIntVariable(kernel_, "intel_iommu_enabled");
    if (!enabled || *enabled == 0) return;
    unit.gcmd.Add(static_cast<uint32_t>(hw::gcmd::kTe.mask()), Origin::kDerived,
                  "intel_iommu_enabled = 1: translation was switched on; the other enables are not "
                  "known");
  }

  // Looks through all pages once for the three words of every unit.
  void FindCopies(const std::vector<UnitState>& units) {
    copies_.resize(units.size());
    const SearchScope search(session_);
    const PhysicalMemory& memory = session_.memory();
    const std::unique_ptr<DecodeContext> context = memory.MakeContext();
    Page page;
    memory.VisitStored([&](PhysAddr base, uint32_t) {
      if (pages_ == max_pages_) {
        limit_ = true;
        return false;
      }
      ++pages_;
      memory.ReadPage(base, *context, page);
      for (size_t at = kBeforePair; at + 16 <= page.bytes.size(); at += 8) {
        const uint64_t cap = LoadUnchecked<uint64_t>(page.bytes, at);
        if (cap == 0) continue;
        for (size_t i = 0; i < units.size(); ++i) {
          const UnitState& unit = units[i];
          if (cap != unit.cap.value() ||
              LoadUnchecked<uint64_t>(page.bytes, at + 8) != unit.ecap.value() ||
              LoadUnchecked<uint64_t>(page.bytes, at - kBeforePair) !=
                  unit.register_base.value().value() ||
              !IsReadable(
                  page.FirstUnreadable(static_cast<uint32_t>(at - kBeforePair), 32).state) ||
              copies_[i].size() == kMaxCopies) {
            continue;
          }
          copies_[i].push_back({PhysAddr(base.value() + at)});
        }
      }
      return true;
    });
  }

  // The roots that the words behind one copy lead to.
  void FollowCopy(const UnitState& unit, const Copy& copy, std::vector<Root>& roots) {
    for (size_t i = 2; i < kWordsBehind; ++i) {
      const std::optional<PhysAddr> at = copy.pair.Plus(i * 8);
      uint64_t word = 0;
      if (!at || !session_.ReadU64(*at, word).ok()) return;
      // A kernel address of a whole page.
      if (word >> 63 == 0 || word % kTableSize != 0 || word + kTableSize == 0) continue;
      const Result<PhysAddr> table = kernel_.reader.Translate(KernelVa(word));
      if (!table) continue;
      std::vector<uint64_t> modes = {rt::kTtmLegacy, rt::kTtmScalable};
      if (const auto mode = RootTableMode(kernel_, unit)) modes = {rt::kTtm.Get(*mode)};
      for (const uint64_t mode : modes) {
        UnitState trial = unit;
        const uint64_t rtaddr = table->value() | rt::kTtm.Set(0, mode);
        trial.rtaddr.Add(rtaddr, Origin::kDerived, "trial");
        DiagnosticSink unheard;
        uint64_t devices = 0;
        const Result<WalkAccounting> walked =
            WalkAttachments(trial, UnitRules::For(trial), session_, unheard,
                            [&devices](const Attachment&) { return ++devices != 0; });
        if (!walked || devices == 0 || walked->rejected != 0) continue;
        const bool known = std::any_of(roots.begin(), roots.end(), [rtaddr](const Root& root) {
          return root.rtaddr == rtaddr;
        });
        if (!known) roots.push_back({rtaddr, copy.pair, *at, devices});
      }
    }
  }

  void AddRoot(UnitState& unit, const std::vector<Copy>& copies) {
    std::vector<Root> roots;
    {
      const SearchScope search(session_);
      for (const Copy& copy : copies) FollowCopy(unit, copy, roots);
    }
    const std::string coverage =
        fmt::format("{} pages looked at{}", pages_, limit_ ? " (not all of them)" : "");
    if (roots.size() != 1) {
      kernel_.sink.Incomplete(
          "kernel.log-units",
          "{}: known from the log alone (segment 0 is assumed); its CAP, ECAP and register address "
          "are found together at {} place{}, from which {} root tables are reached; {}",
          unit.name, copies.size(), copies.size() == 1 ? "" : "s", roots.size(), coverage);
      return;
    }
    const Root& root = roots.front();
    // What the root rests on is evidence: the words that were found, and the tables as walked.
    uint64_t word = 0;
    for (const uint64_t at : {root.pair.value() - kBeforePair, root.pair.value(),
                              root.pair.value() + 8, root.pointer.value()}) {
      (void)session_.ReadU64(PhysAddr(at), word);
    }
    (void)kernel_.reader.Translate(KernelVa(word));
    unit.rtaddr.Add(root.rtaddr, Origin::kSearch,
                    fmt::format("search for CAP and ECAP: found with the register address at "
                                "physical {:#x}; the pointer at {:#x} leads to the only root "
                                "table, {} device{}, no rejected entry",
                                root.pair.value(), root.pointer.value(), root.devices,
                                root.devices == 1 ? "" : "s"));
    kernel_.sink.Incomplete(
        "kernel.log-units",
        "{}: known from the log alone (segment 0 is assumed); its root table {:#x} found by search "
        "beside CAP, ECAP and register address at physical {:#x}; {}",
        unit.name, root.rtaddr & rt::kRta.mask(), root.pair.value(), coverage);
  }

  const KernelView& kernel_;
  MemorySession& session_;
  const uint64_t max_pages_;
  std::vector<std::vector<Copy>> copies_;  // by unit
  uint64_t pages_ = 0;
  bool limit_ = false;
};

}  // namespace

UnitDiscovery UnitsFromLog(const KernelView& kernel, MemorySession& session, uint64_t max_pages) {
  return LogUnits(kernel, session, max_pages).Find();
}

}  // namespace dmaudit
