// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/state_note.h"

#include <array>
#include <cstddef>
#include <string_view>

#include "base/bytes.h"

namespace dmaudit {
namespace {

constexpr std::string_view kName = "DMAUDIT-STATES";
constexpr uint32_t kType = 1;
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderSize = 8;

// By the number that stands for it, which is fixed for good.
constexpr std::array kStates = {ByteState::kLost, ByteState::kTruncated, ByteState::kCorrupt};

}  // namespace

bool IsStateNote(const DumpNote& note) { return note.name == kName && note.type == kType; }

DumpNote EncodeStateNote(std::span<const DamagedRange> ranges) {
  DumpNote note{std::string(kName), kType, {}};
  note.descriptor.resize(kHeaderSize + ranges.size() * kDamagedRangeSize);
  StoreUnchecked<uint32_t>(note.descriptor, 0, kVersion);
  size_t at = kHeaderSize;
  for (const DamagedRange& damage : ranges) {
    StoreUnchecked<uint64_t>(note.descriptor, at, damage.range.first.value());
    StoreUnchecked<uint64_t>(note.descriptor, at + 8, damage.range.last.value());
    for (uint32_t code = 0; code < kStates.size(); ++code) {
      if (kStates[code] == damage.state) StoreUnchecked<uint32_t>(note.descriptor, at + 16, code);
    }
    at += kDamagedRangeSize;
  }
  return note;
}

Result<std::vector<DamagedRange>> DecodeStateNote(const DumpNote& note) {
  const std::span<const std::byte> raw = note.descriptor;
  if (raw.size() < kHeaderSize || (raw.size() - kHeaderSize) % kDamagedRangeSize != 0) {
    return Fail(ErrorCode::kMalformed, "note of damaged memory: {} bytes", raw.size());
  }
  if (const uint32_t version = LoadUnchecked<uint32_t>(raw, 0); version != kVersion) {
    return Fail(ErrorCode::kMalformed, "note of damaged memory: version {}", version);
  }
  const uint64_t count = (raw.size() - kHeaderSize) / kDamagedRangeSize;
  if (count > kMaxDamagedRanges) {
    return Fail(ErrorCode::kLimit, "note of damaged memory: {} ranges", count);
  }
  std::vector<DamagedRange> ranges;
  ranges.reserve(static_cast<size_t>(count));
  for (size_t at = kHeaderSize; at < raw.size(); at += kDamagedRangeSize) {
    const PhysRange range{PhysAddr(LoadUnchecked<uint64_t>(raw, at)),
                          PhysAddr(LoadUnchecked<uint64_t>(raw, at + 8))};
    const uint32_t code = LoadUnchecked<uint32_t>(raw, at + 16);
    if (range.last < range.first || code >= kStates.size()) {
      return Fail(ErrorCode::kMalformed, "note of damaged memory: {:#x}-{:#x} in state {}",
                  range.first.value(), range.last.value(), code);
    }
    ranges.push_back({range, kStates[code]});
  }
  return ranges;
}

}  // namespace dmaudit
