// SPDX-License-Identifier: GPL-2.0-or-later
#include "audit/view_gap.h"

namespace dmaudit {
namespace {

struct Words {
  std::string_view id;
  std::string_view text;
};

// A switch, so that a reason without words does not compile.
Words Of(ViewGap gap) {
  switch (gap) {
    case ViewGap::kRecordUnread:
      return {"record-unread", "the driver's record of the device could not be read"};
    case ViewGap::kUnitUnreadable:
      return {"unit-unreadable", "the kernel's structure of the unit could not be read"};
    case ViewGap::kUnitMissing:
      return {"unit-missing", "the unit is none of those that were found"};
    case ViewGap::kUnitAmbiguous:
      return {"unit-ambiguous", "more than one unit has the unit's name"};
    case ViewGap::kUnitNotWalked:
      return {"unit-not-walked", "the unit's tables were not walked"};
    case ViewGap::kEntryUnread:
      return {"entry-unread", "without an entry, where not every entry of the unit was seen"};
    case ViewGap::kNothingLive:
      return {"nothing-live", "no entry of the unit is live"};
    case ViewGap::kKind:
      return {"kind", "nested spaces and those of processes are not compared"};
    case ViewGap::kIdentityUnknown:
      return {"identity-unknown", "passed through, and not known to be in an identity domain"};
    case ViewGap::kTopUnknown:
      return {"top-unknown", "the top table of the kernel's domain is not known"};
    case ViewGap::kLevelsUnknown:
      return {"levels-unknown", "the number of levels of the kernel's domain is not known"};
    case ViewGap::kDescentUnreadable:
      return {"descent-unreadable", "a table above the one that the unit got could not be read"};
    case ViewGap::kIdUnknown:
      return {"id-unknown", "the id of the kernel's domain is not known"};
    case ViewGap::kIdUnset:
      return {"id-unset", "the kernel has no id of its domain"};
    case ViewGap::kInherited:
      return {"inherited", "an entry that differs may be an earlier kernel's"};
  }
  return {"unknown", "not known"};
}

}  // namespace

std::string_view ToString(ViewGap gap) { return Of(gap).id; }
std::string_view Describe(ViewGap gap) { return Of(gap).text; }

}  // namespace dmaudit
