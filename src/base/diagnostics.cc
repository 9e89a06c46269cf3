// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/diagnostics.h"

namespace dmaudit {

void DiagnosticSink::Report(std::string_view id, Effect effect, std::string message) {
  if (effect == Effect::kIncomplete) gaps_.emplace(id);
  std::pair<std::string, std::string> key(id, std::move(message));
  const auto known = index_.find(key);
  if (known != index_.end()) {
    Diagnostic& diagnostic = diagnostics_[known->second];
    ++diagnostic.count;
    if (effect == Effect::kIncomplete) diagnostic.effect = effect;
    return;
  }
  size_t& kept = kept_per_id_[key.first];
  if (kept >= kMaxPerId) {
    ++suppressed_[key.first];
    return;
  }
  ++kept;
  diagnostics_.push_back({key.first, effect, key.second, 1});
  index_.emplace(std::move(key), diagnostics_.size() - 1);
}

bool DiagnosticSink::OnlyCounts(std::string_view id, Effect effect) {
  const auto kept = kept_per_id_.find(id);
  if (kept == kept_per_id_.end() || kept->second < kMaxPerId) return false;
  if (effect == Effect::kIncomplete) gaps_.emplace(id);
  const auto suppressed = suppressed_.find(id);
  if (suppressed == suppressed_.end()) {
    suppressed_.emplace(id, 1);
  } else {
    ++suppressed->second;
  }
  return true;
}

void DiagnosticSink::Settle(std::string_view id) {
  const auto gap = gaps_.find(id);
  if (gap == gaps_.end()) return;
  gaps_.erase(gap);
  for (Diagnostic& diagnostic : diagnostics_) {
    if (diagnostic.id == id) diagnostic.effect = Effect::kNote;
  }
}

}  // namespace dmaudit
