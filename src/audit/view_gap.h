// SPDX-License-Identifier: GPL-2.0-or-later
// Why the kernel's view of a device cannot be held against the hardware's.
#ifndef DMAUDIT_AUDIT_VIEW_GAP_H_
#define DMAUDIT_AUDIT_VIEW_GAP_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace dmaudit {

enum class ViewGap : uint8_t {
  kRecordUnread,     // the driver's record of the device: whether it is attached is not known
  kUnitUnreadable,   // the driver's record of the device leads to no unit's name
  kUnitMissing,      // to a name that no unit has
  kUnitAmbiguous,    // to one that more than one has
  kUnitNotWalked,    // translation off, ignored, or no root table
  kEntryUnread,      // no entry of the device, and not every entry was seen
  kNothingLive,      // no entry of any device: the reading of the unit may be wrong
  kKind,             // nested spaces and those of processes
  kIdentityUnknown,  // passes through, and nothing says that it is meant to
  kTopUnknown,
  kLevelsUnknown,
  kDescentUnreadable,  // the tables above the one that the unit got
  kIdUnknown,
  kIdUnset,    // id 0, which is given to no domain
  kInherited,  // differs on a unit that was taken over from an earlier kernel
};

// A word for machines, "unit-unreadable", and half a sentence about devices.
std::string_view ToString(ViewGap gap);
std::string_view Describe(ViewGap gap);

// The devices of one reason: indices into MachineState::inventory.devices, ascending.
struct UnknownViews {
  ViewGap gap = ViewGap::kUnitUnreadable;
  std::vector<size_t> devices;
};

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_VIEW_GAP_H_
