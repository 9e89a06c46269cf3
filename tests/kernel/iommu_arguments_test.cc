// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/iommu_arguments.h"

#include <doctest/doctest.h>

namespace dmaudit {
namespace {

TEST_CASE("a line that says nothing leaves everything open") {
  const IommuArguments none = ParseIommuArguments("root=/dev/vda ro quiet");
  CHECK_FALSE(none.driver);
  CHECK_FALSE(none.scalable);
  CHECK_FALSE(none.passthrough);
  CHECK_FALSE(none.interrupts);
  CHECK_FALSE(none.all_off);
  CHECK_FALSE(none.no_acpi);
  CHECK_FALSE(none.old_memory);
  CHECK(none.blocked_modules.empty());
}

TEST_CASE("intel_iommu= is a list, and the last of a kind counts") {
  CHECK(ParseIommuArguments("intel_iommu=on").driver == true);
  CHECK(ParseIommuArguments("intel_iommu=off").driver == false);
  CHECK(ParseIommuArguments("intel_iommu=on,off").driver == false);
  CHECK(ParseIommuArguments("intel_iommu=off intel_iommu=on").driver == true);
  const IommuArguments both = ParseIommuArguments("intel_iommu=on,,sm_off,igfx_off");
  CHECK(both.driver == true);
  CHECK(both.scalable == false);
  CHECK(both.no_graphics);
  CHECK(ParseIommuArguments("intel_iommu=sm_on").scalable == true);
  CHECK_FALSE(ParseIommuArguments("intel_iommu=sm_on").driver);
}

TEST_CASE("names and words are compared as the kernel compares them") {
  CHECK(ParseIommuArguments("intel-iommu=off").driver == false);
  CHECK(ParseIommuArguments("intel_iommu=offline").driver == false);  // by prefix
  CHECK_FALSE(ParseIommuArguments("intel_iommu=Off").driver);
  CHECK_FALSE(ParseIommuArguments("xintel_iommu=off").driver);
  CHECK_FALSE(ParseIommuArguments("intel_iommu_=off").driver);
  CHECK_FALSE(ParseIommuArguments("intel_iommu").driver);
}

TEST_CASE("quotes and blanks") {
  CHECK(ParseIommuArguments("a=\"x intel_iommu=off y\" b").driver == std::nullopt);
  CHECK(ParseIommuArguments("\"intel_iommu=off\"").driver == false);
  CHECK(ParseIommuArguments("intel_iommu=\"off\"").driver == false);
  CHECK(ParseIommuArguments("\tintel_iommu=off\n").driver == false);
  CHECK_FALSE(ParseIommuArguments("a=\"open intel_iommu=off").driver);
}

TEST_CASE("what follows -- is for init") {
  CHECK_FALSE(ParseIommuArguments("quiet -- intel_iommu=off").driver);
  CHECK(ParseIommuArguments("quiet --x intel_iommu=off").driver == false);
}

TEST_CASE("iommu=") {
  CHECK(ParseIommuArguments("iommu=off").all_off);
  CHECK(ParseIommuArguments("iommu=soft,off").all_off);
  CHECK_FALSE(ParseIommuArguments("iommu=soft").all_off);
  CHECK(ParseIommuArguments("iommu=pt").passthrough == true);
  CHECK(ParseIommuArguments("iommu=pt iommu=nopt").passthrough == false);
  CHECK(ParseIommuArguments("iommu.passthrough=1").passthrough == true);
  CHECK(ParseIommuArguments("iommu.passthrough=off").passthrough == false);
  CHECK_FALSE(ParseIommuArguments("iommu.passthrough=perhaps").passthrough);
}

TEST_CASE("interrupt remapping") {
  CHECK(ParseIommuArguments("intremap=off").interrupts == false);
  CHECK(ParseIommuArguments("intremap=on").interrupts == true);
  CHECK(ParseIommuArguments("nointremap").interrupts == false);
  CHECK_FALSE(ParseIommuArguments("intremap=nosid").interrupts);
  const IommuArguments list = ParseIommuArguments("intremap=no_x2apic_optout,nopost nox2apic");
  CHECK(list.no_x2apic_opt_out);
  CHECK(list.no_x2apic);
  CHECK_FALSE(list.interrupts);
  CHECK(ParseIommuArguments("noapic").no_io_apic);
  CHECK(ParseIommuArguments("nolapic").unclear_interrupts == std::vector<std::string>{"nolapic"});
}

TEST_CASE("acpi=off hides every unit") {
  CHECK(ParseIommuArguments("acpi=off").no_acpi);
  CHECK_FALSE(ParseIommuArguments("acpi=off acpi=force").no_acpi);
  CHECK_FALSE(ParseIommuArguments("acpi=noirq").no_acpi);
}

TEST_CASE("elfcorehdr= marks a capture kernel") {
  CHECK(ParseIommuArguments("elfcorehdr=769396K").old_memory);
  CHECK_FALSE(ParseIommuArguments("xelfcorehdr=769396K").old_memory);
}

TEST_CASE("modules that are not loaded, by the name of the file") {
  const IommuArguments list =
      ParseIommuArguments("module_blacklist=nvme,xhci-pci modprobe.blacklist=ahci");
  CHECK(list.blocked_modules == std::vector<std::string>{"nvme", "xhci_pci", "ahci"});
}

TEST_CASE("a kernel takes 2047 bytes: an option that ends there, at them and behind them") {
  const std::string option = " intel_iommu=off";
  const auto with_end_at = [&option](size_t end) {
    return ParseIommuArguments(std::string(end - option.size(), 'x') + option + " rest");
  };
  CHECK(with_end_at(2046).driver == false);
  CHECK(with_end_at(2047).driver == false);
  CHECK_FALSE(with_end_at(2048).driver == false);
  CHECK_FALSE(ParseIommuArguments(std::string(2047, 'x')).cut);
  CHECK(ParseIommuArguments(std::string(2048, 'x')).cut);
}

TEST_CASE("any bytes at all") {
  for (const std::string& text :
       {std::string("=="), std::string("\"\"\"= \"="), std::string("\0\0=\0", 4),
        std::string("\x1b]0;x\x07 intel_iommu="), std::string(100000, '"'), std::string("--")}) {
    CHECK_FALSE(ParseIommuArguments(text).driver);
  }
}

}  // namespace
}  // namespace dmaudit
