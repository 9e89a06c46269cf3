// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef DMAUDIT_REPORT_DEVICE_LIST_H_
#define DMAUDIT_REPORT_DEVICE_LIST_H_

#include <string>
#include <vector>

#include "audit/finding.h"

namespace dmaudit {

// "0000:00:1f.0, 0000:00:1f.2, 0000:01:00.0 pasid 5". With `brief`, functions of one slot join
// ("0000:00:1f.{0,2,3}"), and beyond eight slots the rest is a number.
std::string DeviceList(const std::vector<DeviceRef>& devices, bool brief);

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_DEVICE_LIST_H_
