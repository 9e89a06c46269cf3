// SPDX-License-Identifier: GPL-2.0-or-later
// What a kernel command line says about DMA and interrupt remapping, read as Linux reads it.
#ifndef DMAUDIT_KERNEL_IOMMU_ARGUMENTS_H_
#define DMAUDIT_KERNEL_IOMMU_ARGUMENTS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmaudit {

// COMMAND_LINE_SIZE on x86, its NUL included: what is longer is cut before anything is parsed.
inline constexpr size_t kMaxKernelCommandLine = 2048;

// Of options that can be given several times the last one counts; nothing where none is given.
struct IommuArguments {
  std::optional<bool> driver;       // intel_iommu=on, off
  std::optional<bool> scalable;     // intel_iommu=sm_on, sm_off
  bool no_graphics = false;         // intel_iommu=igfx_off
  bool all_off = false;             // iommu=off
  std::optional<bool> passthrough;  // iommu=pt, nopt; iommu.passthrough=
  std::optional<bool> interrupts;   // intremap=on, off; nointremap
  bool no_x2apic = false;           // nox2apic
  bool no_x2apic_opt_out = false;   // intremap=no_x2apic_optout
  bool no_acpi = false;             // acpi=off
  bool no_io_apic = false;          // noapic
  bool old_memory = false;          // elfcorehdr=: a capture kernel
  // Options that change how interrupts are set up in ways that are not followed here.
  std::vector<std::string> unclear_interrupts;
  // module_blacklist=, which the kernel obeys; modprobe.blacklist= and rd.driver.blacklist=, which
  // user space does. '-' reads as '_'.
  std::vector<std::string> blocked_modules;
  bool cut = false;  // longer than a kernel takes
};

IommuArguments ParseIommuArguments(std::string_view command_line);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_IOMMU_ARGUMENTS_H_
