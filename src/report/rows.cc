// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/rows.h"

#include <fmt/format.h>

#include <iterator>

#include "base/text.h"

namespace dmaudit {
namespace {

// Rows can be millions: one buffer, formatted in place.
class NdjsonRows : public RowWriter {
 public:
  explicit NdjsonRows(Output& output) : output_(output) {}

  void Row(const MappingRow& row) override {
    line_.clear();
    auto out = std::back_inserter(line_);
    fmt::format_to(out, "{{\"unit\": \"{}\", \"bdf\": \"{:04x}:{:02x}:{:02x}.{:x}\", \"pasid\": ",
                   JsonSafe(row.unit), row.bdf.segment, row.bdf.bus, row.bdf.device(),
                   row.bdf.function());
    if (row.pasid) {
      fmt::format_to(out, "{}", row.pasid->value);
    } else {
      fmt::format_to(out, "null");
    }
    fmt::format_to(out, ", \"did\": {}, \"stage\": \"{}\", \"iova\": \"{:#x}\", \"len\": \"{:#x}\"",
                   row.did.value, ToString(row.stage), row.iova.value(), row.size);
    if (row.pa) fmt::format_to(out, ", \"pa\": \"{:#x}\"", row.pa->value());
    fmt::format_to(out, ", \"perm\": \"{}\"}}\n", ToString(row.permissions));
    output_.Write({line_.data(), line_.size()});
  }

 private:
  // A unit's name comes from the dump: nothing in it may end the string.
  static std::string JsonSafe(std::string_view name) {
    std::string out;
    for (const char c : EscapeForTerminal(name)) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    return out;
  }

  Output& output_;
  fmt::memory_buffer line_;
};

class CsvRows : public RowWriter {
 public:
  explicit CsvRows(Output& output) : output_(output) {}

  void Header() override { output_.Write("unit,bdf,pasid,did,stage,iova,len,pa,perm\n"); }

  void Row(const MappingRow& row) override {
    output_.Write(fmt::format("{},{},{},{},{},{:#x},{:#x},{},{}\n", CsvSafe(row.unit),
                              ToString(row.bdf), row.pasid ? std::to_string(row.pasid->value) : "",
                              row.did.value, ToString(row.stage), row.iova.value(), row.size,
                              row.pa ? fmt::format("{:#x}", row.pa->value()) : "",
                              ToString(row.permissions)));
  }

 private:
  static std::string CsvSafe(std::string_view name) {
    const std::string safe = EscapeForTerminal(name);
    if (safe.find_first_of(",\"") == std::string::npos) return safe;
    std::string out = "\"";
    for (const char c : safe) {
      if (c == '"') out += '"';
      out += c;
    }
    return out + "\"";
  }

  Output& output_;
};

class TextRows : public RowWriter {
 public:
  explicit TextRows(Output& output) : output_(output) {}

  void Header() override {
    output_.Write(fmt::format("{:<6} {:<12} {:>6} {:>5} {:<11} {:>16} {:>16} {:>16} {}\n", "unit",
                              "device", "pasid", "did", "stage", "iova", "len", "pa", "perm"));
  }

  void Row(const MappingRow& row) override {
    output_.Write(fmt::format(
        "{:<6} {} {:>6} {:>5} {:<11} {:>16x} {:>16x} {:>16} {}\n", EscapeForTerminal(row.unit),
        ToString(row.bdf), row.pasid ? std::to_string(row.pasid->value) : "-", row.did.value,
        ToString(row.stage), row.iova.value(), row.size,
        row.pa ? fmt::format("{:x}", row.pa->value()) : "all", ToString(row.permissions)));
  }

  void Incomplete(size_t gaps) override {
    output_.Write(fmt::format("NOT COMPLETE: {} could hide rows\n", Counted(gaps, "gap")));
  }

 private:
  Output& output_;
};

}  // namespace

std::unique_ptr<RowWriter> MakeRowWriter(std::string_view format, Output& output) {
  if (format == "text") return std::make_unique<TextRows>(output);
  if (format == "ndjson") return std::make_unique<NdjsonRows>(output);
  if (format == "csv") return std::make_unique<CsvRows>(output);
  return nullptr;
}

}  // namespace dmaudit
