// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kernel_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "base/address.h"
#include "kernel/cpu_notes.h"
#include "kernel/image_layout.h"

namespace dmaudit {
namespace {

constexpr uint64_t kPresent = 1;

struct TopTable {
  KernelVa address;
  std::string_view name;
};

std::optional<TopTable> FindTopTable(const Vmcoreinfo& vmcoreinfo) {
  for (const std::string_view name : kTopTableNames) {
    const std::optional<KernelVa> address = vmcoreinfo.Symbol(name);
    if (address && address->value() >= kImageBase) return TopTable{*address, name};
  }
  return std::nullopt;
}

// With page table isolation the user half of a process's tables is the page behind the kernel half.
std::vector<PageTableRoot> RootsOf(const CpuRegisters& cpu, unsigned levels, uint64_t mask) {
  std::vector<PageTableRoot> roots;
  if (!cpu.paging()) return roots;
  const uint64_t table = cpu.cr3 & kTableAddressBits & ~mask;
  roots.push_back({PhysAddr(table), levels, mask});
  if ((table & 0x1000) != 0) roots.push_back({PhysAddr(table & ~uint64_t{0x1000}), levels, mask});
  return roots;
}

// Looks for the tables of one kernel.
class Locator {
 public:
  Locator(const Vmcoreinfo& vmcoreinfo, const Dump& dump, MemorySession& session, TopTable top)
      : vmcoreinfo_(vmcoreinfo),
        dump_(dump),
        session_(session),
        top_(top),
        stext_(vmcoreinfo.Symbol("_stext")),
        cpus_(ReadCpuNotes(dump.notes)),
        levels_(Levels()) {
    // Checked before use: a mask that covers everything would turn every address into 0.
    const auto sme = static_cast<uint64_t>(vmcoreinfo.Number("sme_mask").value_or(0));
    encryption_mask_ = sme & kTableAddressBits & ~uint64_t{0xffff'ffff};
  }

  Result<KernelTables> Locate() {
    const std::vector<PhysBase> bases = Candidates();
    for (const PhysBase& base : bases) {
      if (std::optional<KernelTables> tables = Prove(base)) return *std::move(tables);
    }
    if (!vmcoreinfo_.Number("phys_base")) return TryRam();
    return Fail(ErrorCode::kMalformed,
                "{} at {:#x} is not the kernel's page table at physical {:#x}: {}", top_.name,
                top_.address.value(), LinkOffset() + bases.front().value, failure_);
  }

 private:
  struct PhysBase {
    uint64_t value;
    std::string from;
  };

  uint64_t LinkOffset() const { return top_.address.value() - kImageBase; }
  PhysAddr TableAt(uint64_t phys_base) const {
    return PhysAddr((LinkOffset() + phys_base) & ~encryption_mask_);
  }

  std::array<unsigned, 2> Levels() const {
    bool five = false;
    if (const std::optional<int64_t> announced = vmcoreinfo_.Number("pgtable_l5_enabled")) {
      five = *announced != 0;
    } else {
      five = std::any_of(cpus_.begin(), cpus_.end(),
                         [](const CpuRegisters& cpu) { return cpu.five_levels(); });
    }
    return five ? std::array{5u, 4u} : std::array{4u, 5u};
  }

  // Every source of phys_base, most trusted first. QEMU's sub header copy is not one: it misreads
  // the decimal value.
  std::vector<PhysBase> Candidates() {
    std::vector<PhysBase> bases;
    if (const std::optional<int64_t> number = vmcoreinfo_.Number("phys_base")) {
      bases.push_back({static_cast<uint64_t>(*number), "phys_base from VMCOREINFO"});
    }
    for (const DumpInfo::VirtualSegment& segment : dump_.info.virtual_segments) {
      if (segment.virtual_address < kImageBase) continue;
      bases.push_back({segment.range.first.value() - (segment.virtual_address - kImageBase),
                       "phys_base from the program header of the kernel image"});
      break;
    }
    if (bases.empty() && stext_) AddFromCpus(bases);
    return bases;
  }

  // Where the page tables that a CPU uses have the start of the kernel text.
  void AddFromCpus(std::vector<PhysBase>& bases) {
    const SearchScope search(session_);
    for (size_t i = 0; i < cpus_.size(); ++i) {
      for (const PageTableRoot& root :
           RootsOf(cpus_[i], cpus_[i].five_levels() ? 5 : 4, encryption_mask_)) {
        const Result<PhysAddr> text = KernelAddressSpace(session_, root).Translate(*stext_);
        if (!text) continue;
        const uint64_t value = text->value() - (stext_->value() - kImageBase);
        const bool known = std::any_of(bases.begin(), bases.end(),
                                       [&](const PhysBase& base) { return base.value == value; });
        if (!known) bases.push_back({value, fmt::format("phys_base from CR3 of CPU {}", i)});
      }
    }
  }

  std::optional<KernelTables> Prove(const PhysBase& base) {
    for (const unsigned levels : levels_) {
      if (std::optional<KernelTables> tables = Prove(base, levels)) return tables;
    }
    return std::nullopt;
  }

  std::optional<KernelTables> Prove(const PhysBase& base, unsigned levels) {
    const PageTableRoot root{TableAt(base.value), levels, encryption_mask_};
    KernelAddressSpace space(session_, root);
    const Result<PhysAddr> own = space.Translate(top_.address);
    if (!own || *own != root.table) {
      if (failure_.empty()) {
        failure_ = own ? fmt::format("it maps itself to {:#x}", own->value()) : own.error().message;
      }
      return std::nullopt;
    }
    // Before 4.10 VMCOREINFO has the variable's address, not its value.
    if (const std::optional<KernelVa> variable = vmcoreinfo_.Symbol("phys_base")) {
      const Result<uint64_t> value = space.ReadU64(*variable);
      if (value && *value != base.value) {
        failure_ =
            fmt::format("the kernel's own phys_base is {:#x}, not {:#x}", *value, base.value);
        return std::nullopt;
      }
    }
    KernelTables tables{root, base.value, fmt::format("{}, {}", top_.name, base.from), {}, {}};
    if (stext_) SortCpus(space, tables);
    return tables;
  }

  // Tries every place in RAM where an image can lie.
  Result<KernelTables> TryRam() {
    std::vector<uint64_t> fitting;
    uint64_t tried = 0;
    const uint64_t offset_in_step = LinkOffset() % kImageAlignment;
    {
      const SearchScope search(session_);
      session_.memory().VisitRam([&](PhysRange range) {
        uint64_t at = range.first.AlignDown(kImageAlignment).value() + offset_in_step;
        for (; at <= range.last.value(); at += kImageAlignment) {
          if (at < range.first.value()) continue;
          if (++tried > kMaxImagePlaces) return false;
          const uint64_t phys_base = at - LinkOffset();
          if (FitsAt(phys_base)) fitting.push_back(phys_base);
          if (at + kImageAlignment < at) break;
        }
        return fitting.size() < 2;
      });
    }
    constexpr std::string_view kLack = "no NUMBER(phys_base) in VMCOREINFO";
    if (fitting.size() > 1) {
      return Fail(ErrorCode::kNotFound,
                  "{}, and {} maps itself at physical {:#x} and at {:#x}: where the kernel lies "
                  "cannot be told",
                  kLack, top_.name, TableAt(fitting[0]).value(), TableAt(fitting[1]).value());
    }
    // A second one could lie where nobody looked.
    if (tried > kMaxImagePlaces) {
      return Fail(ErrorCode::kLimit,
                  "{}, and memory is too large to try every place for the kernel image ({} tried)",
                  kLack, kMaxImagePlaces);
    }
    if (fitting.size() == 1) {
      const PhysBase base{fitting[0], "phys_base from trying every place in memory"};
      if (std::optional<KernelTables> tables = Prove(base)) return *std::move(tables);
    }
    return Fail(ErrorCode::kNotFound,
                "neither NUMBER(phys_base) in VMCOREINFO nor a program header of the kernel image, "
                "and {} maps itself nowhere in memory: the kernel's page tables cannot be found",
                top_.name);
  }

  bool FitsAt(uint64_t phys_base) {
    const PhysAddr table = TableAt(phys_base);
    // The image is in the last slot of the top-level table. One look spares most walks.
    uint64_t entry = 0;
    const std::optional<PhysAddr> last = table.Plus(511 * 8);
    if (!last || !IsReadable(session_.memory().PageStateHint(
                     table.AlignDown(session_.memory().page_size())))) {
      return false;
    }
    if (!session_.ReadU64(*last, entry).ok() || (entry & kPresent) == 0) return false;
    return Prove({phys_base, ""}).has_value();
  }

  void SortCpus(KernelAddressSpace& space, KernelTables& tables) {
    const Result<PhysAddr> text = space.Translate(*stext_);
    if (!text) return;
    for (size_t i = 0; i < cpus_.size(); ++i) {
      const std::optional<bool> other = RunsOther(cpus_[i], tables.root, *text);
      if (other) (*other ? tables.cpus_of_other : tables.cpus_of_this).push_back(i);
    }
  }

  // Whether a CPU runs another kernel: the start of the kernel text, looked up through the page
  // tables the CPU uses, is elsewhere. nullopt: its tables are not in the dump.
  std::optional<bool> RunsOther(const CpuRegisters& cpu, const PageTableRoot& own,
                                PhysAddr expected) {
    bool read_any = false;
    for (const PageTableRoot& root : RootsOf(cpu, own.levels, encryption_mask_)) {
      uint64_t probe = 0;
      const unsigned shift = 12 + 9 * (root.levels - 1);
      const std::optional<PhysAddr> at = root.table.Plus((stext_->value() >> shift & 511) * 8);
      if (!at || !session_.ReadU64(*at, probe).ok()) continue;
      read_any = true;
      const Result<PhysAddr> found = KernelAddressSpace(session_, root).Translate(*stext_);
      if (found && *found == expected) return false;
    }
    return read_any ? std::optional<bool>(true) : std::nullopt;
  }

  const Vmcoreinfo& vmcoreinfo_;
  const Dump& dump_;
  MemorySession& session_;
  TopTable top_;
  std::optional<KernelVa> stext_;
  std::vector<CpuRegisters> cpus_;
  // Numbers of levels to try, the announced one first: a wrong announcement fails the proof.
  std::array<unsigned, 2> levels_;
  uint64_t encryption_mask_ = 0;
  std::string failure_;  // of the first candidate
};

}  // namespace

Result<KernelTables> LocateKernelTables(const Vmcoreinfo& vmcoreinfo, const Dump& dump,
                                        MemorySession& session) {
  const std::optional<TopTable> top = FindTopTable(vmcoreinfo);
  if (!top) {
    return Fail(ErrorCode::kNotFound,
                "VMCOREINFO has no usable SYMBOL(init_top_pgt), SYMBOL(swapper_pg_dir) or "
                "SYMBOL(init_level4_pgt): the kernel's page tables cannot be found");
  }
  return Locator(vmcoreinfo, dump, session, *top).Locate();
}

}  // namespace dmaudit
