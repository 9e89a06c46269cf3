// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/info.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "base/number.h"
#include "base/text.h"
#include "base/version.h"
#include "report/json_writer.h"
#include "report/layout.h"

namespace dmaudit {
namespace {

// Rows of name and value, the value wrapped; rows without a value are left out.
class InfoRows {
 public:
  explicit InfoRows(Output& output) : output_(output) {}

  void Row(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    WriteWrapped(fmt::format("{:<14}", name), EscapeForTerminal(value), output_);
  }
  template <typename T>
  void Row(std::string_view name, const Known<T>& known) {
    if (known) Row(name, fmt::format("{}", known.value()));
  }

 private:
  Output& output_;
};

std::string UnitNames(const MachineState& machine) {
  std::string names;
  for (const UnitState& unit : machine.units) {
    names += (names.empty() ? "" : ", ") + unit.name;
    if (unit.ignored) names += " (ignored)";
  }
  return names;
}

}  // namespace

std::string FormatUtc(uint64_t seconds) {
  // Beyond the year 9999 the text is nonsense, and a hostile value may not even convert.
  if (seconds > 253402300799U) return fmt::format("{} seconds after 1970", seconds);
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

void WriteTextInfo(const InfoReport& info, Output& output) {
  InfoRows rows(output);
  for (const std::string& path : info.input.paths) rows.Row("file", path);
  rows.Row("format", info.input.format);
  rows.Row("", info.input.format_detail);
  rows.Row("compression", info.input.compression);
  rows.Row("machine", info.input.machine);
  rows.Row("file size", HumanSize(info.input.file_size));
  if (info.input.incomplete) {
    rows.Row("incomplete", "the dump is cut short or damaged, or is marked so");
  }
  if (info.input.distilled) rows.Row("distilled", "holds only what an audit rests on");
  for (unsigned i = 0; i < kByteStateCount; ++i) {
    const uint64_t pages = info.states.pages[i];
    if (pages == 0) continue;
    rows.Row(fmt::format("  {}", ToString(static_cast<ByteState>(i))),
             fmt::format("{} page{}, {}", pages, pages == 1 ? "" : "s",
                         HumanSize(CheckedMul(pages, info.states.page_size).value_or(UINT64_MAX))));
  }
  if (info.states.in_part != 0) {
    rows.Row("  in part",
             fmt::format("{} of the unknown pages hold known bytes too", info.states.in_part));
  }
  if (!info.machine) {
    rows.Row("kernel", info.no_machine_because);
    return;
  }
  const KernelIdentity& kernel = info.machine->identity;
  rows.Row("release", kernel.release);
  rows.Row("version", kernel.version);
  rows.Row("build id", kernel.build_id);
  if (kernel.crash_time) rows.Row("crash time", FormatUtc(*kernel.crash_time));
  rows.Row("panic", kernel.panic_line);
  rows.Row("command line", kernel.command_line);
  rows.Row("symbols from", kernel.symbols_from);
  rows.Row("types from", kernel.types_from);
  rows.Row("tables of", kernel.whose_tables);
  rows.Row("DMAR units", UnitNames(*info.machine));
  rows.Row("IOMMU", info.machine->iommu_evidence);
}

void WriteJsonInfo(const InfoReport& info, Output& output) {
  JsonWriter json(output, JsonWriter::Style::kIndented);
  const auto text = [&json](std::string_view key, std::string_view value) {
    json.Key(key);
    if (value.empty()) {
      json.Null();
    } else {
      json.String(value);
    }
  };
  json.BeginObject();
  json.Key("schema_version").Number(1);
  json.Key("tool").BeginObject();
  json.Key("name").String("dmaudit");
  json.Key("version").String(kVersion);
  json.EndObject();
  json.Key("paths").BeginArray();
  for (const std::string& path : info.input.paths) json.String(path);
  json.EndArray();
  text("format", info.input.format);
  text("format_detail", info.input.format_detail);
  text("compression", info.input.compression);
  text("machine", info.input.machine);
  json.Key("file_size").Number(info.input.file_size);
  json.Key("incomplete").Bool(info.input.incomplete);
  json.Key("distilled").Bool(info.input.distilled);
  json.Key("page_size").Number(info.states.page_size);
  json.Key("pages").BeginObject();
  for (unsigned i = 0; i < kByteStateCount; ++i) {
    json.Key(ToString(static_cast<ByteState>(i))).Number(info.states.pages[i]);
  }
  json.EndObject();
  json.Key("pages_in_part").Number(info.states.in_part);
  json.Key("kernel");
  if (!info.machine) {
    json.Null();
    text("no_kernel_because", info.no_machine_because);
  } else {
    const KernelIdentity& kernel = info.machine->identity;
    json.BeginObject();
    text("release", kernel.release.value_or(""));
    text("version", kernel.version.value_or(""));
    text("build_id", kernel.build_id.value_or(""));
    json.Key("crash_time");
    if (kernel.crash_time) {
      json.Number(*kernel.crash_time);
    } else {
      json.Null();
    }
    text("panic", kernel.panic_line);
    text("command_line", kernel.command_line.value_or(""));
    text("symbols_from", kernel.symbols_from);
    text("types_from", kernel.types_from);
    text("whose_tables", kernel.whose_tables);
    json.Key("two_kernels").Bool(kernel.two_kernels);
    json.Key("units").BeginArray();
    for (const UnitState& unit : info.machine->units) json.String(unit.name);
    json.EndArray();
    json.EndObject();
  }
  json.EndObject();
  output.Write("\n");
}

}  // namespace dmaudit
