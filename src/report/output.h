// SPDX-License-Identifier: GPL-2.0-or-later
// Where a report goes: buffered bytes, with failure kept until the end.
#ifndef DMAUDIT_REPORT_OUTPUT_H_
#define DMAUDIT_REPORT_OUTPUT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace dmaudit {

class Output {
 public:
  virtual ~Output() = default;

  void Write(std::string_view text) {
    buffer_.append(text);
    if (buffer_.size() >= kFlushSize) Drain();
  }

  // Hands everything to the sink; the first failure of any write so far.
  Status Flush() {
    Drain();
    return status_;
  }
  // False once a write has failed: long producers stop early.
  bool ok() const { return status_.has_value(); }

 protected:
  virtual Status Sink(std::string_view text) = 0;

 private:
  static constexpr size_t kFlushSize = size_t{1} << 16;

  void Drain() {
    if (!buffer_.empty() && status_) status_ = Sink(buffer_);
    buffer_.clear();
  }

  std::string buffer_;
  Status status_;
};

// Collects in memory: for tests and for text that is laid out twice.
class StringOutput : public Output {
 public:
  // Everything written so far.
  const std::string& text() {
    (void)Flush();
    return text_;
  }

 protected:
  Status Sink(std::string_view text) override {
    text_.append(text);
    return {};
  }

 private:
  std::string text_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_REPORT_OUTPUT_H_
