// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/device_table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "report/output.h"

namespace dmaudit {
namespace {

// A device in a DMA domain, with one entry for requests without a PASID and two for some with.
AuditResult Scalable() {
  AuditResult result;
  DeviceInventory& inventory = result.machine.inventory;
  IommuGroup& group = inventory.groups.emplace_back();
  group.id = 4;
  group.domain = DomainType::kDmaFlushQueue;
  group.pasid_domains = {{5, DomainType::kSva}};
  DeviceFacts& facts = inventory.devices.emplace_back();
  facts.name = "0000:00:01.0";
  facts.bdf = Bdf{0, 0, 8};
  facts.group = 0;
  facts.ats = false;
  result.units.emplace_back().state.name = "dmar0";
  result.domains.emplace_back();
  for (const uint32_t pasid : {0U, 5U, 6U}) {
    AuditedDevice& device = result.devices.emplace_back();
    device.bdf = *facts.bdf;
    device.pasid = Pasid{pasid};
    device.facts = 0;
  }
  return result;
}

std::string Text(const DeviceRows& rows) {
  StringOutput out;
  rows.table.Write(out);
  return out.text();
}

TEST_CASE("the domain of a group is not that of its PASIDs") {
  const std::string text = Text(RequesterTable(Scalable(), SIZE_MAX));
  CHECK(text.find("DMA-FQ") != std::string::npos);
  CHECK(text.find("DMA-FQ") == text.rfind("DMA-FQ"));
  CHECK(text.find("SVA, user") != std::string::npos);
}

TEST_CASE("who holds what a PASID leads to") {
  AuditResult result = Scalable();
  const DeviceInventory& inventory = result.machine.inventory;
  const auto held = [&](size_t entry) { return HeldByUser(result.devices[entry], inventory); };
  CHECK_FALSE(held(0));
  CHECK(held(1));
  CHECK_FALSE(held(2));
  CHECK_FALSE(TypeOf(result.devices[2], inventory));
  result.machine.inventory.groups[0].owned = true;
  CHECK((held(0) && held(1) && held(2)));
  result.devices[1].facts.reset();
  CHECK_FALSE(held(1));
}

TEST_CASE("a service of which nothing is known may be on") {
  AuditResult result = Scalable();
  DeviceFacts& facts = result.machine.inventory.devices[0];
  const auto none = [&] {
    return Text(InventoryTable(result, SIZE_MAX)).find("none") != std::string::npos;
  };
  CHECK_FALSE(none());
  facts.pri = facts.pasid = false;
  CHECK(none());
  facts.pasid = true;
  CHECK(Text(InventoryTable(result, SIZE_MAX)).find("PASID") != std::string::npos);
  CHECK_FALSE(none());
}

// One unit that was walked, one device behind it that the kernel attached, no entry anywhere.
AuditResult WithoutEntry() {
  AuditResult result;
  result.units.emplace_back();
  result.units[0].state.name = "dmar0";
  DeviceFacts device;
  device.pci = true;
  device.bdf = Bdf{0, 0, 0x20};
  device.driver = "nvme";
  device.bus_master = true;
  device.attached.emplace();
  device.attached->unit = "dmar0";
  result.machine.inventory.devices.push_back(device);
  result.coverage = {Coverage::kUnit};
  return result;
}

// The rows of the brief and of the long table, if any, each without its heading.
std::vector<std::string> Rows(const AuditResult& result) {
  std::vector<std::string> rows;
  for (const DeviceRows& devices :
       {BriefDeviceTable(result, SIZE_MAX), RequesterTable(result, SIZE_MAX)}) {
    if (devices.table.empty()) continue;
    StringOutput out;
    devices.table.Write(out);
    const size_t first = out.text().find('\n') + 1;
    rows.push_back(out.text().substr(first, out.text().size() - first - 1));
  }
  return rows;
}

TEST_CASE("a device that no table names is in the list, with what is known of that") {
  AuditResult result = WithoutEntry();
  std::vector<std::string> rows = Rows(result);
  REQUIRE(rows.size() == 2);
  for (const std::string& row : rows) {
    CHECK(row.find("0000:00:04.0") != row.npos);
    CHECK(row.find("nvme") != row.npos);
    CHECK(row.find("dmar0") != row.npos);
    CHECK(row.ends_with("no live entry"));
  }
  result.incomplete_because = {"a page"};
  rows = Rows(result);
  REQUIRE(rows.size() == 2);
  for (const std::string& row : rows) CHECK(row.ends_with("no live entry seen"));
}

TEST_CASE("of a unit that was not walked, no missing entry is told") {
  AuditResult result = WithoutEntry();
  result.units[0].status = UnitStatus::kTranslationOff;
  CHECK(Rows(result).empty());
  // Another unit's state says nothing of the device, unless its own is not known.
  result.units.emplace_back();
  result.units[1].state.name = "dmar1";
  result.machine.inventory.devices[0].attached->unit = "dmar1";
  CHECK(Rows(result).size() == 2);
  result.machine.inventory.devices[0].attached.reset();
  CHECK(Rows(result).empty());
}

TEST_CASE("a device that nothing translates reaches everything, and the list says why") {
  AuditResult result = WithoutEntry();
  result.units[0].status = UnitStatus::kTranslationOff;
  result.coverage = {Coverage::kUnknown};
  CHECK(Rows(result).empty());
  result.untranslated = {{0, WhyUntranslated::kNoUnit, std::nullopt}};
  CHECK(Rows(result).size() == 2);
  for (const std::string& row : Rows(result)) {
    CHECK(row.ends_with(" all memory (behind no unit)"));
    CHECK(row.find(" none ") != row.npos);
  }
  result.untranslated = {{0, WhyUntranslated::kTranslationOff, 0}};
  CHECK(Rows(result).size() == 2);
  for (const std::string& row : Rows(result)) {
    CHECK(row.ends_with(" all memory (translation off)"));
    CHECK(row.find(" dmar0 ") != row.npos);
  }
}

TEST_CASE("devices without an entry are one row where all else is the same") {
  AuditResult result = WithoutEntry();
  DeviceFacts other = result.machine.inventory.devices[0];
  other.bdf = Bdf{0, 0, 0x21};
  result.machine.inventory.devices.push_back(other);
  other.bdf = Bdf{0, 0, 0x28};
  other.driver = "ahci";
  result.machine.inventory.devices.push_back(other);
  result.coverage.resize(3, Coverage::kUnit);
  const std::vector<std::string> rows = Rows(result);
  REQUIRE(rows.size() == 2);
  const auto lines = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  CHECK(lines(rows[0]) == 1);
  CHECK(rows[0].find("0000:00:04.{0,1}") != std::string::npos);
  CHECK(lines(rows[1]) == 2);
}

TEST_CASE("the kernel's record of bus mastering is no denial for a device that user space holds") {
  AuditResult result = WithoutEntry();
  DeviceFacts& device = result.machine.inventory.devices[0];
  const auto master = [&result] {
    StringOutput out;
    InventoryTable(result, 1).table.Write(out);
    const std::string row = out.text().substr(out.text().find('\n') + 1);
    return row.find(" no ") != row.npos ? "no" : row.find(" yes ") != row.npos ? "yes" : "-";
  };
  CHECK(master() == std::string("yes"));
  device.bus_master = false;
  CHECK(master() == std::string("no"));
  device.driver = "vfio-pci";
  CHECK(master() == std::string("-"));
  device.bus_master = true;
  CHECK(master() == std::string("yes"));
}

}  // namespace
}  // namespace dmaudit
