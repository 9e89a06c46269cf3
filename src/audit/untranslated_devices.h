// SPDX-License-Identifier: GPL-2.0-or-later
// Devices whose requests nothing translated when the kernel died, by the kernel's list of devices
// and the scopes that firmware declared: no table has an entry that tells of them.
#ifndef DMAUDIT_AUDIT_UNTRANSLATED_DEVICES_H_
#define DMAUDIT_AUDIT_UNTRANSLATED_DEVICES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace dmaudit {

class DeviceStates;
struct AuditResult;

enum class WhyUntranslated : uint8_t {
  kNoIommu,         // the machine has none in use
  kNoUnit,          // no unit covers the device
  kTranslationOff,  // of the unit that covers it
  kUnitIgnored,     // the kernel does not drive the unit that covers it
};
// A word for machines, "translation-off", and one for people, "translation off".
std::string_view ToString(WhyUntranslated why);
std::string_view Describe(WhyUntranslated why);

struct UntranslatedDevice {
  size_t facts = 0;  // index into MachineState::inventory.devices
  WhyUntranslated why = WhyUntranslated::kNoIommu;
  std::optional<size_t> unit;  // index into AuditResult::units; nothing where none covers it
};

// Fills in `untranslated`: devices to which coverage applies, in the order of the inventory;
// `coverage` is there. Those of which it is not known whether a unit covers them, or which, are
// left out: `untranslated_complete` says that there are none, and that the inventory is whole.
void FindUntranslatedDevices(AuditResult& result);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_UNTRANSLATED_DEVICES_H_
