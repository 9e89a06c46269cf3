// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/find_root.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "dmar/classify.h"
#include "dmar/hw/legacy_root_entry.h"
#include "dmar/hw/scalable_context_entry.h"

namespace dmaudit {
namespace {

constexpr uint32_t kTableSize = 4096;
constexpr uint32_t kTableWords = kTableSize / 8;

// A non-zero word of a root table: a pointer and P, nothing else. Both formats have it so, whatever
// the unit can do.
constexpr uint64_t kPresent = hw::legacy_root::kP.mask();
constexpr uint64_t kNeverSet = ~(hw::legacy_root::kCtp.mask() | kPresent);

bool LooksLikeRoot(std::span<const std::byte> table, PhysAddr at) {
  bool any = false;
  for (uint32_t i = 0; i < kTableWords; ++i) {
    const uint64_t word = LoadUnchecked<uint64_t>(table, size_t{i} * 8);
    if (word == 0) continue;
    if ((word & kPresent) == 0 || (word & kNeverSet) != 0) return false;
    if ((word & ~kPresent) == at.value()) return false;
    any = true;
  }
  return any;
}

// Pages of a PASID directory: 2^(PDTS + 7) entries of 8 bytes.
constexpr uint32_t DirectoryEntries(uint64_t pdts) { return uint32_t{1} << (pdts + 7); }
constexpr uint32_t DirectoryPages(uint64_t pdts) {
  return std::max<uint32_t>(1, DirectoryEntries(pdts) / kTableWords);
}

// One 4 KiB piece of memory, kept alive.
class TableBytes {
 public:
  TableBytes(MemorySession& session, PhysAddr table)
      : page_(session.ReadWholePage(table)),
        start_(static_cast<uint32_t>(table.OffsetIn(session.memory().page_size()))) {}

  bool readable() const {
    return page_->readable() || IsReadable(page_->FirstUnreadable(start_, kTableSize).state);
  }
  template <size_t N>
  std::array<uint64_t, N> Words(uint32_t first) const {
    std::array<uint64_t, N> words{};
    for (uint32_t i = 0; i < N; ++i) {
      words[i] = LoadUnchecked<uint64_t>(page_->bytes, start_ + size_t{first + i} * 8);
    }
    return words;
  }

 private:
  PageHandle page_;
  uint32_t start_;
};

bool Better(const RootCandidate& a, const RootCandidate& b) {
  return std::tuple(b.devices, b.pointers, a.table, a.scalable) <
         std::tuple(a.devices, a.pointers, b.table, b.scalable);
}

}  // namespace

// Follows candidates under one set of rules. Every table is read and judged once, however many
// candidates lead to it, so the cost is bounded by the number of distinct tables.
class RootFinder::Prover {
 public:
  Prover(MemorySession& session, const UnitRules& rules, uint64_t& tables_left)
      : session_(session), rules_(rules), tables_left_(tables_left) {}

  enum class Verdict : uint8_t { kNoRoot, kRoot, kPartial, kOutOfBudget };

  Verdict Prove(PhysAddr table, RootCandidate& candidate) {
    candidate = {};
    candidate.table = table;
    candidate.scalable = rules_.scalable;
    const TableBytes bytes(session_, table);
    if (!bytes.readable()) return Verdict::kNoRoot;
    Below sum;
    const Judgement judgement = ForEachContext(bytes, [&](PhysAddr context) {
      ++candidate.pointers;
      return Add(sum, Context(context));
    });
    candidate.devices = sum.live;
    candidate.tables = sum.tables;
    candidate.not_present = sum.not_present;
    candidate.unreadable = sum.unreadable;
    if (judgement == Judgement::kOutOfBudget) return Verdict::kOutOfBudget;
    if (judgement == Judgement::kIllegal || sum.live == 0) return Verdict::kNoRoot;
    return sum.unreadable == 0 ? Verdict::kRoot : Verdict::kPartial;
  }

  // Adds the context tables and PASID directories below a proven root.
  void CollectReached(PhysAddr table, std::unordered_set<PhysAddr>& reached) {
    const TableBytes bytes(session_, table);
    ForEachContext(bytes, [&](PhysAddr context) {
      if (!reached.insert(context).second || !rules_.scalable) return Judgement::kLegal;
      const TableBytes entries(session_, context);
      if (!entries.readable()) return Judgement::kLegal;
      for (uint32_t i = 0; i < kTableWords; i += 4) {
        const auto raw = entries.Words<4>(i);
        const EntryVerdict entry = Classify(rules_, EntryKind::kScalableContext, 0, raw);
        if (entry.outcome != Outcome::kTable) continue;
        const uint32_t pages = DirectoryPages(hw::scalable_context::kPdts.Get(raw[0]));
        for (uint32_t page = 0; page < pages; ++page) {
          reached.insert(PhysAddr(entry.target.value() + uint64_t{page} * kTableSize));
        }
      }
      return Judgement::kLegal;
    });
  }

 private:
  enum class Judgement : uint8_t { kLegal, kIllegal, kOutOfBudget };

  // What a table is and leads to.
  struct Below {
    Judgement judgement = Judgement::kLegal;
    uint64_t live = 0;  // requesters; of PASID directories and tables: live entries
    uint64_t tables = 0;
    uint64_t not_present = 0;
    uint64_t unreadable = 0;
  };

  static Judgement Add(Below& sum, const Below& more) {
    sum.live += more.live;
    sum.tables += more.tables;
    sum.not_present += more.not_present;
    sum.unreadable += more.unreadable;
    if (more.judgement != Judgement::kLegal) sum.judgement = more.judgement;
    return more.judgement;
  }

  // Calls `visit` with every context table until one is not legal.
  template <typename Visit>
  Judgement ForEachContext(const TableBytes& root, const Visit& visit) {
    const EntryKind kind = rules_.scalable ? EntryKind::kScalableRoot : EntryKind::kLegacyRoot;
    const auto step = static_cast<uint32_t>(WordsOf(kind));
    for (uint32_t i = 0; i < kTableWords; i += step) {
      const auto raw = root.Words<2>(i & ~1U);
      const EntryVerdict entry =
          Classify(rules_, kind, 0, std::span(raw).subspan(i & 1U, WordsOf(kind)));
      if (entry.outcome == Outcome::kNotPresent) continue;
      if (entry.outcome != Outcome::kTable) return Judgement::kIllegal;
      const Judgement judgement = visit(entry.target);
      if (judgement != Judgement::kLegal) return judgement;
    }
    return Judgement::kLegal;
  }

  // Looks a table up by kind and address, or judges it. `extra` is part of what the table means.
  template <typename Judge>
  Below Once(EntryKind kind, PhysAddr table, uint64_t extra, const Judge& judge) {
    // Tables are 4 KiB aligned: the low bits are free. kind < 8, extra < 8.
    const uint64_t key = table.value() | extra << 3 | static_cast<uint64_t>(kind);
    if (const auto known = judged_.find(key); known != judged_.end()) return known->second;
    const Below below = judge();
    if (below.judgement != Judgement::kOutOfBudget) judged_.emplace(key, below);
    return below;
  }

  Below Context(PhysAddr table) {
    const EntryKind kind =
        rules_.scalable ? EntryKind::kScalableContext : EntryKind::kLegacyContext;
    return Once(kind, table, 0, [&] {
      return rules_.scalable ? Judge<4>(kind, table, kTableWords,
                                        [&](const EntryVerdict& entry, uint64_t low, Below& sum) {
                                          Below device = Directory(
                                              entry.target, hw::scalable_context::kPdts.Get(low));
                                          device.live = device.live != 0 ? 1 : 0;
                                          Add(sum, device);
                                        })
                             : Judge<2>(kind, table, kTableWords, NoTableBelow);
    });
  }

  Below Directory(PhysAddr table, uint64_t pdts) {
    return Once(EntryKind::kPasidDirectory, table, pdts, [&] {
      Below sum;
      uint32_t words = DirectoryEntries(pdts);
      for (uint32_t page = 0; page < DirectoryPages(pdts); ++page) {
        const uint32_t here = std::min(words, kTableWords);
        words -= here;
        // Pointers have 52 bits: the sum stays far below 64.
        const PhysAddr at(table.value() + uint64_t{page} * kTableSize);
        const Below part = Judge<1>(EntryKind::kPasidDirectory, at, here,
                                    [&](const EntryVerdict& entry, uint64_t, Below& below) {
                                      Add(below, PasidTable(entry.target));
                                    });
        if (Add(sum, part) != Judgement::kLegal) break;
      }
      return sum;
    });
  }

  Below PasidTable(PhysAddr table) {
    return Once(EntryKind::kPasidEntry, table, 0,
                [&] { return Judge<8>(EntryKind::kPasidEntry, table, kTableWords, NoTableBelow); });
  }

  static void NoTableBelow(const EntryVerdict&, uint64_t, Below&) {}

  // Classifies the entries in the first `words` quadwords of a table; `follow` sees those that lead
  // to a table. Stops at the first entry that hardware would not take.
  template <size_t kEntryWords, typename Follow>
  Below Judge(EntryKind kind, PhysAddr table, uint32_t words, const Follow& follow) {
    Below sum;
    if (tables_left_ == 0) {
      sum.judgement = Judgement::kOutOfBudget;
      return sum;
    }
    --tables_left_;
    sum.tables = 1;
    const TableBytes bytes(session_, table);
    if (!bytes.readable()) {
      sum.unreadable = 1;
      return sum;
    }
    for (uint32_t i = 0; i < words; i += kEntryWords) {
      const auto raw = bytes.Words<kEntryWords>(i);
      const EntryVerdict entry = Classify(rules_, kind, 0, raw);
      switch (entry.outcome) {
        case Outcome::kNotPresent:
          ++sum.not_present;
          break;
        case Outcome::kTable:
          follow(entry, raw[0], sum);
          break;
        case Outcome::kPassThrough:
        case Outcome::kSecondStage:
        case Outcome::kFirstStage:
        case Outcome::kNested:
          ++sum.live;
          break;
        case Outcome::kLeaf:
        case Outcome::kRejected:
        case Outcome::kUnsupported:
          sum.judgement = Judgement::kIllegal;
          break;
      }
      if (sum.judgement != Judgement::kLegal) break;
    }
    return sum;
  }

  MemorySession& session_;
  const UnitRules& rules_;
  uint64_t& tables_left_;
  std::unordered_map<uint64_t, Below> judged_;
};

std::string DescribeCoverage(const RootSearchResult& result) {
  std::string out =
      fmt::format("looked at {} of {} pages", result.pages_looked_at, result.pages_stored);
  if (result.stored_limit != 0) {
    out += fmt::format(" (those stored in at most {} bytes)", result.stored_limit);
  }
  out += fmt::format(", {} with the pattern", result.patterns);
  if (result.budget_reached) out += ", cut by a budget";
  return out;
}

void RootFinder::LookAt(PhysAddr base, DecodeContext& context, Page& page) {
  ++pages_looked_at_;
  session_.memory().ReadPage(base, context, page);
  const auto size = static_cast<uint32_t>(page.bytes.size());
  for (uint32_t at = 0; at + kTableSize <= size; at += kTableSize) {
    if (!IsReadable(page.FirstUnreadable(at, kTableSize).state)) continue;
    const PhysAddr table(base.value() + at);
    if (!LooksLikeRoot(std::span(page.bytes).subspan(at, kTableSize), table)) continue;
    if (patterns_.size() >= budget_.patterns) {
      budget_reached_ = true;
      return;
    }
    patterns_.push_back(table);
  }
}

// Scanned pages bypass the session: they are looked at once, and would push tables out of its
// cache.
void RootFinder::ScanSmallPages() {
  if (small_scanned_) return;
  small_scanned_ = true;
  std::vector<std::pair<uint32_t, PhysAddr>> pages;
  session_.memory().VisitStored([&](PhysAddr base, uint32_t stored_size) {
    if (pages_stored_ == budget_.asked) {
      budget_reached_ = true;
      return false;
    }
    ++pages_stored_;
    if (stored_size > budget_.small_page) return true;
    if (pages.size() < budget_.sorted_pages) {
      pages.emplace_back(stored_size, base);
    } else {
      budget_reached_ = true;
    }
    return true;
  });
  if (pages.size() > budget_.pages) {
    budget_reached_ = true;
    std::sort(pages.begin(), pages.end());
    pages.resize(static_cast<size_t>(budget_.pages));
  }
  // All of these are looked at anyway: in the order of the dump that costs least.
  std::sort(pages.begin(), pages.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  const std::unique_ptr<DecodeContext> context = session_.memory().MakeContext();
  Page page;
  for (const auto& [size, base] : pages) LookAt(base, *context, page);
}

void RootFinder::ScanOtherPages() {
  if (all_scanned_) return;
  all_scanned_ = true;
  const std::unique_ptr<DecodeContext> context = session_.memory().MakeContext();
  Page page;
  session_.memory().VisitStored([&](PhysAddr base, uint32_t stored_size) {
    if (stored_size <= budget_.small_page) return true;
    if (pages_looked_at_ >= budget_.pages) {
      budget_reached_ = true;
      return false;
    }
    LookAt(base, *context, page);
    return true;
  });
}

RootSearchResult RootFinder::Find(std::span<const UnitRules> trials,
                                  const std::unordered_set<PhysAddr>& taken) {
  const SearchScope search(session_);
  ScanSmallPages();
  RootSearchResult result = Prove(trials, taken);
  if (result.found.empty() && !all_scanned_) {
    ScanOtherPages();
    result = Prove(trials, taken);
  }
  return result;
}

RootSearchResult RootFinder::Prove(std::span<const UnitRules> trials,
                                   const std::unordered_set<PhysAddr>& taken) {
  RootSearchResult result;
  uint64_t tables_left = budget_.tables;
  bool out_of_budget = false;
  std::vector<RootCandidate> found, partial;
  for (const UnitRules& rules : trials) {
    Prover prover(session_, rules, tables_left);
    for (const PhysAddr table : patterns_) {
      if (taken.contains(table)) continue;
      RootCandidate candidate;
      switch (prover.Prove(table, candidate)) {
        case Prover::Verdict::kNoRoot:
          break;
        case Prover::Verdict::kRoot:
          found.push_back(candidate);
          break;
        case Prover::Verdict::kPartial:
          partial.push_back(candidate);
          break;
        case Prover::Verdict::kOutOfBudget:
          out_of_budget = true;
          break;
      }
    }
  }

  std::unordered_set<PhysAddr> reached;
  const auto keep = [&](std::vector<RootCandidate>& from, std::vector<RootCandidate>& to) {
    std::sort(from.begin(), from.end(), Better);
    for (const RootCandidate& candidate : from) {
      if (reached.contains(candidate.table)) continue;
      if (to.size() >= RootSearchResult::kMaxKept) {
        ++result.more;
        continue;
      }
      to.push_back(candidate);
      for (const UnitRules& rules : trials) {
        if (rules.scalable != candidate.scalable) continue;
        Prover(session_, rules, tables_left).CollectReached(candidate.table, reached);
      }
    }
  };
  keep(found, result.found);
  keep(partial, result.partial);

  result.pages_stored = pages_stored_;
  result.pages_looked_at = pages_looked_at_;
  result.patterns = patterns_.size();
  result.stored_limit = all_scanned_ ? 0 : budget_.small_page;
  result.budget_reached = budget_reached_ || out_of_budget;
  return result;
}

}  // namespace dmaudit
