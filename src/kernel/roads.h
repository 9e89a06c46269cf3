// SPDX-License-Identifier: GPL-2.0-or-later
// The ways ("roads") to symbols, types and units, and which of them may be taken.
#ifndef DMAUDIT_KERNEL_ROADS_H_
#define DMAUDIT_KERNEL_ROADS_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dmaudit {

// In the order in which those to one goal are tried; a vmlinux that the user names goes first.
enum class Road : uint8_t {
  // To symbols.
  kVmcoreinfo,  // kallsyms where VMCOREINFO says (6.0 and later)
  kSignature,   // kallsyms found by its signature
  kVmlinux,     // the symbol table of a vmlinux
  // To types.
  kBtfSymbols,  // BTF between the symbols around it
  kBtfSearch,   // BTF found by its header
  kDwarf,       // DWARF of a vmlinux
  // To units.
  kKernelList,  // the kernel's own list, dmar_drhd_units
  kLogSearch,   // units out of the log; root tables found by search
  kUser,        // --unit and --root
};
inline constexpr unsigned kRoads = 9;

std::string_view ToString(Road road);  // "btf-search"

class Roads {
 public:
  Roads() { allowed_.set(); }

  // A comma-separated list. Names: of the ways to what a name leads to, only those named are left;
  // ways to other goals are untouched. Names with "no-" in front: these are closed. The two are not
  // mixed. kUsage otherwise.
  static Result<Roads> Parse(std::string_view list);

  bool Allows(Road road) const { return allowed_[static_cast<size_t>(road)]; }

 private:
  std::bitset<kRoads> allowed_;
};

// "symbols: vmcoreinfo, signature; types: ...": for help texts.
std::string DescribeRoads();

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_ROADS_H_
