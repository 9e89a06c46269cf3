// SPDX-License-Identifier: GPL-2.0-or-later
// Diagnostics: what is damaged, missing or doubtful in this dump. Never what the DMA tables say
// (findings), never a reason to stop (errors).
#ifndef DMAUDIT_BASE_DIAGNOSTICS_H_
#define DMAUDIT_BASE_DIAGNOSTICS_H_

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dmaudit {

// Whether the defect could hide something the audit exists to find.
enum class Effect : uint8_t {
  kNote,        // worth saying, hides nothing
  kIncomplete,  // something that could hold a finding was not read: the audit is not complete
};

struct Diagnostic {
  std::string id;  // stable, dotted: "kdump.truncated", "walk.reserved-bits"
  Effect effect = Effect::kNote;
  std::string
      message;  // lower case, outer context first, with address and raw value; may hold dump text
  uint64_t count = 1;  // how often this very message was reported
};

// Collects diagnostics in order of first appearance: equal messages are counted, not repeated, and
// a flood of different ones under one id is cut at kMaxPerId with the rest counted, so that no dump
// can fill the memory.
class DiagnosticSink {
 public:
  static constexpr size_t kMaxPerId = 64;

  void Report(std::string_view id, Effect effect, std::string message);

  // Whether further messages under `id` are not kept any more; if so, counts one with `effect`.
  // Saves composing messages that nobody will see.
  bool OnlyCounts(std::string_view id, Effect effect);

  template <typename... Args>
  void Note(std::string_view id, fmt::format_string<Args...> format, Args&&... args) {
    Report(id, Effect::kNote, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void Incomplete(std::string_view id, fmt::format_string<Args...> format, Args&&... args) {
    Report(id, Effect::kIncomplete, fmt::format(format, std::forward<Args>(args)...));
  }

  const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }
  // Reports beyond kMaxPerId, by id.
  const std::map<std::string, uint64_t, std::less<>>& suppressed() const { return suppressed_; }
  // True when any report, kept or suppressed, had Effect::kIncomplete.
  bool incomplete() const { return !gaps_.empty(); }
  // Whether any report under `id` had Effect::kIncomplete.
  bool incomplete(std::string_view id) const { return gaps_.find(id) != gaps_.end(); }
  // What was reported under `id` hides nothing after all: something else closed the gap.
  void Settle(std::string_view id);

 private:
  std::vector<Diagnostic> diagnostics_;
  std::map<std::pair<std::string, std::string>, size_t> index_;  // (id, message) -> position
  std::map<std::string, size_t, std::less<>> kept_per_id_;
  std::map<std::string, uint64_t, std::less<>> suppressed_;
  std::set<std::string, std::less<>> gaps_;  // ids with a report of kIncomplete
};

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_DIAGNOSTICS_H_
