// SPDX-License-Identifier: GPL-2.0-or-later
// Every live range of every device, streamed.
#ifndef DMAUDIT_AUDIT_MAPPINGS_H_
#define DMAUDIT_AUDIT_MAPPINGS_H_

#include <functional>
#include <optional>
#include <string_view>

#include "audit/audit.h"
#include "base/diagnostics.h"
#include "base/ids.h"
#include "base/result.h"
#include "dmar/translation.h"
#include "vmcore/dump.h"
#include "vmcore/memory/session.h"

namespace dmaudit {

struct MappingRow {
  std::string_view unit;
  Bdf bdf;
  std::optional<Pasid> pasid;  // nothing in legacy mode
  DomainId did;
  Stage stage = Stage::kSecond;
  Iova iova;
  uint64_t size = 0;           // bytes
  std::optional<PhysAddr> pa;  // nothing for pass-through
  Permissions permissions;
};

// Calls `visit` for each row in device order, then PASID, then IOVA order, until it returns false.
// A pass-through device is one row that starts at IOVA 0 and is as long as the unit's address width
// allows. A page table that several devices share is walked once unless it has more ranges than are
// kept (kMaxKeptRanges), and then once per device; all rows together have one budget, replayed ones
// too. True when something that could hold a row was
// not read; `sink` says what.
Result<bool> StreamMappings(const Dump& dump, MemorySession& session, const AuditOptions& options,
                            DiagnosticSink& sink,
                            const std::function<bool(const MappingRow&)>& visit);

// 65536 ranges of 32 bytes: 2 MiB. Real shared domains hold a few hundred.
inline constexpr size_t kMaxKeptRanges = size_t{1} << 16;

}  // namespace dmaudit

#endif  // DMAUDIT_AUDIT_MAPPINGS_H_
