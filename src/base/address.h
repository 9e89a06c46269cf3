// SPDX-License-Identifier: GPL-2.0-or-later
// Address spaces as distinct types: no address converts to another or to an integer by itself.
#ifndef DMAUDIT_BASE_ADDRESS_H_
#define DMAUDIT_BASE_ADDRESS_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

namespace dmaudit {

template <typename Space>
class Address {
 public:
  constexpr Address() = default;
  constexpr explicit Address(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }

  // This address moved up; nothing when the sum leaves 64 bits.
  constexpr std::optional<Address> Plus(uint64_t bytes) const {
    if (bytes > UINT64_MAX - value_) return std::nullopt;
    return Address(value_ + bytes);
  }
  // `alignment` is a power of two.
  constexpr Address AlignDown(uint64_t alignment) const {
    return Address(value_ & ~(alignment - 1));
  }
  constexpr uint64_t OffsetIn(uint64_t alignment) const { return value_ & (alignment - 1); }

  friend constexpr auto operator<=>(const Address&, const Address&) = default;

 private:
  uint64_t value_ = 0;
};

using PhysAddr = Address<struct PhysicalSpace>;  // host physical
using Iova = Address<struct IovaSpace>;          // what a device puts on the bus
using KernelVa = Address<struct KernelSpace>;    // Linux kernel virtual
using FileOffset = Address<struct FileSpace>;    // byte position in a dump file

// A non-empty stretch of addresses with both ends included, so that the last byte of the space can
// be held.
template <typename A>
struct AddressRange {
  A first;
  A last;

  // Nothing when the size is 0 or the range would leave 64 bits.
  static constexpr std::optional<AddressRange> FromSize(A base, uint64_t size) {
    if (size == 0) return std::nullopt;
    const std::optional<A> last = base.Plus(size - 1);
    if (!last) return std::nullopt;
    return AddressRange{base, *last};
  }
  // Bytes covered; 0 stands for 2^64.
  constexpr uint64_t size() const { return last.value() - first.value() + 1; }
  constexpr bool Contains(A a) const { return first <= a && a <= last; }
  constexpr bool Contains(const AddressRange& o) const {
    return first <= o.first && o.last <= last;
  }
  constexpr bool Overlaps(const AddressRange& o) const {
    return first <= o.last && o.first <= last;
  }
  constexpr std::optional<AddressRange> Intersect(const AddressRange& o) const {
    if (!Overlaps(o)) return std::nullopt;
    return AddressRange{first < o.first ? o.first : first, last < o.last ? last : o.last};
  }

  friend constexpr auto operator<=>(const AddressRange&, const AddressRange&) = default;
};

using PhysRange = AddressRange<PhysAddr>;
using IovaRange = AddressRange<Iova>;

}  // namespace dmaudit

template <typename Space>
struct std::hash<dmaudit::Address<Space>> {
  size_t operator()(const dmaudit::Address<Space>& a) const noexcept {
    return std::hash<uint64_t>{}(a.value());
  }
};

#endif  // DMAUDIT_BASE_ADDRESS_H_
