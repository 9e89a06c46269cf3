// SPDX-License-Identifier: GPL-2.0-or-later
// A ByteSource on a file or block device. Reads with pread(2) and never maps: a file that shrinks
// under a mapping kills the process, under pread it is only a short read.
#ifndef DMAUDIT_VMCORE_IO_FILE_SOURCE_H_
#define DMAUDIT_VMCORE_IO_FILE_SOURCE_H_

#include <memory>
#include <string>

#include "vmcore/io/byte_source.h"

namespace dmaudit {

class FileSource : public ByteSource {
 public:
  // Regular files and block devices. Everything else (directory, fifo, empty, not permitted) is an
  // error that names `path`.
  static Result<std::unique_ptr<FileSource>> Open(const std::string& path);
  // The same with a descriptor that is open already, and is closed with the source (or on error).
  static Result<std::unique_ptr<FileSource>> Adopt(int fd, const std::string& path);

  ~FileSource() override;
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  uint64_t size() const override { return size_; }
  Result<size_t> ReadAt(FileOffset offset, std::span<std::byte> out) const override;
  FileOffset SkipHole(FileOffset offset) const override;

 private:
  FileSource(int fd, uint64_t size, std::string path);

  int fd_;
  uint64_t size_;
  std::string path_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_IO_FILE_SOURCE_H_
