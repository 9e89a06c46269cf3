// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/layout.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

#include "report/device_list.h"

namespace dmaudit {
namespace {

size_t WidestLine(const std::string& text) {
  size_t widest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, DisplayWidth(line));
  return widest;
}

TEST_CASE("a wrapped text keeps every word, its indent and the width") {
  std::string words;
  for (int i = 0; i < 60; ++i) words += "word" + std::to_string(i) + " ";
  words.pop_back();
  StringOutput out;
  WriteWrapped("head: ", words, out);
  CHECK(WidestLine(out.text()) <= kTextWidth);
  std::string joined;
  std::istringstream lines(out.text());
  for (std::string line; std::getline(lines, line);) {
    if (!joined.empty()) {
      CHECK(line.starts_with("      w"));
      joined += " ";
    }
    joined += line.substr(6);
  }
  CHECK(joined == words);
}

TEST_CASE("lines at, below and above the width") {
  for (const size_t length : {kTextWidth - 1, kTextWidth, kTextWidth + 1}) {
    StringOutput out;
    WriteWrapped("", std::string(length, 'x'), out);
    CHECK(WidestLine(out.text()) == std::min(length, kTextWidth));
    CHECK(std::count(out.text().begin(), out.text().end(), 'x') == static_cast<long>(length));
  }
}

TEST_CASE("a multi-byte character is never cut") {
  std::string text;
  for (int i = 0; i < 150; ++i) text += "\xc3\xa9";
  StringOutput out;
  WriteWrapped("", text, out);
  CHECK(out.text().substr(0, 201) == text.substr(0, 200) + "\n");
}

TEST_CASE("an empty text is an empty line behind its head") {
  StringOutput out;
  WriteWrapped("  head", "", out);
  CHECK(out.text() == "  head\n");
}

TEST_CASE("table columns line up and the last one wraps") {
  TextTable table({"a", "b"});
  table.AddRow({"long cell", std::string(120, 'y')});
  StringOutput out;
  table.Write(out);
  CHECK(WidestLine(out.text()) == kTextWidth);
  CHECK(out.text().starts_with("  a          b\n  long cell  yyy"));
}

TEST_CASE("a wide column wraps wherever it stands") {
  std::string list;
  for (int i = 0; i < 40; ++i) list += "item" + std::to_string(10 + i) + " ";
  list.pop_back();
  TextTable table({"first", "middle", "last"});
  table.AddRow({list, "x", "all of it"});
  StringOutput out;
  table.Write(out);
  CHECK(WidestLine(out.text()) <= kTextWidth);
  std::istringstream lines(out.text());
  std::string line, joined;
  std::getline(lines, line);
  const size_t middle = line.find("middle");
  const size_t last = line.find("last");
  for (bool first = true; std::getline(lines, line); first = false) {
    CHECK((line.size() > middle) == first);
    if (first) {
      CHECK(line[middle] == 'x');
      CHECK(line.substr(last) == "all of it");
    }
    std::istringstream words(line.substr(0, std::min(middle, line.size())));
    for (std::string word; words >> word;) joined += (joined.empty() ? "" : " ") + word;
  }
  CHECK(joined == list);
}

TEST_CASE("functions of one slot join in a brief list only") {
  const std::vector<DeviceRef> devices = {{{0, 0, 0xf8}, {}}, {{0, 0, 0xfa}, {}}, {{0, 1, 0}, {}}};
  CHECK(DeviceList(devices, true) == "0000:00:1f.{0,2}, 0000:01:00.0");
  CHECK(DeviceList(devices, false) == "0000:00:1f.0, 0000:00:1f.2, 0000:01:00.0");
}

TEST_CASE("a PASID other than that of plain requests is shown, and never joined") {
  const std::vector<DeviceRef> devices = {{{0, 0, 8}, Pasid{0}}, {{0, 0, 8}, Pasid{5}}};
  CHECK(DeviceList(devices, true) == "0000:00:01.0, 0000:00:01.0 pasid 5");
}

TEST_CASE("a brief list of many slots ends in a number") {
  std::vector<DeviceRef> devices;
  for (uint8_t i = 0; i < 9; ++i) devices.push_back({{0, i, 0}, {}});
  CHECK(DeviceList(devices, true).ends_with("0000:07:00.0 and 1 more"));
  devices.pop_back();
  CHECK(DeviceList(devices, true).ends_with("0000:07:00.0"));
}

}  // namespace
}  // namespace dmaudit
