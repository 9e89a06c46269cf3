// SPDX-License-Identifier: GPL-2.0-or-later
// The memory of a distilled dump: what was removed reads back as unknown, never as filler bytes.
#ifndef DMAUDIT_VMCORE_MEMORY_REDACTED_MEMORY_H_
#define DMAUDIT_VMCORE_MEMORY_REDACTED_MEMORY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/diagnostics.h"
#include "vmcore/dump.h"
#include "vmcore/memory/physical_memory.h"
#include "vmcore/memory/redaction.h"

namespace dmaudit {

// Lays a RedactionMap over the container's memory. Kept words are data where the frame is stored
// unchanged; where the container has lost it (a file can be cut after it was distilled) they get
// the container's state, and where its bytes differ from those written they are corrupt. Words with
// a recorded state get that state; every other byte that the container describes is redacted.
class RedactedMemory : public PhysicalMemory {
 public:
  RedactedMemory(std::unique_ptr<const PhysicalMemory> base, RedactionMap map);

  uint32_t page_size() const override { return base_->page_size(); }
  std::unique_ptr<DecodeContext> MakeContext() const override { return base_->MakeContext(); }
  void ReadPage(PhysAddr base, DecodeContext& context, Page& page) const override;
  ByteState PageStateHint(PhysAddr base) const override;
  void VisitRam(const std::function<bool(PhysRange)>& visit) const override {
    base_->VisitRam(visit);
  }
  void ReportFaults(DiagnosticSink& sink) const override { base_->ReportFaults(sink); }
  void VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const override;
  void VisitStored(const std::function<bool(PhysAddr, uint32_t)>& visit) const override {
    base_->VisitStored([&](PhysAddr base, uint32_t stored_size) {
      return !IsReadable(PageStateHint(base)) || visit(base, stored_size);
    });
  }

 private:
  std::unique_ptr<const PhysicalMemory> base_;
  RedactionMap map_;
};

struct OverlaidMemory {
  std::unique_ptr<const PhysicalMemory> memory;
  bool distilled = false;
};

// For openers: puts the redaction that `notes` state on top of `memory`, which comes back as it is
// when the dump was not distilled. `marked`: the header carries kDistilledMark. A note that is
// damaged, newer, or missing although the header is marked leaves every byte redacted, and is a
// diagnostic "distill.note" (kIncomplete).
OverlaidMemory OverlayRedaction(std::unique_ptr<const PhysicalMemory> memory,
                                std::span<const DumpNote> notes, bool marked, DiagnosticSink& sink);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_MEMORY_REDACTED_MEMORY_H_
