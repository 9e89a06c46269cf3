// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/memory/byte_state.h"

namespace dmaudit {

std::string_view ToString(ByteState state) {
  switch (state) {
    case ByteState::kData:
      return "data";
    case ByteState::kZero:
      return "zero";
    case ByteState::kExcluded:
      return "excluded";
    case ByteState::kAbsent:
      return "absent";
    case ByteState::kLost:
      return "lost";
    case ByteState::kTruncated:
      return "truncated";
    case ByteState::kCorrupt:
      return "corrupt";
    case ByteState::kRedacted:
      return "redacted";
  }
  return "corrupt";
}

}  // namespace dmaudit
