// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/page_rows.h"

#include <fmt/format.h>

#include <iterator>
#include <string>

#include "base/text.h"

namespace dmaudit {
namespace {

class TextRows : public PageRowWriter {
 public:
  explicit TextRows(Output& output) : output_(output) {}

  void Range(PhysRange range, ByteState state) override {
    Header("           start-end                     size  state\n");
    // A size of 0 stands for 2^64.
    const std::string size = range.size() == 0 ? "16 EiB" : HumanSize(range.size());
    output_.Write(fmt::format("{:>16x}-{:<16x}  {:>10}  {}\n", range.first.value(),
                              range.last.value(), size, ToString(state)));
  }

  void Page(const PageDigest& digest) override {
    Header("         pfn  state      crc32\n");
    line_.clear();
    auto out = std::back_inserter(line_);
    if (digest.readable()) {
      fmt::format_to(out, "{:>12x}  {:<9}  {:08x}\n", digest.frame, ToString(digest.state),
                     digest.crc32);
    } else if (digest.known != 0) {
      fmt::format_to(out, "{:>12x}  {:<9}  -         {} bytes known\n", digest.frame,
                     ToString(digest.state), digest.known);
    } else {
      fmt::format_to(out, "{:>12x}  {:<9}  -\n", digest.frame, ToString(digest.state));
    }
    output_.Write({line_.data(), line_.size()});
  }

 private:
  void Header(std::string_view text) {
    if (!started_) output_.Write(text);
    started_ = true;
  }

  Output& output_;
  fmt::memory_buffer line_;
  bool started_ = false;
};

class NdjsonRows : public PageRowWriter {
 public:
  explicit NdjsonRows(Output& output) : output_(output) {}

  void Range(PhysRange range, ByteState state) override {
    output_.Write(fmt::format("{{\"start\": \"{:#x}\", \"end\": \"{:#x}\", \"state\": \"{}\"}}\n",
                              range.first.value(), range.last.value(), ToString(state)));
  }

  void Page(const PageDigest& digest) override {
    line_.clear();
    auto out = std::back_inserter(line_);
    fmt::format_to(out, "{{\"pfn\": {}, \"state\": \"{}\", \"crc32\": ", digest.frame,
                   ToString(digest.state));
    if (digest.readable()) {
      fmt::format_to(out, "\"{:08x}\"", digest.crc32);
    } else {
      fmt::format_to(out, "null");
      if (digest.known != 0) fmt::format_to(out, ", \"known\": {}", digest.known);
    }
    fmt::format_to(out, "}}\n");
    output_.Write({line_.data(), line_.size()});
  }

 private:
  Output& output_;
  fmt::memory_buffer line_;
};

}  // namespace

std::unique_ptr<PageRowWriter> MakePageRowWriter(std::string_view format, Output& output) {
  if (format == "text") return std::make_unique<TextRows>(output);
  if (format == "ndjson") return std::make_unique<NdjsonRows>(output);
  return nullptr;
}

}  // namespace dmaudit
