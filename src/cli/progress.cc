// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "cli/output_file.h"

namespace dmaudit::cli {
namespace {

constexpr unsigned kBarWidth = 30;
constexpr std::chrono::milliseconds kInterval{100};

}  // namespace

std::string ProgressText(uint64_t done, uint64_t total, double seconds) {
  const double share =
      total == 0 ? 1 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<unsigned>(share * kBarWidth);
  std::string text = fmt::format("[{:#<{}}{:{}}] {:3}%", "", filled, "", kBarWidth - filled,
                                 static_cast<unsigned>(share * 100));
  if (seconds <= 0 || done == 0) return text;
  const double rate = static_cast<double>(done) / seconds;
  const auto left =
      static_cast<uint64_t>(static_cast<double>(total - std::min(done, total)) / rate);
  return text + fmt::format("  {}/s  {}:{:02} left", HumanSize(static_cast<uint64_t>(rate)),
                            left / 60, left % 60);
}

Progress::Progress(bool wanted)
    : shown_(wanted && isatty(STDERR_FILENO) == 1 && !TerminalIsDumb()) {}

void Progress::Clear() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

void Progress::Update(uint64_t done, uint64_t total) {
  if (!shown_) return;
  const Clock::time_point now = Clock::now();
  if (now - last_ < kInterval) return;
  last_ = now;
  drawn_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::fputs(("\r\x1b[K" + ProgressText(done, total, seconds)).c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace dmaudit::cli
