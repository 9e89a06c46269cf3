// SPDX-License-Identifier: GPL-2.0-or-later
// ByteSource: bytes read by position, which may come up short.
#ifndef DMAUDIT_VMCORE_IO_BYTE_SOURCE_H_
#define DMAUDIT_VMCORE_IO_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/diagnostics.h"
#include "base/result.h"

namespace dmaudit {

// Immutable and safe to call from several threads at once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Bytes at the time of opening. The file behind it may shrink later: ReadAt decides.
  virtual uint64_t size() const = 0;

  // Bytes of the file that all of it comes from: what a claim of the content can be held against.
  virtual uint64_t stored_size() const { return size(); }

  // Fills `out` from `offset` on and gives the number of bytes read: fewer than asked for only
  // where the source ends (0 beyond it), or where it does not know what follows. An error is a
  // failure of the device or the system.
  virtual Result<size_t> ReadAt(FileOffset offset, std::span<std::byte> out) const = 0;

  // The first position at or after `offset` that may hold a byte other than zero: lets readers of
  // sparse files skip the holes. At most max(offset, size()).
  virtual FileOffset SkipHole(FileOffset offset) const { return offset; }

  // The first position of `size` bytes from `offset` on that reads as zero only because nothing
  // says what is there, and a writer of dumps would have said it; offset + size where there is
  // none. Holes that a file system keeps are none: somebody made the file that long.
  virtual FileOffset FirstUnwritten(FileOffset offset, uint64_t size) const {
    return FileOffset(offset.value() + size);
  }

  // Whether none of them is.
  bool IsWritten(FileOffset offset, uint64_t size) const {
    return FirstUnwritten(offset, size).value() - offset.value() == size;
  }

  // The first position at or after `offset` that something says what is there: where a gap that
  // FirstUnwritten() gave ends. At most max(offset, size()).
  virtual FileOffset FirstWritten(FileOffset offset) const { return offset; }

  // The first position of `size` bytes from `offset` on, all of them before size(), that reads do
  // not get to because a stream was cut before it came; offset + size where there is none.
  virtual FileOffset FirstUnreadable(FileOffset offset, uint64_t size) const {
    return FileOffset(offset.value() + size);
  }

  // Where a gap that FirstUnreadable() gave ends. At most max(offset, size()).
  virtual FileOffset FirstReadable(FileOffset offset) const { return offset; }

  // Says what went wrong with reads so far, as gaps; nothing where all went well. Readers of pages
  // turn a failed read into the state of the page: its reason is here.
  virtual void ReportFaults(DiagnosticSink& sink) const { (void)sink; }
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_IO_BYTE_SOURCE_H_
