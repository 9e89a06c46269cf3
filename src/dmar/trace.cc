// SPDX-License-Identifier: GPL-2.0-or-later
#include "dmar/trace.h"

#include <functional>
#include <optional>

#include "dmar/classify.h"
#include "dmar/table_page.h"

namespace dmaudit {
namespace {

constexpr unsigned kEntriesPerTable = 512;

class Tracer {
 public:
  Tracer(const UnitRules& rules, MemorySession& session) : rules_(rules), session_(session) {}

  // Follows `input` from `root`; table addresses go through `to_host` first. The output address,
  // when a leaf was reached.
  std::optional<uint64_t> Follow(EntryKind kind, const TableRoot& root, uint64_t input,
                                 const std::function<std::optional<PhysAddr>(PhysAddr)>& to_host,
                                 std::vector<EntryRef>* entries) {
    PhysAddr table = root.table;
    for (uint8_t level = root.levels; level > 0; --level) {
      const std::optional<PhysAddr> host = to_host(table);
      if (!host) return std::nullopt;
      const TablePage page(session_, *host);
      const auto index = static_cast<uint32_t>(input >> (12 + 9 * (level - 1u))) % kEntriesPerTable;
      if (!page.Knows(index * 8, 8)) return std::nullopt;
      const uint64_t raw = page.Word(index * 8);
      if (entries != nullptr) {
        entries->push_back({ToString(kind), level, PhysAddr(host->value() + index * 8), raw, 0});
      }
      const EntryVerdict verdict = Classify(rules_, kind, level, {&raw, 1});
      if (verdict.outcome == Outcome::kLeaf) {
        return verdict.target.value() + (input & (verdict.size - 1));
      }
      if (verdict.outcome != Outcome::kTable) return std::nullopt;
      table = verdict.target;
    }
    return std::nullopt;
  }

 private:
  const UnitRules& rules_;
  MemorySession& session_;
};

std::optional<PhysAddr> Unchanged(PhysAddr address) { return address; }

}  // namespace

std::vector<EntryRef> TraceTranslation(const AddressSpace& space, const UnitRules& rules,
                                       MemorySession& session, Iova iova) {
  Tracer tracer(rules, session);
  std::vector<EntryRef> entries;
  uint64_t input = iova.value();
  if (space.first) {
    const auto to_host = [&](PhysAddr table) -> std::optional<PhysAddr> {
      if (!space.second) return table;
      const std::optional<uint64_t> host =
          tracer.Follow(EntryKind::kSecondStage, *space.second, table.value(), Unchanged, nullptr);
      if (!host) return std::nullopt;
      return PhysAddr(*host);
    };
    const std::optional<uint64_t> output =
        tracer.Follow(EntryKind::kFirstStage, *space.first, input, to_host, &entries);
    if (!output || !space.second) return entries;
    input = *output;
  }
  if (space.second) {
    tracer.Follow(EntryKind::kSecondStage, *space.second, input, Unchanged, &entries);
  }
  return entries;
}

}  // namespace dmaudit
