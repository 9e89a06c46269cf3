// SPDX-License-Identifier: GPL-2.0-or-later
// Physical memory of the machine that was dumped: const, shared between threads, read through
// private sessions.
#ifndef DMAUDIT_VMCORE_MEMORY_PHYSICAL_MEMORY_H_
#define DMAUDIT_VMCORE_MEMORY_PHYSICAL_MEMORY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/address.h"
#include "base/diagnostics.h"
#include "vmcore/memory/page.h"

namespace dmaudit {

// Decoder state that must not be shared between threads (decompression contexts, scratch buffers).
// Each provider defines its own; a session makes one and passes it back on every call.
class DecodeContext {
 public:
  virtual ~DecodeContext() = default;
};

// Immutable and safe to call from several threads at once, each with a context of its own.
class PhysicalMemory {
 public:
  virtual ~PhysicalMemory() = default;

  // Power of two, 4 KiB to 64 KiB, constant: the unit in which pages are decoded and cached.
  virtual uint32_t page_size() const = 0;
  virtual std::unique_ptr<DecodeContext> MakeContext() const = 0;

  // Replaces `page` by the page at `base` (a multiple of page_size()). Cannot fail: what is not
  // known says so in the extents.
  virtual void ReadPage(PhysAddr base, DecodeContext& context, Page& page) const = 0;

  // Fills `out` (whole pages) from `base` on, where all of it is data and lies together in the
  // file: true. Where it takes ReadPage() to tell, false, and `out` is unspecified. The default
  // never can.
  virtual bool ReadTogether(PhysAddr base, DecodeContext& context, std::span<std::byte> out) const;

  // The state of the page at `base` as far as it can be told without decoding it (a page that
  // claims to be data may still turn out truncated or corrupt). A page with several states gives
  // the first unreadable one.
  virtual ByteState PageStateHint(PhysAddr base) const = 0;

  // Calls `visit` with ascending, disjoint ranges that together hold every byte the dump describes
  // as RAM, stored or not, and those that may be RAM where that description is damaged. Stops when
  // `visit` returns false. Cost is proportional to the number of ranges, not to their size.
  virtual void VisitRam(const std::function<bool(PhysRange)>& visit) const = 0;

  // Calls `visit` with ascending, disjoint ranges that together hold every byte of VisitRam, and
  // the state of each as far as it can be told without decoding a page: bytes that claim to be data
  // may still turn out truncated or corrupt. Neighbours differ in state. Borders need not be those
  // of pages. Stops when `visit` returns false. The default asks PageStateHint for every page of
  // VisitRam: providers whose ranges a file can inflate have their own.
  virtual void VisitStates(const std::function<bool(PhysRange, ByteState)>& visit) const;

  // Calls `visit` with the base of every page for which the container holds bytes, ascending, and
  // with how many those are: few for a page that is nearly empty, page_size() where the container
  // does not compress. A hint for the order of a search, no more: a dump can state any size, and
  // the page can still turn out undecodable. Stops when `visit` returns false. Cost is
  // proportional to the number of pages visited, plus a page directory where there is one. The
  // default asks PageStateHint for every page of VisitRam: providers whose ranges a file can
  // inflate have their own.
  virtual void VisitStored(
      const std::function<bool(PhysAddr base, uint32_t stored_size)>& visit) const;

  // Says what pages that were read so far showed of the whole dump, as gaps.
  virtual void ReportFaults(DiagnosticSink& sink) const { (void)sink; }
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_MEMORY_PHYSICAL_MEMORY_H_
