// SPDX-License-Identifier: GPL-2.0-or-later
// Finding a unit's root table by what it leads to, for dumps in which nothing says where it is.
#ifndef DMAUDIT_DMAR_FIND_ROOT_H_
#define DMAUDIT_DMAR_FIND_ROOT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/address.h"
#include "dmar/rules.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

// A page that reads as a root table.
struct RootCandidate {
  PhysAddr table;
  bool scalable = false;     // translation table mode in which it does
  uint32_t pointers = 0;     // present root entries, halves counted apart in scalable mode
  uint64_t devices = 0;      // requesters with at least one live translation
  uint64_t tables = 0;       // context tables, PASID directories and PASID tables below it
  uint64_t not_present = 0;  // entries of those that hold none
  uint64_t unreadable = 0;   // tables below it, counted once per pointer, whose bytes are not known
};

// Bounds of one search: time and memory that a crafted dump can cost.
struct RootSearchBudget {
  // Pages that the container stores in at most this many bytes are looked at first (when `pages`
  // does not allow for all of them, the smallest), and are enough when one of them is a root table.
  // A root table compresses well: with zlib, 400 bytes hold any with 40 pointers on as many buses,
  // and on ordinary machines about one page in seven is that small. In a dump that is not
  // compressed no page is.
  uint32_t small_page = 400;
  // Pages whose stored size is asked for: a second. Segments of an ELF core may share their bytes,
  // so that a small file stores any number of pages.
  uint64_t asked = uint64_t{1} << 28;
  // Small pages that are noted: 16 MiB of bookkeeping.
  uint64_t sorted_pages = uint64_t{1} << 20;
  // Pages decoded to look for the pattern: 2 GiB of memory, a few seconds.
  uint64_t pages = uint64_t{1} << 19;
  // Pages with the pattern: a dump full of them is no machine's.
  size_t patterns = 4096;
  // Tables read to prove those: two for each requester of a machine with 30000 of them.
  uint64_t tables = 1 << 16;
};

struct RootSearchResult {
  // At most this many candidates of each kind are kept, the best ones; `more` counts the others.
  static constexpr size_t kMaxKept = 8;

  // Every entry on the way is legal and readable, and leads to at least one device. Most devices
  // first, then most pointers, then by address. A table that a better one leads to is left out.
  std::vector<RootCandidate> found;
  // Legal and leading to devices as far as could be read.
  std::vector<RootCandidate> partial;
  uint64_t more = 0;

  // What the search covered: "only hit" holds for pages looked at.
  uint64_t pages_stored = 0;     // pages the dump holds
  uint64_t pages_looked_at = 0;  // of those
  uint64_t patterns = 0;         // pages that looked like a root table before following pointers
  uint32_t stored_limit = 0;     // only pages stored in at most so many bytes; 0: of any size
  bool budget_reached = false;   // some page was passed over because a budget ran out
};

// "looked at 3540 of 24483 pages (those stored in at most 400 bytes), 2 with the pattern".
std::string DescribeCoverage(const RootSearchResult& result);

// Looks through all memory for pages of which every 8-byte word is either zero or a present pointer
// to a table (so not-present root entries must be zero, which software that zeroes its tables
// leaves behind), and proves each by following it with the classifier. Pages are decoded once, for
// all searches of one finder. Reads are search, not evidence: the tables are to be walked
// afterwards. Knows no operating system.
class RootFinder {
 public:
  // `session` outlives the finder.
  explicit RootFinder(MemorySession& session, RootSearchBudget budget = {})
      : session_(session), budget_(budget) {}

  // Candidates under any of `trials`: the rules of one unit, for each table mode it may be in
  // (UnitRules::scalable). Pages in `taken` are root tables of other units.
  RootSearchResult Find(std::span<const UnitRules> trials,
                        const std::unordered_set<PhysAddr>& taken = {});

 private:
  class Prover;

  void ScanSmallPages();
  void ScanOtherPages();
  // Decodes a page and keeps what looks like a root table.
  void LookAt(PhysAddr base, DecodeContext& context, Page& page);
  RootSearchResult Prove(std::span<const UnitRules> trials,
                         const std::unordered_set<PhysAddr>& taken);

  MemorySession& session_;
  RootSearchBudget budget_;
  std::vector<PhysAddr> patterns_;
  bool small_scanned_ = false;
  bool all_scanned_ = false;
  uint64_t pages_stored_ = 0;
  uint64_t pages_looked_at_ = 0;
  bool budget_reached_ = false;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_FIND_ROOT_H_
