// SPDX-License-Identifier: GPL-2.0-or-later
// Root, context and PASID tables of one unit. Internal to the walk.
#ifndef DMAUDIT_DMAR_ATTACHMENT_WALK_H_
#define DMAUDIT_DMAR_ATTACHMENT_WALK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dmar/classify.h"
#include "dmar/table_page.h"
#include "dmar/walk.h"

namespace dmaudit {

class AttachmentWalk {
 public:
  // Live PASID entries remembered for directories that several functions share: 24 MiB at most.
  static constexpr uint64_t kMaxRememberedEntries = uint64_t{1} << 18;
  // 65,536 functions with 16 address spaces each.
  static constexpr uint64_t kMaxAttachments = uint64_t{1} << 20;

  AttachmentWalk(const UnitState& unit, const UnitRules& rules, MemorySession& session,
                 DiagnosticSink& sink, const std::function<bool(const Attachment&)>& visit,
                 WalkBudget& budget)
      : unit_(unit),
        rules_(rules),
        session_(session),
        sink_(sink),
        visit_(visit),
        budget_(budget) {}

  void WalkLegacy(PhysAddr root);
  void WalkScalable(PhysAddr root);

  const WalkAccounting& accounting() const { return accounting_; }

 private:
  // A live PASID entry as a directory holds it, the same for every function that links it.
  struct PasidLeaf {
    uint32_t pasid = 0;
    PhysAddr directory_entry;
    uint64_t directory_raw = 0;
    PhysAddr entry;
    std::array<uint64_t, 3> words{};
  };
  using PasidLeaves = std::shared_ptr<const std::vector<PasidLeaf>>;
  // Which entries of a directory requests of a function reach.
  struct Selection {
    uint64_t directory = 0;
    uint32_t limit = 0;  // number of PASIDs that the directory covers
    bool all = false;    // PASIDE: requests may carry any PASID
    // PASIDs that requests without PASID may use; two only when it is not known which.
    uint32_t rid_first = 0;
    uint32_t rid_second = 0;
    // What is the same for all functions with an equal one: where all entries are selected, those
    // of requests without PASID are among them.
    Selection Key() const { return all ? Selection{directory, limit, true} : *this; }
    bool Selects(uint32_t pasid) const { return all || pasid == rid_first || pasid == rid_second; }
    friend auto operator<=>(const Selection&, const Selection&) = default;
  };
  // One function in scalable mode.
  struct Function {
    Bdf bdf;
    EntryRef root;
    EntryRef context;
    Selection selection;
    bool rid_privileged = false;
    bool device_tlb = false;
  };

  void LegacyContextTable(uint8_t bus, const EntryRef& root, PhysAddr table);
  void ScalableContextTable(uint8_t bus, bool upper, const EntryRef& root, PhysAddr table);
  void OnScalableContext(const Function& function, std::span<const uint64_t> raw,
                         const EntryVerdict& verdict);
  PasidLeaves ReadDirectory(const Selection& selection);
  void ReadPasidTable(const Selection& selection, uint32_t first_pasid,
                      const PasidLeaf& directory_entry, PhysAddr table,
                      std::vector<PasidLeaf>& leaves);
  void ShowPasids(const Function& function, const std::vector<PasidLeaf>& leaves);
  void ShowPasid(const Function& function, const PasidLeaf& leaf, bool without_pasid,
                 bool with_pasid);
  void Show(Attachment& attachment);

  // Whether the budget allows for more of the PASID tables; says when it does not.
  bool Afford(uint64_t cost);
  // Counts `size` / `entry_size` unknown entries at `offset`, and says so.
  void CountUnknown(const TablePage& page, const std::string& name, uint32_t offset, uint32_t size,
                    uint32_t entry_size);
  // Says why an entry is refused, or taken as valid without certainty; nothing for other verdicts.
  // `name` is the table.
  void Report(const std::string& name, uint64_t index, const EntryVerdict& verdict);
  // Counts a verdict that leads nowhere; false when it leads on.
  bool CountIfEnd(const std::string& name, uint64_t index, const EntryVerdict& verdict);
  std::string NameOf(std::string_view kind, PhysAddr table) const;

  const UnitState& unit_;
  const UnitRules& rules_;
  MemorySession& session_;
  DiagnosticSink& sink_;
  const std::function<bool(const Attachment&)>& visit_;
  WalkBudget& budget_;
  WalkAccounting accounting_;
  bool stopped_ = false;
  bool pasid_budget_spent_ = false;
  uint64_t attachments_ = 0;
  uint64_t remembered_ = 0;
  std::map<Selection, PasidLeaves> directories_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_ATTACHMENT_WALK_H_
