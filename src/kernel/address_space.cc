// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/address_space.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace dmaudit {
namespace {

constexpr uint64_t kPresent = 1;
constexpr uint64_t kWritable = uint64_t{1} << 1;
constexpr uint64_t kNoExecute = uint64_t{1} << 63;
constexpr uint64_t kLarge = uint64_t{1} << 7;
// Bits 63..N-1 of an N-bit canonical address are equal.
constexpr bool IsCanonical(uint64_t address, unsigned bits) {
  const int64_t top = static_cast<int64_t>(address) >> (bits - 1);
  return top == 0 || top == -1;
}

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
    const uint64_t target = entry & kTableAddressBits & ~root_.encryption_mask;
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
    table = PhysAddr(entry & kTableAddressBits & ~root_.encryption_mask);
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

}  // namespace dmaudit
