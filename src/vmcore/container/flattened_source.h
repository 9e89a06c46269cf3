// SPDX-License-Identifier: GPL-2.0-or-later
// The file that a flattened stream describes: makedumpfile -F and QEMU write a dump as records of
// position, size and bytes, so that it can go through a pipe.
#ifndef DMAUDIT_VMCORE_CONTAINER_FLATTENED_SOURCE_H_
#define DMAUDIT_VMCORE_CONTAINER_FLATTENED_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "base/result.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// Records may come in any order and overlap: the later one holds. What no record covers is zero,
// unless the stream is cut: then a record that was to come could have covered it, it is not known,
// and a read stops there. Holds 24 bytes per record and 16 per gap between them, no content.
class FlattenedSource : public ByteSource {
 public:
  // Goes over the headers of all records. A stream that ends without its end record, or has a
  // record that makes no sense, is one diagnostic and cut there; what led to the latter, the record
  // before it, is not believed either. Fails when there is no record.
  // `path` names the stream in messages.
  static Result<std::shared_ptr<const FlattenedSource>> Open(
      std::shared_ptr<const ByteSource> stream, const std::string& path, DiagnosticSink& sink);

  // One past the last byte that a record covers.
  uint64_t size() const override { return size_; }
  uint64_t stored_size() const override { return stream_size_; }
  // Comes up short also where a cut stream covers nothing, or ends within a record.
  Result<size_t> ReadAt(FileOffset offset, std::span<std::byte> out) const override;
  FileOffset SkipHole(FileOffset offset) const override;
  // What no record of a whole stream covers: the format has it zero, and a stream that lost a
  // record looks the same. makedumpfile and QEMU leave out the padding of headers and ends of
  // bitmaps.
  FileOffset FirstUnwritten(FileOffset offset, uint64_t size) const override {
    return cut_ ? FileOffset(offset.value() + size) : FirstGap(offset, size);
  }
  FileOffset FirstWritten(FileOffset offset) const override {
    return cut_ ? offset : EndOfGap(offset);
  }
  FileOffset FirstUnreadable(FileOffset offset, uint64_t size) const override {
    return cut_ ? FirstGap(offset, size) : FileOffset(offset.value() + size);
  }
  FileOffset FirstReadable(FileOffset offset) const override {
    return cut_ ? EndOfGap(offset) : offset;
  }

  bool cut() const { return cut_; }
  uint64_t records() const { return records_; }

 private:
  // Bytes target .. target + size - 1 of the file are in the stream from `source` on.
  struct Piece {
    uint64_t target;
    uint64_t size;
    uint64_t source;
  };

  // What is covered without a gap.
  struct Run {
    uint64_t first;
    uint64_t end;
  };

  FlattenedSource(std::shared_ptr<const ByteSource> stream, uint64_t size)
      : stream_(std::move(stream)), stream_size_(size) {}

  Status ReadRecords(const std::string& path, DiagnosticSink& sink);
  void SortPieces();
  void ResolveOverlaps();
  void JoinRuns();
  // The first of `size` bytes from `offset` on that no record covers and that lie before size_;
  // offset + size where there is none.
  FileOffset FirstGap(FileOffset offset, uint64_t size) const;
  // The first byte at or behind `offset` that a record covers.
  FileOffset EndOfGap(FileOffset offset) const;
  // The first piece that ends behind `offset`.
  size_t FirstEndingBehind(uint64_t offset) const;

  std::shared_ptr<const ByteSource> stream_;
  uint64_t stream_size_;
  std::vector<Piece> pieces_;  // ascending, disjoint once open
  std::vector<Run> runs_;      // ascending, disjoint once open
  uint64_t size_ = 0;
  uint64_t records_ = 0;
  bool cut_ = false;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_FLATTENED_SOURCE_H_
