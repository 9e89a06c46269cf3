// SPDX-License-Identifier: GPL-2.0-or-later
// Memory as a hex dump in which what is not known says so.
#ifndef DMAUDIT_REPORT_HEX_DUMP_H_
#define DMAUDIT_REPORT_HEX_DUMP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "report/output.h"
#include "vmcore/memory/byte_state.h"

namespace dmaudit {

// Lines of 16 bytes, aligned. A line like the one before is shown as one "*" for all that follow,
// as hexdump does. A stretch of unknown bytes is one line with its state, however long; a line it
// starts in has blanks in its place, and one that it ends in begins behind it: addresses ascend,
// and a byte's is that of its line and its column. The last line is the address of the end.
class HexDump {
 public:
  explicit HexDump(Output& output) : output_(output) {}

  // Both come in ascending order without gaps.
  void Known(PhysAddr address, std::span<const std::byte> bytes);
  void Unknown(PhysAddr address, uint64_t size, ByteState state);
  void Finish();

 private:
  static constexpr uint32_t kLine = 16;

  void FlushLine();
  void FlushUnknown();

  Output& output_;
  std::array<std::byte, kLine> line_{};
  PhysAddr line_at_;     // of the first byte in line_, not aligned
  uint32_t filled_ = 0;  // bytes in line_
  std::array<std::byte, kLine> before_{};
  bool has_before_ = false;  // the last line shown was whole
  bool starred_ = false;
  PhysAddr unknown_at_;
  uint64_t unknown_ = 0;
  ByteState state_ = ByteState::kAbsent;
  PhysAddr shown_;  // where the last stretch of unknown bytes ends
  PhysAddr end_;    // of what came so far; wraps to 0 at the top
  bool any_ = false;
};

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_HEX_DUMP_H_
