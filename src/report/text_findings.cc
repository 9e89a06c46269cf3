// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/text_findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "base/ranges.h"
#include "base/text.h"
#include "report/device_list.h"
#include "report/device_table.h"
#include "report/info.h"
#include "report/layout.h"

namespace dmaudit {
namespace {

// Overlaps that a finding lists unless -v asks for all.
constexpr size_t kBriefOverlaps = 8;

class FindingsText {
 public:
  FindingsText(const AuditResult& result, const TextOptions& options, Output& output)
      : result_(result), options_(options), out_(output) {}

  void Write() {
    for (const Finding& finding : result_.findings) {
      const Severity severity = finding.kind->severity;
      WriteWrapped(fmt::format("  {:<9}", ToString(severity)),
                   fmt::format("{} [{}]", Safe(finding.message), finding.kind->id), out_);
      if (!finding.devices.empty()) {
        WriteWrapped("           devices: ", DeviceList(finding.devices, !options_.verbose), out_);
        WhoRows(finding);
      }
      OverlapRows(finding);
      ImageRows(finding);
      if (options_.verbose || severity == Severity::kCritical) EvidenceRows(finding);
      if (options_.verbose) WriteWrapped("           ", finding.kind->explanation, out_);
    }
  }

 private:
  static std::string Safe(std::string_view text) { return EscapeForTerminal(text); }

  // Who drives the devices, and which of them could not have started anything.
  void WhoRows(const Finding& finding) {
    std::map<std::string, size_t> drivers;
    std::map<std::string, size_t> idle;
    for (const DeviceRef& device : finding.devices) {
      if (!device.facts) continue;
      const DeviceFacts& facts = result_.machine.inventory.devices[*device.facts];
      if (facts.driver) ++drivers[facts.driver->empty() ? "no driver" : Safe(*facts.driver)];
      if (device.ability == DmaAbility::kUnable) ++idle[StateText(facts)];
    }
    const auto row = [&](std::string_view head, const std::map<std::string, size_t>& counts) {
      std::string text;
      for (const auto& [name, count] : counts) {
        text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
        if (finding.devices.size() > 1) text += fmt::format(" ({})", count);
      }
      if (!text.empty()) WriteWrapped(head, text, out_);
    };
    row("           drivers: ", drivers);
    row(finding.idle ? "           idle at the crash, by the kernel's records: "
                     : "           of these idle, by the kernel's records: ",
        idle);
  }

  void OverlapRows(const Finding& finding) {
    const size_t shown = options_.verbose ? finding.overlaps.size()
                                          : std::min(kBriefOverlaps, finding.overlaps.size());
    for (size_t i = 0; i < shown; ++i) {
      const Overlap& overlap = finding.overlaps[i];
      const uint64_t skip = overlap.overlap.first.value() - overlap.range.pa.value();
      const uint64_t first = overlap.range.iova.value() + skip;
      out_.Write(fmt::format("           IOVA {:x}-{:x} -> {} {} ({})\n", first,
                             first + overlap.overlap.size() - 1, ToString(overlap.overlap),
                             ToString(overlap.range.permissions),
                             HumanSize(overlap.overlap.size())));
    }
    if (finding.overlap_count > shown) {
      out_.Write(fmt::format("           ... and {} more{}\n", finding.overlap_count - shown,
                             shown < finding.overlaps.size() ? " (-v lists them)" : ""));
    }
  }

  // Whether the loaded crash kernel is hit, or memory it would only have used later.
  void ImageRows(const Finding& finding) {
    if (!finding.hits_image) return;
    if (!*finding.hits_image) {
      out_.Write(
          "           no part of the loaded crash kernel: memory that it uses once it runs\n");
      return;
    }
    for (const size_t index : finding.image_segments) {
      out_.Write(fmt::format("           in the loaded crash kernel: {}\n",
                             SegmentText(*result_.machine.crash_image, index)));
    }
  }

  void EvidenceRows(const Finding& finding) {
    for (const EntryRef& entry : finding.evidence) {
      const bool two_words =
          entry.kind == "root" || entry.kind == "context" || entry.kind == "pasid";
      std::string value = fmt::format("{:#x}", entry.raw);
      if (two_words) value += fmt::format(", {:#x}", entry.raw_high);
      const std::string kind = entry.level == 0
                                   ? std::string(entry.kind)
                                   : fmt::format("{} level {}", entry.kind, entry.level);
      out_.Write(
          fmt::format("           {} entry at {:x}: {}\n", kind, entry.address.value(), value));
    }
  }

  const AuditResult& result_;
  const TextOptions& options_;
  Output& out_;
};

}  // namespace

void WriteTextFindings(const AuditResult& result, const TextOptions& options, Output& output) {
  FindingsText(result, options, output).Write();
}

std::string SegmentText(const CrashImage& image, size_t index) {
  const ImageSegment& segment = image.segments[index];
  std::string text = fmt::format("segment {}: {}", index, ToString(segment.range));
  if (segment.role != SegmentRole::kUnknown) text += fmt::format(" {}", ToString(segment.role));
  return text;
}

}  // namespace dmaudit
