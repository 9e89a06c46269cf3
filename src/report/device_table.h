// SPDX-License-Identifier: GPL-2.0-or-later
// Devices in the text report: what each reaches, and what the kernel knew of it.
#ifndef DMAUDIT_REPORT_DEVICE_TABLE_H_
#define DMAUDIT_REPORT_DEVICE_TABLE_H_

#include <cstddef>
#include <string>

#include "audit/audit.h"
#include "report/layout.h"

namespace dmaudit {

// "all memory (pass-through)", "16 MiB in 4 ranges".
std::string ReachText(const AuditedDomain& domain);

// "D3hot", "no bus master", "bus master"; "-" where that is not known.
std::string StateText(const DeviceFacts& device);

// "Mass storage, NVM Express" for a PCI class code; the number where it has no name here.
std::string ClassText(uint32_t class_code);

struct DeviceRows {
  TextTable table;
  size_t left_out = 0;  // rows beyond the limit
};

// Requesters that the tables know, one row each, with their PASIDs; then devices behind no unit.
DeviceRows RequesterTable(const AuditResult& result, size_t limit);
// The same in brief: devices that share a domain and a group are one row.
DeviceRows BriefDeviceTable(const AuditResult& result, size_t limit);
// Every device of the kernel, also those that no table knows.
DeviceRows InventoryTable(const AuditResult& result, size_t limit);

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_DEVICE_TABLE_H_
