// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/vmcoreinfo_search.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/diagnostics.h"
#include "kernel/kernel_tables.h"
#include "vmcore/memory/stored_runs.h"

namespace dmaudit {
namespace {

constexpr std::string_view kStart = "OSRELEASE=";
// VMCOREINFO_BYTES: what the kernel allots to the text.
constexpr size_t kTextBytes = 4096;
// No text compresses to less: it is a page of names and numbers that hardly repeat.
constexpr uint32_t kLeastStored = 256;
// Places with the first word of a text that are looked at: its like is in the kernel's own strings,
// in tools that read it, and in files of such texts.
constexpr size_t kMaxHits = 1024;
// Read in steps that do not depend on what lies behind the text.
constexpr size_t kStep = 512;

// Finds kStart in pages given in ascending order, over page borders too.
class Scanner {
 public:
  void Take(PhysAddr base, std::string_view bytes, std::vector<PhysAddr>& hits) {
    constexpr size_t kOver = kStart.size() - 1;
    if (!tail_.empty() && base == next_) {
      const std::string border = tail_ + std::string(bytes.substr(0, kOver));
      if (const size_t at = border.find(kStart); at != std::string::npos) {
        hits.push_back(PhysAddr(base.value() - tail_.size() + at));
      }
    }
    for (size_t at = bytes.find(kStart); at != std::string_view::npos;
         at = bytes.find(kStart, at + kStart.size())) {
      hits.push_back(PhysAddr(base.value() + at));
    }
    next_ = base.Plus(bytes.size()).value_or(PhysAddr(0));
    tail_ = std::string(bytes.substr(bytes.size() - std::min(bytes.size(), kOver)));
  }

 private:
  std::string tail_;
  PhysAddr next_;
};

}  // namespace

Result<FoundVmcoreinfo> ReadVmcoreinfo(MemorySession& session, PhysAddr at) {
  std::string text;
  while (text.find('\0') == std::string::npos) {
    if (text.size() == kTextBytes) {
      return Fail(ErrorCode::kMalformed, "no VMCOREINFO text at {:#x}: it does not end",
                  at.value());
    }
    const std::optional<PhysAddr> from = at.Plus(text.size());
    // Up to the next border, so that a text at the end of a page needs no other page.
    std::array<std::byte, kStep> bytes;
    const size_t size =
        std::min(kStep - (from ? from->OffsetIn(kStep) : 0), kTextBytes - text.size());
    const ReadStatus status = from ? session.Read(*from, std::span(bytes).first(size))
                                   : ReadStatus{ByteState::kAbsent, at};
    if (!status.ok()) {
      return Fail(ErrorCode::kUnknown, "VMCOREINFO text at {:#x}: byte at {:#x} is {}", at.value(),
                  status.where.value(), ToString(status.state));
    }
    text += AsText(std::span(bytes).first(size));
    if (!text.starts_with(kStart.substr(0, text.size()))) {
      return Fail(ErrorCode::kMalformed, "no VMCOREINFO text at {:#x}: it does not start with {}",
                  at.value(), kStart);
    }
  }
  // What is not quite right with a text of many is no diagnostic of the dump.
  DiagnosticSink aside;
  Result<Vmcoreinfo> info = Vmcoreinfo::Parse(text, aside);
  if (!info) return tl::unexpected<Error>(info.error());
  const bool has_table = std::ranges::any_of(
      kTopTableNames, [&](std::string_view name) { return info->Symbol(name).has_value(); });
  if (!has_table || !info->Symbol("_stext")) {
    return Fail(ErrorCode::kMalformed,
                "no VMCOREINFO text at {:#x}: it has no address of the kernel's page table, or "
                "none of _stext",
                at.value());
  }
  const size_t size = text.find('\0') + 1;
  return FoundVmcoreinfo{at, PhysAddr(at.value() + (size - 1)), *std::move(info)};
}

VmcoreinfoSearchResult SearchVmcoreinfo(MemorySession& session, uint64_t max_bytes) {
  VmcoreinfoSearchResult result;
  std::vector<PhysAddr> hits;
  // Past the session's cache: most pages are looked at once.
  const PhysicalMemory& memory = session.memory();
  Scanner scanner;
  const StoredRuns runs = VisitStoredRuns(
      memory, {.pages = max_bytes / memory.page_size(), .stored_size = kLeastStored},
      [&](PhysAddr first, std::span<const std::byte> bytes) {
        // Bytes that are not known are zero here; a text with one of them fails when it is read.
        scanner.Take(first, AsText(bytes), hits);
        return hits.size() <= kMaxHits;
      });
  result.bytes_searched = runs.pages * memory.page_size();
  result.cut_off = runs.cut_off;
  if (hits.size() > kMaxHits) {
    hits.resize(kMaxHits);
    result.cut_off = true;
  }
  for (const PhysAddr at : hits) {
    Result<FoundVmcoreinfo> text = [&] {
      const SearchScope search(session);
      return ReadVmcoreinfo(session, at);
    }();
    if (!text) continue;
    if (result.texts.size() == kMaxVmcoreinfoTexts) {
      result.cut_off = true;
      break;
    }
    // Whole pages, as they are searched: a page that is known in part only is passed over.
    for (const PhysAddr end : {at, text->last}) session.ReadWholePage(end);
    result.texts.push_back(*std::move(text));
  }
  return result;
}

}  // namespace dmaudit
