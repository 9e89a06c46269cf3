// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/inheritance_report.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "report/layout.h"

namespace dmaudit {
namespace {

// One unit whose tables are copied, one device on it.
struct Scene {
  Scene() {
    audit.machine.iommu = IommuPresence::kIntel;
    AddUnit("dmar0", {{TableFate::kCopied, "same mode", {}}});
    AuditedDomain& domain = audit.domains.emplace_back();
    domain.space.did = DomainId{7};
    domain.devices = {0};
    AuditedDevice& device = audit.devices.emplace_back();
    device.bdf = Bdf{0, 0, 8};
    inheritance.devices.push_back({{DmaFate::kGoesOn}, "its driver is not known", false});
    inheritance.reach.emplace_back();
    inheritance.command_line = {"intel_iommu=on", Origin::kUser, "--capture-cmdline"};
  }
  void AddUnit(const std::string& name, std::vector<Possible<TableFate>> tables) {
    audit.units.emplace_back().state.name = name;
    inheritance.units.push_back({std::move(tables), {{InterruptFate::kCopied, "size", {}}}});
  }
  std::string Text(bool verbose = false) {
    StringOutput out;
    WriteTextInheritance(input, audit, inheritance, {false, verbose}, out);
    return out.text();
  }
  nlohmann::json Json() {
    StringOutput out;
    WriteJsonInheritance(input, audit, inheritance, sink, out);
    return nlohmann::json::parse(out.text());
  }
  std::string Line() { return InheritanceLine(audit, inheritance); }

  DumpInfo input;
  AuditResult audit;
  Inheritance inheritance;
  DiagnosticSink sink;
};

// Lines joined to one.
std::string Unwrapped(const std::string& text) {
  std::istringstream words(text);
  std::string out;
  for (std::string word; words >> word;) out += (out.empty() ? "" : " ") + word;
  return out;
}

void CheckPlain(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(DisplayWidth(line) <= kTextWidth);
    for (const char c : line) CHECK((c & 0x80 || (c >= ' ' && c != 0x7f)));
  }
}

TEST_CASE("the first line for each outcome") {
  Scene scene;
  CHECK(scene.Line() == "INHERITED: translation goes on through the tables of dmar0");
  scene.AddUnit("dmar1", {{TableFate::kSwitchedOff, "off", {}}});
  CHECK(scene.Line() == "PARTLY INHERITED: translation goes on for dmar0, not for dmar1");
  scene.inheritance.units[0].tables[0].fate = TableFate::kRefused;
  CHECK(scene.Line() ==
        "NOT INHERITED: the capture kernel does not go on with the tables of dmar0, dmar1");
  scene.inheritance.units[1].tables.push_back({TableFate::kCopied, "on", {"x"}});
  CHECK(scene.Line() == "OPEN: what the capture kernel does with the tables of dmar1 is not known");
}

TEST_CASE("nothing to inherit is only said where it is known") {
  Scene scene;
  scene.inheritance.units[0].tables[0].fate = TableFate::kStaysOff;
  CHECK(scene.Line() == "NOTHING TO INHERIT: translation was off for dmar0");
  scene.audit.units.clear();
  scene.inheritance.units.clear();
  CHECK(scene.Line() == "OPEN: which units there were is not known");
  scene.audit.machine.iommu = IommuPresence::kNone;
  CHECK(scene.Line() == "NOTHING TO INHERIT: no IOMMU was in use, and DMA goes on untranslated");
}

TEST_CASE("the second line tells of gaps") {
  Scene scene;
  CHECK(InheritanceCertaintyLine(scene.audit, scene.inheritance) ==
        "Complete: 1 unit, 1 device, one outcome for each");
  scene.inheritance.incomplete_because = {"one", "two"};
  CHECK(InheritanceCertaintyLine(scene.audit, scene.inheritance) == "NOT COMPLETE: 2 gaps");
}

TEST_CASE("one outcome is stated, several are perhaps, each with its conditions") {
  Scene scene;
  CHECK(scene.Text().find("perhaps") == std::string::npos);
  CHECK(scene.Text().find("copied: translation goes on") != std::string::npos);
  scene.inheritance.units[0].tables = {{TableFate::kCopied, "a", {"driver on"}},
                                       {TableFate::kSwitchedOff, "b", {"driver off"}}};
  scene.inheritance.devices[0].dma = {DmaFate::kGoesOn, DmaFate::kPhysical};
  const std::string text = scene.Text();
  CHECK(text.find("perhaps copied") != std::string::npos);
  CHECK(text.find("if driver on") != std::string::npos);
  CHECK(text.find("if driver off") != std::string::npos);
  CHECK(text.find("dmar0, switched-off: DMA goes to its IOVAs taken as physical") !=
        std::string::npos);
}

TEST_CASE("what IOVAs would hit, and what is not known of that") {
  Scene scene;
  UntranslatedReach& reach = scene.inheritance.reach[0].emplace();
  reach.all = {3, 0x3000, 3, 0x3000};
  reach.ram.emplace();
  reach.crash_kernel = {2, 0x2000, 1, 0x1000};
  const std::string text = Unwrapped(scene.Text());
  CHECK(text.find("2 (8 KiB) hit the crash kernel's memory, 1 of them writable (4 KiB)") !=
        std::string::npos);
  CHECK(text.find("where the pieces of the loaded crash kernel lie is not known") !=
        std::string::npos);
  const nlohmann::json device = scene.Json()["devices"][0];
  CHECK(device["untranslated"]["crash_kernel"]["writable_ranges"] == 1);
  CHECK(device["untranslated"]["ram"]["ranges"] == 0);
  CHECK(device["untranslated"]["crash_image"].is_null());
}

TEST_CASE("text of a dump or of the user is escaped") {
  Scene scene;
  const std::string nasty = "\x1b]0;x\x07\r\n\xff intel_iommu=on";
  scene.inheritance.command_line = {nasty, Origin::kUser, nasty};
  scene.audit.units[0].state.name = nasty;
  scene.inheritance.devices[0].driver_note = nasty;
  scene.inheritance.incomplete_because = {nasty};
  scene.audit.machine.capture.copy_rule_from = nasty;
  CheckPlain(scene.Text());
  CheckPlain(scene.Text(true));
  CheckPlain(scene.Line());
  CHECK(scene.Json()["units"][0]["name"].get<std::string>().find("\\xff") != std::string::npos);
}

TEST_CASE("many units, devices and conditions are numbers without -v") {
  Scene scene;
  for (int i = 1; i < 200; ++i) {
    scene.AddUnit("dmar" + std::to_string(i), {{TableFate::kCopied, "r", {}}});
    AuditedDevice device = scene.audit.devices[0];
    device.unit = static_cast<size_t>(i);
    scene.audit.devices.push_back(device);
    scene.inheritance.devices.push_back(scene.inheritance.devices[0]);
  }
  const std::string text = scene.Text();
  CheckPlain(text);
  CHECK(text.find("... and 168 units (-v lists them)") != std::string::npos);
  CHECK(text.find("... and 168 rows (-v lists them)") != std::string::npos);
  CHECK(scene.Text(true).find("(-v lists them)") == std::string::npos);
}

TEST_CASE("devices that nothing translated are told of, with their unit or without one") {
  Scene scene;
  for (const uint8_t devfn : {uint8_t{0x10}, uint8_t{0x18}}) {
    DeviceFacts& device = scene.audit.machine.inventory.devices.emplace_back();
    device.bdf = Bdf{0, 0, devfn};
    scene.inheritance.untranslated.push_back({{DmaFate::kGoesOn}, "test", false});
  }
  scene.inheritance.untranslated[0].dma = {DmaFate::kBlocked};
  scene.audit.untranslated = {{0, WhyUntranslated::kTranslationOff, 0},
                              {1, WhyUntranslated::kNoUnit, std::nullopt}};
  const std::string text = Unwrapped(scene.Text());
  CHECK(text.find("dmar0: DMA goes on to the same memory, until") != std::string::npos);
  CHECK(text.find("dmar0: untranslated DMA is blocked, until a driver stops the device "
                  "0000:00:02.0: test") != std::string::npos);
  CHECK(text.find("behind no unit: untranslated DMA goes on, until a driver stops the device "
                  "0000:00:03.0: test") != std::string::npos);
  CHECK(text.find("1 unit, 3 devices, one outcome") != std::string::npos);
  const nlohmann::json devices = scene.Json()["untranslated_devices"];
  REQUIRE(devices.size() == 2);
  CHECK(devices[0]["because"] == "translation-off");
  CHECK(devices[0]["unit"] == "dmar0");
  CHECK(devices[0]["dma"] == nlohmann::json({"blocked"}));
  CHECK(devices[1]["because"] == "no-unit");
  CHECK(devices[1]["unit"].is_null());
}

TEST_CASE("JSON: one fate of DMA for each outcome of the unit") {
  Scene scene;
  scene.inheritance.units[0].tables.push_back({TableFate::kRefused, "mode", {"sm_on"}});
  scene.inheritance.devices[0].dma.push_back(DmaFate::kGapThenBlocked);
  const nlohmann::json json = scene.Json();
  CHECK(json["units"][0]["tables"][1]["fate"] == "refused");
  CHECK(json["units"][0]["tables"][1]["when"][0] == "sm_on");
  CHECK(json["devices"][0]["dma"] == nlohmann::json({"goes-on", "gap-then-blocked"}));
  CHECK(json["capture"]["command_line"]["origin"] == "user");
}

}  // namespace
}  // namespace dmaudit
