// SPDX-License-Identifier: GPL-2.0-or-later
// A progress bar on a terminal: percentage, rate, time left.
#ifndef DMAUDIT_CLI_PROGRESS_H_
#define DMAUDIT_CLI_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace dmaudit::cli {

// "[#####     ]  50%  1.5 GiB/s  0:07 left" for `done` of `total` bytes after `seconds`.
std::string ProgressText(uint64_t done, uint64_t total, double seconds);

class Progress {
 public:
  // Shows nothing when `wanted` is false or standard error is no terminal that can take a bar away.
  explicit Progress(bool wanted);
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Cheap; the terminal sees a few of these a second.
  void Update(uint64_t done, uint64_t total);
  // Takes the bar away: what is printed next has the line for itself.
  void Clear();

 private:
  using Clock = std::chrono::steady_clock;

  bool shown_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

}  // namespace dmaudit::cli

#endif  // DMAUDIT_CLI_PROGRESS_H_
