// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/log_units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "dmar/hw/global_command_register.h"
#include "dmar/hw/root_table_address_register.h"
#include "dmar/rules.h"
#include "dmar/walk.h"
#include "vmcore/memory/stored_runs.h"

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
// The structure lies in one page of the smallest size.
constexpr size_t kBlock = 4096;
// Units with capabilities of their own that are looked for one after the other.
constexpr size_t kMaxKinds = 8;

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
    std::unordered_map<uint64_t, size_t> by_registers;
    std::vector<uint32_t> caps;
    for (size_t i = 0; i < units.size(); ++i) {
      by_registers.emplace(units[i].register_base.value().value(), i);
      caps.push_back(static_cast<uint32_t>(units[i].cap.value()));
    }
    std::sort(caps.begin(), caps.end());
    caps.erase(std::unique(caps.begin(), caps.end()), caps.end());
    const SearchScope search(session_);
    const StoredRuns runs = VisitStoredRuns(
        session_.memory(), {.pages = max_pages_},
        [&](PhysAddr first, std::span<const std::byte> bytes) {
          for (size_t block = 0; block + kBlock <= bytes.size(); block += kBlock) {
            const auto words = bytes.subspan(block).first<kBlock>();
            if (!MayHoldAny(words, caps)) continue;
            FindCopiesIn(PhysAddr(first.value() + block), words, units, by_registers);
          }
          return true;
        });
    pages_ = runs.pages;
    limit_ = runs.cut_off;
  }

  // Nearly no block does, and the machine's units have one or two kinds of capabilities: so many
  // passes over a block are cheaper than a look at each word.
  static bool MayHoldAny(std::span<const std::byte, kBlock> block,
                         const std::vector<uint32_t>& caps) {
    if (caps.size() > kMaxKinds) return true;
    return std::any_of(caps.begin(), caps.end(), [block](uint32_t cap) {
      uint32_t hits = 0;
      for (size_t at = 0; at < kBlock; at += 4) {
        hits |= static_cast<uint32_t>(LoadUnchecked<uint32_t>(block, at) == cap);
      }
      return hits != 0;
    });
  }

  void FindCopiesIn(PhysAddr base, std::span<const std::byte> block,
                    const std::vector<UnitState>& units,
                    const std::unordered_map<uint64_t, size_t>& by_registers) {
    for (size_t at = kBeforePair; at + 16 <= block.size(); at += 8) {
      const uint64_t registers = LoadUnchecked<uint64_t>(block, at - kBeforePair);
      const auto known = registers == 0 ? by_registers.end() : by_registers.find(registers);
      if (known == by_registers.end()) continue;
      const UnitState& unit = units[known->second];
      std::vector<Copy>& copies = copies_[known->second];
      if (LoadUnchecked<uint64_t>(block, at) != unit.cap.value() ||
          LoadUnchecked<uint64_t>(block, at + 8) != unit.ecap.value() ||
          copies.size() == kMaxCopies) {
        continue;
      }
      // Bytes that are not known were zero.
      std::array<std::byte, 32> words{};
      if (!session_.Read(PhysAddr(base.value() + at - kBeforePair), words).ok()) continue;
      copies.push_back({PhysAddr(base.value() + at)});
    }
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
