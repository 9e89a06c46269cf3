// SPDX-License-Identifier: GPL-2.0-or-later
// Known<T>: a value with where it came from, and every rival claim.
#ifndef DMAUDIT_BASE_KNOWN_H_
#define DMAUDIT_BASE_KNOWN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dmaudit {

// Sources of a value, strongest first: of two claims the smaller origin is chosen.
enum class Origin : uint8_t {
  kUser,          // a command-line option
  kKernelShadow,  // the kernel's own copy of a hardware register
  kKernelObject,  // a kernel variable or structure
  kVmcoreinfo,    // the VMCOREINFO note
  kContainer,     // headers of the dump itself: bitmaps, PT_LOAD gaps, CPU notes
  kAcpiTable,     // an ACPI table that the user gives: firmware's word, but not from the dump
  kLog,           // a line of the kernel log
  kDerived,       // computed from other known values
  kSearch,        // found by signature
};
std::string_view ToString(Origin origin);

template <typename T>
struct Claim {
  T value;
  Origin origin;
  std::string place;  // symbol, member, log line, ...: what a reader can go and look at
};

template <typename T>
class Known {
 public:
  Known() = default;
  Known(T value, Origin origin, std::string place) {
    Add(std::move(value), origin, std::move(place));
  }

  void Add(T value, Origin origin, std::string place) {
    // Not as a temporary: gcc 12 takes the move of its text for an overflow.
    Claim<T>& claim = claims_.emplace_back();
    claim.value = std::move(value);
    claim.origin = origin;
    claim.place = std::move(place);
    if (claim.origin < claims_[chosen_].origin) chosen_ = claims_.size() - 1;
  }

  bool known() const { return !claims_.empty(); }
  explicit operator bool() const { return known(); }
  // The chosen claim; the caller has checked known().
  const Claim<T>& chosen() const { return claims_[chosen_]; }
  const T& value() const { return chosen().value; }
  T value_or(T fallback) const { return known() ? value() : std::move(fallback); }
  std::optional<T> get() const { return known() ? std::optional<T>(value()) : std::nullopt; }
  const std::vector<Claim<T>>& claims() const { return claims_; }

  // True when two sources say different things.
  bool disagrees() const {
    for (const Claim<T>& claim : claims_) {
      if (!(claim.value == value())) return true;
    }
    return false;
  }

 private:
  std::vector<Claim<T>> claims_;
  size_t chosen_ = 0;
};

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_KNOWN_H_
