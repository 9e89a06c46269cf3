// SPDX-License-Identifier: GPL-2.0-or-later
// A ByteSource on a file or block device. Reads with pread(2) and never maps: a file that shrinks
// under a mapping kills the process, under pread it is only a short read. Over a network it can be
// zeros that the client made up: a read that may hold such zeros asks the server for the size.
#ifndef DMAUDIT_VMCORE_IO_FILE_SOURCE_H_
#define DMAUDIT_VMCORE_IO_FILE_SOURCE_H_

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "vmcore/io/byte_source.h"
#include "vmcore/io/file_end.h"

namespace dmaudit {

class FileSource : public ByteSource {
 public:
  // Regular files and block devices. Everything else (directory, fifo, empty, not permitted) is an
  // error that names `path`.
  static Result<std::unique_ptr<FileSource>> Open(const std::string& path);
  // The same with a descriptor that is open already, and is closed with the source (or on error).
  static Result<std::unique_ptr<FileSource>> Adopt(int fd, const std::string& path);
  // The same with `ask` for the size of the file now (as SizeNow() does) where a read may hold
  // zeros that are not in the file; null: none does.
  using AskSize = int64_t (*)(int fd);
  static Result<std::unique_ptr<FileSource>> Adopt(int fd, const std::string& path, AskSize ask);

  ~FileSource() override;
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  uint64_t size() const override { return size_; }
  Result<size_t> ReadAt(FileOffset offset, std::span<std::byte> out) const override;
  FileOffset SkipHole(FileOffset offset) const override;
  // `input.read-failed` and `input.shrunk`.
  void ReportFaults(DiagnosticSink& sink) const override;

 private:
  // Locked only where something goes wrong.
  struct Faults {
    std::mutex lock;
    std::string first;              // the failure that came first
    uint64_t failed = 0;            // reads
    uint64_t ends_at = UINT64_MAX;  // the lowest place where a read ended before size_
  };

  FileSource(int fd, uint64_t size, std::string path);

  // The descriptor that reads on this processor use.
  int Handle() const;
  // How many of the bytes that were read are in the file, and not made up by a network's client.
  Result<size_t> WithinTheFile(FileOffset offset, std::span<const std::byte> read) const;
  // Note what went wrong with a read.
  tl::unexpected<Error> Failed(uint64_t at, int error) const;
  void Ended(uint64_t at) const;

  // Whether the file still has the size that it was opened with.
  bool IsWhole() const;

  // An open file has a reference count, which the kernel writes at each read of a process with
  // several threads: it goes to and fro between their processors, unless each has one of its own.
  static constexpr size_t kHandles = 16;
  static constexpr int kNotOpen = -1;

  int fd_;
  // fd_ for the processor that reads first, and where there cannot be another.
  mutable std::array<std::atomic<int>, kHandles> handles_;
  mutable std::atomic<bool> read_ = false;
  uint64_t size_;
  bool regular_ = false;
  AskSize ask_ = nullptr;  // null where reads end with the file
  std::string path_;
  mutable Faults faults_;
  mutable std::atomic<int> gone_ = 0;  // why nothing of the file can be had any more
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_IO_FILE_SOURCE_H_
