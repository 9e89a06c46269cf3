// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/window_reader.h"

#include <algorithm>

namespace dmaudit {

std::span<const std::byte> WindowReader::Get(uint64_t at, size_t size) {
  const auto inside = [&] {
    return at >= begin_ && at - begin_ <= filled_ && filled_ - (at - begin_) >= size;
  };
  if (!inside()) {
    // Hopping backwards finds what lies before in the window too.
    const bool backwards = at < begin_;
    const uint64_t end = backwards && at <= UINT64_MAX - size ? at + size : 0;
    begin_ = backwards && end != 0 ? end - std::min<uint64_t>(end, kWindow) : at;
    filled_ = source_.ReadAt(FileOffset(begin_), window_).value_or(0);
  }
  const size_t skip = static_cast<size_t>(std::min<uint64_t>(at - begin_, filled_));
  return std::span(window_).subspan(skip, std::min(size, filled_ - skip));
}

}  // namespace dmaudit
