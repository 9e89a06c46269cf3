// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/hex_dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace dmaudit {

void HexDump::Known(PhysAddr address, std::span<const std::byte> bytes) {
  FlushUnknown();
  uint64_t at = address.value();
  for (const std::byte byte : bytes) {
    if (filled_ == 0) line_at_ = PhysAddr(at);
    line_[filled_++] = byte;
    ++at;
    if (at % kLine == 0) FlushLine();
  }
  end_ = PhysAddr(at);
  any_ |= !bytes.empty();
}

void HexDump::Unknown(PhysAddr address, uint64_t size, ByteState state) {
  if (size == 0) return;
  FlushLine();
  if (unknown_ != 0 && state != state_) FlushUnknown();
  if (unknown_ == 0) unknown_at_ = address;
  unknown_ += size;
  state_ = state;
  end_ = PhysAddr(address.value() + size);
  any_ = true;
}

void HexDump::Finish() {
  FlushLine();
  FlushUnknown();
  // Behind the last byte there is comes 2^64.
  output_.Write(end_.value() == 0 && any_ ? "10000000000000000\n"
                                          : fmt::format("{:012x}\n", end_.value()));
}

void HexDump::FlushUnknown() {
  if (unknown_ == 0) return;
  output_.Write(fmt::format("{:012x}  {}: {} byte{}\n", unknown_at_.value(), ToString(state_),
                            unknown_, unknown_ == 1 ? "" : "s"));
  shown_ = PhysAddr(unknown_at_.value() + unknown_);
  unknown_ = 0;
  has_before_ = false;
}

void HexDump::FlushLine() {
  if (filled_ == 0) return;
  const bool whole = filled_ == kLine;
  if (whole && has_before_ && line_ == before_) {
    if (!starred_) output_.Write("*\n");
    starred_ = true;
    filled_ = 0;
    return;
  }
  has_before_ = whole;
  before_ = line_;
  starred_ = false;

  const uint64_t start = std::max(line_at_.AlignDown(kLine), shown_).value();
  const uint32_t skip = static_cast<uint32_t>(line_at_.value() - start);
  fmt::memory_buffer text;
  auto out = std::back_inserter(text);
  fmt::format_to(out, "{:012x} ", start);
  for (uint32_t i = 0; i < kLine; ++i) {
    const bool here = i >= skip && i - skip < filled_;
    fmt::format_to(out, "{}", i == kLine / 2 ? "  " : " ");
    if (here) {
      fmt::format_to(out, "{:02x}", static_cast<unsigned>(line_[i - skip]));
    } else {
      fmt::format_to(out, "  ");
    }
  }
  fmt::format_to(out, "  |");
  for (uint32_t i = 0; i < kLine; ++i) {
    const bool here = i >= skip && i - skip < filled_;
    const char c = here ? static_cast<char>(line_[i - skip]) : ' ';
    // A dump holds anything: only printable ASCII reaches a terminal.
    text.push_back(c >= ' ' && c <= '~' ? c : '.');
  }
  fmt::format_to(out, "|\n");
  output_.Write({text.data(), text.size()});
  filled_ = 0;
}

}  // namespace dmaudit
