// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/translation.h"

namespace dmaudit {

std::string_view ToString(Stage stage) {
  switch (stage) {
    case Stage::kSecond:
      return "second";
    case Stage::kFirst:
      return "first";
    case Stage::kNested:
      return "nested";
    case Stage::kPassThrough:
      return "passthrough";
  }
  return "second";
}

std::string_view ToString(Permissions permissions) {
  if (permissions.read) return permissions.write ? "RW" : "R-";
  return permissions.write ? "-W" : "--";
}

WalkAccounting& WalkAccounting::operator+=(const WalkAccounting& other) {
  visited += other.visited;
  tables += other.tables;
  leaves += other.leaves;
  not_present += other.not_present;
  dead += other.dead;
  rejected += other.rejected;
  unreadable += other.unreadable;
  return *this;
}

}  // namespace dmaudit
