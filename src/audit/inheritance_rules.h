// SPDX-License-Identifier: GPL-2.0-or-later
// The rules by which Linux takes over a unit, over values of which some are not known.
#ifndef DMAUDIT_AUDIT_INHERITANCE_RULES_H_
#define DMAUDIT_AUDIT_INHERITANCE_RULES_H_

#include <optional>
#include <vector>

#include "audit/inheritance.h"
#include "dmar/unit_state.h"
#include "kernel/capture_facts.h"
#include "kernel/iommu_arguments.h"

namespace dmaudit {

struct InheritanceInputs {
  const std::vector<UnitState>& units;
  const CaptureFacts& facts;
  std::optional<IommuArguments> crashed;  // of the crashed kernel's command line
  std::optional<IommuArguments> capture;  // of the capture kernel's
  // Whether the capture kernel knows that it is one; false when its command line lacks elfcorehdr=.
  bool finds_old_memory = true;
  // What a capture kernel that runs in the dump does without an option (CaptureKernel).
  std::optional<bool> driver_default = std::nullopt;
  std::optional<bool> scalable_default = std::nullopt;
};

// `unit` is one of `inputs.units`. Sources: Linux drivers/iommu/intel/iommu.c (init_dmars,
// copy_translation_tables, intel_iommu_init) and irq_remapping.c (intel_setup_irq_remapping,
// iommu_load_old_irte).
std::vector<Possible<TableFate>> TableFates(const InheritanceInputs& inputs, const UnitState& unit);
std::vector<Possible<InterruptFate>> InterruptFates(const InheritanceInputs& inputs,
                                                    const UnitState& unit);

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_INHERITANCE_RULES_H_
