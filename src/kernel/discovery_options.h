// SPDX-License-Identifier: GPL-2.0-or-later
// What the user decides about how a machine is discovered.
#ifndef DMAUDIT_KERNEL_DISCOVERY_OPTIONS_H_
#define DMAUDIT_KERNEL_DISCOVERY_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "kernel/roads.h"

namespace dmaudit {

// A unit as the user knows it: its registers, all of them needed to walk its tables.
struct UserUnit {
  std::string name;
  uint16_t segment = 0;
  uint64_t cap = 0;
  uint64_t ecap = 0;
  uint64_t rtaddr = 0;  // with the table mode in bits 11:10
};

// A root table as the user knows it; of the unit it belongs to nothing is said.
struct UserRoot {
  PhysAddr table;                // 4 KiB aligned
  std::optional<bool> scalable;  // nullopt: to be told from the tables
};

// Which kernel of a dump that holds several is audited.
struct WhichKernel {
  enum class Kind : uint8_t {
    kCrashed,  // the one that crashed
    kCapture,  // the one that was started to save the dump
    kAddress,  // the one whose VMCOREINFO text is at `address`
  };
  Kind kind = Kind::kCrashed;
  PhysAddr address{};
};

struct DiscoveryOptions {
  std::optional<WhichKernel> which;  // nullopt: no wish
  std::vector<UserUnit> units;
  std::vector<UserRoot> roots;
  Roads roads;
  std::string vmlinux;         // a file; empty: the usual places, where the dump lacks what it has
  bool force_vmlinux = false;  // use it even if it is of another kernel
  std::string acpi_dmar;       // a file with the DMAR table of the machine; empty: none
  bool debuginfod = false;     // ask servers where no file is found

  // Whether the user gives units that may be used.
  bool has_user_units() const {
    return roads.Allows(Road::kUser) && !(units.empty() && roots.empty());
  }
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_DISCOVERY_OPTIONS_H_
