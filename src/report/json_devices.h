// SPDX-License-Identifier: GPL-2.0-or-later
// Devices as the kernel knew them, in the JSON report.
#ifndef DMAUDIT_REPORT_JSON_DEVICES_H_
#define DMAUDIT_REPORT_JSON_DEVICES_H_

#include <cstddef>

#include "audit/audit.h"
#include "report/json_writer.h"

namespace dmaudit {

// What the kernel knew of a device (index into its inventory), as one object; null where it is not
// known.
void WriteDeviceFacts(JsonWriter& json, const AuditResult& result, size_t device);
// Devices of the kernel that no table entry names, as keys of the report.
void WriteOtherDevices(JsonWriter& json, const AuditResult& result);

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_JSON_DEVICES_H_
