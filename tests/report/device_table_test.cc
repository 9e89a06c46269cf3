// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/device_table.h"

#include <doctest/doctest.h>

#include <string>

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

}  // namespace
}  // namespace dmaudit
