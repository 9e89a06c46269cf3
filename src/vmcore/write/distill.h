// SPDX-License-Identifier: GPL-2.0-or-later
// A small dump with the evidence of one audit and nothing else.
#ifndef DMAUDIT_VMCORE_WRITE_DISTILL_H_
#define DMAUDIT_VMCORE_WRITE_DISTILL_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "vmcore/memory/physical_memory.h"
#include "vmcore/write/kdump_writer.h"
#include "vmcore/write/recorder.h"

namespace dmaudit {

struct DistillRequest {
  // block_size and domainname are set by Distill; a distill note among the notes is replaced.
  // nodename is best left empty: it names somebody's machine.
  KdumpDescription header;
  std::map<std::string, std::string> hints;  // see DistillNote
  std::vector<std::string> provenance;
  KdumpOptions options;
};

struct DistillSummary {
  uint64_t evidence_frames = 0;
  uint64_t pages_stored = 0;
  uint64_t note_bytes = 0;
};

// Writes to `path` a kdump-compressed dump in which the words recorded read as in `memory` (bytes
// and unreadable states alike) and everything else reads as redacted; its RAM map is that of
// `memory`. kLimit when the recorder overflowed: such a dump would not carry the verdict.
Result<DistillSummary> Distill(const PhysicalMemory& memory, const EvidenceRecorder& recorder,
                               const DistillRequest& request, const std::string& path);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_DISTILL_H_
