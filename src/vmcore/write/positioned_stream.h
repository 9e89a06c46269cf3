// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes that follow each other from a place in a file on, written in large pieces.
#ifndef DMAUDIT_VMCORE_WRITE_POSITIONED_STREAM_H_
#define DMAUDIT_VMCORE_WRITE_POSITIONED_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "vmcore/write/atomic_file.h"

namespace dmaudit {

class PositionedStream {
 public:
  // `file` (Access::kPositioned) outlives this.
  PositionedStream(AtomicFile& file, uint64_t offset) : file_(file), offset_(offset) {}

  // Where the next byte goes.
  uint64_t position() const { return offset_ + buffer_.size(); }

  Status Put(std::span<const std::byte> bytes) {
    if (buffer_.size() + bytes.size() > kBufferSize) {
      if (const Status flushed = Flush(); !flushed) return flushed;
      if (bytes.size() >= kBufferSize) {
        const Status written = file_.WriteAt(offset_, bytes);
        offset_ += bytes.size();
        return written;
      }
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return {};
  }
  // Leaves bytes out: where nothing was written before, they read as zeros.
  Status Skip(uint64_t bytes) {
    const Status flushed = Flush();
    offset_ += bytes;
    return flushed;
  }
  Status Flush() {
    if (buffer_.empty()) return {};
    const Status written = file_.WriteAt(offset_, buffer_);
    offset_ += buffer_.size();
    buffer_.clear();
    return written;
  }

 private:
  static constexpr size_t kBufferSize = size_t{64} << 10;

  AtomicFile& file_;
  uint64_t offset_;
  std::vector<std::byte> buffer_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_POSITIONED_STREAM_H_
