// SPDX-License-Identifier: GPL-2.0-or-later
// What the crashed kernel tells about the capture kernel: the command line it was loaded with, and
// what a kernel of the same build does with a unit that it finds in use.
#ifndef DMAUDIT_KERNEL_CAPTURE_FACTS_H_
#define DMAUDIT_KERNEL_CAPTURE_FACTS_H_

#include <optional>
#include <string>
#include <string_view>

#include "base/known.h"
#include "kernel/crash_image.h"

namespace dmaudit {

struct KernelView;
class MemorySession;

// How a kernel decides whether the tables it finds are of the mode it wants itself. Told by members
// of struct intel_iommu, never by a version.
enum class CopyRule : uint8_t {
  kUnknown,
  kNeverCopies,   // no `flags`: translation that is on already is not noticed
  kExtendedMode,  // `flags` without `copied_tables`: bit 11 of RTADDR against ECAP.ECS
  kScalableMode,  // `copied_tables`: bit 10 of RTADDR against the scalable mode of its own
};
// "unknown", "never-copies", "extended-mode", "scalable-mode".
std::string_view ToString(CopyRule rule);

struct CaptureFacts {
  // Out of the boot parameters of the loaded image. May hold anything: escape on output.
  Known<std::string> command_line;
  std::string no_command_line;  // why it is not known
  CopyRule copy_rule = CopyRule::kUnknown;
  std::string copy_rule_from;
  // Variables of the crashed kernel. They say what a kernel of this build does without options
  // where it was given none itself.
  Known<bool> driver_off;  // dmar_disabled
  Known<bool> scalable;    // intel_iommu_sm
  Known<bool> x2apic;      // eim_mode: 32-bit destinations in interrupt-remapping entries
};

// `image`: the loaded crash kernel, `loaded`: whether there is one. What cannot be read stays
// unknown and is no diagnostic: it hides no DMA.
CaptureFacts ReadCaptureFacts(const KernelView& kernel, MemorySession& session,
                              const std::optional<CrashImage>& image, const Known<bool>& loaded);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_CAPTURE_FACTS_H_
