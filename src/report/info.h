// SPDX-License-Identifier: GPL-2.0-or-later
// `dmaudit info`: what a dump is, before any question of DMA.
#ifndef DMAUDIT_REPORT_INFO_H_
#define DMAUDIT_REPORT_INFO_H_

#include <optional>
#include <string>

#include "audit/page_states.h"
#include "kernel/machine.h"
#include "report/output.h"
#include "vmcore/dump.h"

namespace dmaudit {

struct InfoReport {
  DumpInfo input;
  PageStates states;
  // The kernel in it; nothing, and the reason, when none was found.
  std::optional<MachineState> machine;
  std::string no_machine_because;
};

void WriteTextInfo(const InfoReport& info, Output& output);
void WriteJsonInfo(const InfoReport& info, Output& output);

// "2026-11-20 12:34:56 UTC", or the bare number where it is no sensible time.
std::string FormatUtc(uint64_t seconds);

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_INFO_H_
