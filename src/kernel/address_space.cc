// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/address_space.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/cpu_notes.h"

namespace dmaudit {
namespace {

constexpr uint64_t kPresent = 1;
constexpr uint64_t kWritable = uint64_t{1} << 1;
constexpr uint64_t kNoExecute = uint64_t{1} << 63;
constexpr uint64_t kLarge = uint64_t{1} << 7;
constexpr uint64_t kAddressBits = 0x000f'ffff'ffff'f000;  // 51:12
// Bits 63..N-1 of an N-bit canonical address are equal.
constexpr bool IsCanonical(uint64_t address, unsigned bits) {
  const int64_t top = static_cast<int64_t>(address) >> (bits - 1);
  return top == 0 || top == -1;
}

// Link address of the kernel image (__START_KERNEL_map).
constexpr uint64_t kImageBase = 0xffff'ffff'8000'0000;

}  // namespace

Result<KernelAddressSpace::Mapping> KernelAddressSpace::Walk(KernelVa address) {
  const uint64_t virtual_address = address.value();
  if (!IsCanonical(virtual_address, 12 + 9 * root_.levels)) {
    return Fail(ErrorCode::kUnknown, "kernel address {:#x} is not canonical", virtual_address);
  }
  const bool recorded = session_.recording();
  PhysAddr table = root_.table;
  for (unsigned level = root_.levels; level >= 1; --level) {
    const unsigned shift = 12 + 9 * (level - 1);
    const std::optional<PhysAddr> at = table.Plus((virtual_address >> shift & 511) * 8);
    if (!at) {
      return Fail(ErrorCode::kUnknown, "kernel address {:#x}: page table {:#x} out of range",
                  virtual_address, table.value());
    }
    uint64_t entry = 0;
    const ReadStatus status = session_.ReadU64(*at, entry);
    if (!status.ok()) {
      return Fail(ErrorCode::kUnknown,
                  "kernel address {:#x}: level {} page table entry at {:#x} is {}", virtual_address,
                  level, at->value(), ToString(status.state));
    }
    // An entry that is not present maps nothing, whatever its other bits hold (PROT_NONE pages keep
    // an inverted address there).
    if ((entry & kPresent) == 0) {
      return Fail(ErrorCode::kUnknown,
                  "kernel address {:#x} is not mapped: level {} entry at {:#x} is {:#x}",
                  virtual_address, level, at->value(), entry);
    }
    const uint64_t target = entry & kAddressBits & ~root_.encryption_mask;
    const bool large = (level == 2 || level == 3) && (entry & kLarge) != 0;
    if (level == 1 || large) {
      const uint64_t size = uint64_t{1} << shift;
      // Bit 12 of a large entry is an attribute (PAT), not address.
      return Mapping{virtual_address & ~(size - 1), size, target & ~(size - 1), recorded};
    }
    table = PhysAddr(target);
  }
  return Fail(ErrorCode::kUnknown, "kernel address {:#x}: page table without end", virtual_address);
}

Result<KernelAddressSpace::Mapping> KernelAddressSpace::Find(KernelVa address) {
  for (const Mapping& mapping : cache_) {
    if (mapping.size != 0 && address.value() - mapping.first < mapping.size &&
        (mapping.recorded || !session_.recording())) {
      return mapping;
    }
  }
  Result<Mapping> found = Walk(address);
  if (found) {
    cache_[next_slot_] = *found;
    next_slot_ = (next_slot_ + 1) % cache_.size();
  }
  return found;
}

Result<PhysAddr> KernelAddressSpace::Translate(KernelVa address) {
  const Result<Mapping> mapping = Find(address);
  if (!mapping) return tl::unexpected<Error>(mapping.error());
  return PhysAddr(mapping->physical + (address.value() - mapping->first));
}

Status KernelAddressSpace::Read(KernelVa address, std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const std::optional<KernelVa> at = address.Plus(done);
    if (!at) {
      return Fail(ErrorCode::kUnknown, "read at {:#x} leaves the address space", address.value());
    }
    const Result<Mapping> mapping = Find(*at);
    if (!mapping) return tl::unexpected<Error>(mapping.error());
    const uint64_t offset = at->value() - mapping->first;
    const size_t size =
        static_cast<size_t>(std::min<uint64_t>(mapping->size - offset, out.size() - done));
    const ReadStatus status =
        session_.Read(PhysAddr(mapping->physical + offset), out.subspan(done, size));
    if (!status.ok()) {
      const uint64_t good = status.where.value() - (mapping->physical + offset);
      return Fail(ErrorCode::kUnknown, "kernel address {:#x} (physical {:#x}) is {}",
                  at->value() + good, status.where.value(), ToString(status.state));
    }
    done += size;
  }
  return {};
}

MappedStretch KernelAddressSpace::StretchAt(KernelVa address) {
  const uint64_t virtual_address = address.value();
  MappedStretch stretch{address.AlignDown(4096), 4096, false, true, true};
  if (!IsCanonical(virtual_address, 12 + 9 * root_.levels)) return stretch;
  PhysAddr table = root_.table;
  for (unsigned level = root_.levels; level >= 1; --level) {
    const unsigned shift = 12 + 9 * (level - 1);
    stretch.size = uint64_t{1} << shift;
    stretch.first = address.AlignDown(stretch.size);
    const std::optional<PhysAddr> at = table.Plus((virtual_address >> shift & 511) * 8);
    uint64_t entry = 0;
    if (!at || !session_.ReadU64(*at, entry).ok() || (entry & kPresent) == 0) return stretch;
    // A right is had when no level takes it away.
    stretch.writable = stretch.writable && (entry & kWritable) != 0;
    stretch.executable = stretch.executable && (entry & kNoExecute) == 0;
    if (level == 1 || ((level == 2 || level == 3) && (entry & kLarge) != 0)) {
      stretch.mapped = true;
      return stretch;
    }
    table = PhysAddr(entry & kAddressBits & ~root_.encryption_mask);
  }
  return stretch;
}

bool KernelAddressSpace::ReadKnown(KernelVa address, std::span<std::byte> out, std::byte filler) {
  const Result<Mapping> mapping = Find(address);
  if (!mapping) return false;
  const PhysAddr physical(mapping->physical + (address.value() - mapping->first));
  if (session_.Read(physical, out).ok()) return true;
  std::fill(out.begin(), out.end(), filler);
  const PageHandle page = session_.ReadWholePage(physical);
  const size_t first = static_cast<size_t>(physical.value() - page->base.value());
  bool any = false;
  for (const PageExtent& extent : page->extents) {
    const size_t begin = std::max<size_t>(extent.offset, first);
    const size_t end = std::min<size_t>(size_t{extent.offset} + extent.size, first + out.size());
    if (begin >= end || !IsReadable(extent.state)) continue;
    std::memcpy(out.data() + (begin - first), page->bytes.data() + begin, end - begin);
    any = true;
  }
  return any;
}

namespace {

struct PhysBase {
  uint64_t value;
  std::string_view from;
};

// Every source of phys_base, most trusted first. QEMU's sub header copy is not one: it misreads the
// decimal value.
std::vector<PhysBase> PhysBaseCandidates(const Vmcoreinfo& vmcoreinfo, const DumpInfo& info) {
  std::vector<PhysBase> candidates;
  if (const std::optional<int64_t> number = vmcoreinfo.Number("phys_base")) {
    candidates.push_back({static_cast<uint64_t>(*number), "phys_base from VMCOREINFO"});
  }
  for (const DumpInfo::VirtualSegment& segment : info.virtual_segments) {
    if (segment.virtual_address < kImageBase) continue;
    candidates.push_back({segment.range.first.value() - (segment.virtual_address - kImageBase),
                          "phys_base from the program header of the kernel image"});
    break;
  }
  return candidates;
}

struct TopTable {
  KernelVa address;
  std::string_view name;
};

std::optional<TopTable> FindTopTable(const Vmcoreinfo& vmcoreinfo) {
  for (const std::string_view name : {"init_top_pgt", "swapper_pg_dir", "init_level4_pgt"}) {
    const std::optional<KernelVa> address = vmcoreinfo.Symbol(name);
    if (address && address->value() >= kImageBase) return TopTable{*address, name};
  }
  return std::nullopt;
}

// Numbers of levels to try, the announced one first: a wrong announcement fails the proof.
std::vector<unsigned> LevelCandidates(const Vmcoreinfo& vmcoreinfo,
                                      const std::vector<CpuRegisters>& cpus) {
  bool five = false;
  if (const std::optional<int64_t> announced = vmcoreinfo.Number("pgtable_l5_enabled")) {
    five = *announced != 0;
  } else {
    five = std::any_of(cpus.begin(), cpus.end(),
                       [](const CpuRegisters& cpu) { return cpu.five_levels(); });
  }
  if (five) return {5, 4};
  return {4, 5};
}

// Whether a CPU runs another kernel: the start of the kernel text, looked up through the page
// tables the CPU uses, is elsewhere. nullopt: its tables are not in the dump.
std::optional<bool> RunsOtherKernel(const CpuRegisters& cpu, const PageTableRoot& root,
                                    MemorySession& session, KernelVa stext, PhysAddr expected) {
  if (!cpu.paging()) return std::nullopt;
  // With page table isolation the user half of the tables is the next page: clear that bit too.
  bool read_any = false;
  for (const uint64_t mask : {uint64_t{0}, uint64_t{0x1000}}) {
    const uint64_t table = cpu.cr3 & kAddressBits & ~root.encryption_mask & ~mask;
    uint64_t probe = 0;
    const unsigned shift = 12 + 9 * (root.levels - 1);
    if (!session.ReadU64(PhysAddr(table + (stext.value() >> shift & 511) * 8), probe).ok()) {
      continue;
    }
    read_any = true;
    KernelAddressSpace space(session, {PhysAddr(table), root.levels, root.encryption_mask});
    const Result<PhysAddr> found = space.Translate(stext);
    if (found && *found == expected) return false;
  }
  return read_any ? std::optional<bool>(true) : std::nullopt;
}

}  // namespace

Result<KernelTables> LocateKernelTables(const Vmcoreinfo& vmcoreinfo, const Dump& dump,
                                        MemorySession& session, DiagnosticSink& sink) {
  const std::optional<TopTable> top = FindTopTable(vmcoreinfo);
  if (!top) {
    return Fail(ErrorCode::kNotFound,
                "VMCOREINFO has no usable SYMBOL(init_top_pgt), SYMBOL(swapper_pg_dir) or "
                "SYMBOL(init_level4_pgt): the kernel's page tables cannot be found");
  }
  const std::vector<PhysBase> bases = PhysBaseCandidates(vmcoreinfo, dump.info);
  if (bases.empty()) {
    return Fail(ErrorCode::kNotFound,
                "neither NUMBER(phys_base) in VMCOREINFO nor a program header of the kernel image: "
                "the kernel's page tables cannot be found");
  }
  const std::vector<CpuRegisters> cpus = ReadCpuNotes(dump.notes);
  // Checked before use: a mask that covers everything would turn every address into 0.
  const uint64_t sme = static_cast<uint64_t>(vmcoreinfo.Number("sme_mask").value_or(0));
  const uint64_t encryption_mask = sme & kAddressBits & ~uint64_t{0xffff'ffff};

  std::string failure;
  for (const PhysBase& base : bases) {
    const PhysAddr table((top->address.value() - kImageBase + base.value) & ~encryption_mask);
    for (const unsigned levels : LevelCandidates(vmcoreinfo, cpus)) {
      const PageTableRoot root{table, levels, encryption_mask};
      KernelAddressSpace space(session, root);
      const Result<PhysAddr> own = space.Translate(top->address);
      if (!own || *own != table) {
        if (failure.empty()) {
          failure =
              own ? fmt::format("it maps itself to {:#x}", own->value()) : own.error().message;
        }
        continue;
      }
      KernelTables tables{root, base.value, fmt::format("{}, {}", top->name, base.from), false};
      const std::optional<KernelVa> stext = vmcoreinfo.Symbol("_stext");
      if (!stext) return tables;
      const Result<PhysAddr> text = space.Translate(*stext);
      if (!text) return tables;
      for (size_t i = 0; i < cpus.size(); ++i) {
        if (RunsOtherKernel(cpus[i], root, session, *stext, *text) != true) continue;
        tables.other_kernel_runs = true;
        sink.Note("kernel.two-kernels",
                  "CPU {}: the page tables at CR3 {:#x} belong to another kernel than the one "
                  "VMCOREINFO describes",
                  i, cpus[i].cr3);
      }
      return tables;
    }
  }
  return Fail(ErrorCode::kMalformed,
              "{} at {:#x} is not the kernel's page table at physical {:#x}: {}", top->name,
              top->address.value(), top->address.value() - kImageBase + bases.front().value,
              failure);
}

}  // namespace dmaudit
