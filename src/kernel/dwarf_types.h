// SPDX-License-Identifier: GPL-2.0-or-later
// Layouts that were read from the DWARF of a vmlinux.
#ifndef DMAUDIT_KERNEL_DWARF_TYPES_H_
#define DMAUDIT_KERNEL_DWARF_TYPES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/debuginfo_table.h"
#include "kernel/types.h"

namespace dmaudit {

// Knows the structures that were asked for, and what is embedded in them.
class DwarfTypes : public TypeSource {
 public:
  // `from` is the provenance: "DWARF (vmlinux-6.1.0)".
  DwarfTypes(const DebuginfoTable& table, std::string from);

  const std::string& from() const override { return from_; }
  Result<MemberLayout> Member(std::string_view type, std::string_view path) const override;
  Result<uint64_t> SizeOf(std::string_view type) const override;

 private:
  struct Found {
    uint64_t bit_offset = 0;
    const DebuginfoMember* member = nullptr;
  };

  Result<uint32_t> Definition(std::string_view type) const;
  // nullptr in the result when there is none; an error when unnamed structures nest without end.
  Result<Found> Find(uint32_t composite, std::string_view name) const;

  std::string from_;
  std::vector<DebuginfoComposite> composites_;
  std::map<std::string, uint32_t, std::less<>> definitions_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_DWARF_TYPES_H_
