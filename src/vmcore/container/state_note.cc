// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/state_note.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace dmaudit {
namespace {

constexpr std::string_view kName = "DMAUDIT-STATES";
constexpr uint32_t kType = 1;
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderSize = 8;

// By the number that stands for it, which is fixed for good. Versions that do not know a number
// refuse the note and say so.
constexpr std::array kStates = {ByteState::kLost, ByteState::kTruncated, ByteState::kCorrupt,
                                ByteState::kExcluded};

}  // namespace

bool IsStateNote(const DumpNote& note) { return note.name == kName && note.type == kType; }

std::array<std::byte, kMissingRangeSize> EncodeMissingRange(const MissingRange& missing) {
  std::array<std::byte, kMissingRangeSize> raw{};
  const auto code = std::ranges::find(kStates, missing.state) - kStates.begin();
  StoreUnchecked<uint64_t>(raw, 0, missing.range.first.value());
  StoreUnchecked<uint64_t>(raw, 8, missing.range.last.value());
  StoreUnchecked<uint32_t>(raw, 16, static_cast<uint32_t>(code));
  return raw;
}

DumpNote EncodeStateNote(std::span<const MissingRange> ranges) {
  DumpNote note{std::string(kName), kType, {}};
  note.descriptor.resize(kHeaderSize);
  StoreUnchecked<uint32_t>(note.descriptor, 0, kVersion);
  for (const MissingRange& missing : ranges) {
    const auto raw = EncodeMissingRange(missing);
    note.descriptor.insert(note.descriptor.end(), raw.begin(), raw.end());
  }
  return note;
}

Status VisitStateNote(const DumpNote& note, const std::function<void(const MissingRange&)>& visit) {
  const std::span<const std::byte> raw = note.descriptor;
  if (raw.size() < kHeaderSize || (raw.size() - kHeaderSize) % kMissingRangeSize != 0) {
    return Fail(ErrorCode::kMalformed, "note of missing memory: {} bytes", raw.size());
  }
  if (const uint32_t version = LoadUnchecked<uint32_t>(raw, 0); version != kVersion) {
    return Fail(ErrorCode::kMalformed, "note of missing memory: version {}", version);
  }
  if (const uint64_t count = (raw.size() - kHeaderSize) / kMissingRangeSize;
      count > kMaxMissingRanges) {
    return Fail(ErrorCode::kLimit, "note of missing memory: {} ranges", count);
  }
  // All of it is checked before any of it is believed.
  for (const bool checked : {false, true}) {
    for (size_t at = kHeaderSize; at < raw.size(); at += kMissingRangeSize) {
      const PhysRange range{PhysAddr(LoadUnchecked<uint64_t>(raw, at)),
                            PhysAddr(LoadUnchecked<uint64_t>(raw, at + 8))};
      const uint32_t code = LoadUnchecked<uint32_t>(raw, at + 16);
      if (checked) {
        visit({range, kStates[code]});
      } else if (range.last < range.first || code >= kStates.size()) {
        return Fail(ErrorCode::kMalformed, "note of missing memory: {:#x}-{:#x} in state {}",
                    range.first.value(), range.last.value(), code);
      }
    }
  }
  return {};
}

}  // namespace dmaudit
