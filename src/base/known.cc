// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/known.h"

namespace dmaudit {

std::string_view ToString(Origin origin) {
  switch (origin) {
    case Origin::kUser:
      return "user";
    case Origin::kKernelShadow:
      return "kernel shadow";
    case Origin::kKernelObject:
      return "kernel object";
    case Origin::kVmcoreinfo:
      return "vmcoreinfo";
    case Origin::kContainer:
      return "container";
    case Origin::kAcpiTable:
      return "acpi table";
    case Origin::kLog:
      return "log";
    case Origin::kDerived:
      return "derived";
    case Origin::kSearch:
      return "search";
  }
  return "unknown";
}

}  // namespace dmaudit
