// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/io/file_source.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

namespace dmaudit {
namespace {

std::string ErrnoText(int error) { return std::generic_category().message(error); }

// What stands in the way of reading a file of this mode by position; empty when nothing does.
std::string_view UnreadableKind(mode_t mode) {
  if (S_ISREG(mode) || S_ISBLK(mode)) return {};
  if (S_ISDIR(mode)) return "is a directory, not a dump";
  if (S_ISFIFO(mode)) return "is a pipe; a dump is read by position, so copy it to a file first";
  if (S_ISCHR(mode)) return "is a character device, not a dump";
  if (S_ISSOCK(mode)) return "is a socket, not a dump";
  return "is not a regular file";
}

// The file behind `fd`, opened once more, or negative.
int Reopen(int fd) {
  const int again = ::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_RDONLY | O_CLOEXEC);
  struct stat one {};
  struct stat other {};
  // /proc can be anything.
  if (again < 0 || (::fstat(fd, &one) == 0 && ::fstat(again, &other) == 0 &&
                    one.st_dev == other.st_dev && one.st_ino == other.st_ino)) {
    return again;
  }
  ::close(again);
  return -1;
}

}  // namespace

Result<std::unique_ptr<FileSource>> FileSource::Open(const std::string& path) {
  // O_NONBLOCK: opening a fifo nobody writes to must not hang.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return Fail(ErrorCode::kIo, "{}: {}", path, ErrnoText(errno));
  return Adopt(fd, path);
}

Result<std::unique_ptr<FileSource>> FileSource::Adopt(int fd, const std::string& path) {
  return Adopt(fd, path, ReadsEndWithTheFile(fd) ? nullptr : SizeNow);
}

Result<std::unique_ptr<FileSource>> FileSource::Adopt(int fd, const std::string& path,
                                                      AskSize ask) {
  std::unique_ptr<FileSource> source(new FileSource(fd, 0, path));
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Fail(ErrorCode::kIo, "{}: {}", path, ErrnoText(errno));
  if (const std::string_view kind = UnreadableKind(status.st_mode); !kind.empty()) {
    return Fail(ErrorCode::kIo, "{}: {}", path, kind);
  }
  // st_size is 0 for a block device; its end can be sought.
  const off_t end = S_ISREG(status.st_mode) ? status.st_size : ::lseek(fd, 0, SEEK_END);
  if (end < 0) return Fail(ErrorCode::kIo, "{}: {}", path, ErrnoText(errno));
  if (end == 0) return Fail(ErrorCode::kUnrecognised, "{}: is empty", path);
  source->size_ = static_cast<uint64_t>(end);
  source->regular_ = S_ISREG(status.st_mode);
  if (source->regular_) source->ask_ = ask;
  return source;
}

FileSource::FileSource(int fd, uint64_t size, std::string path)
    : fd_(fd), size_(size), path_(std::move(path)) {
  for (std::atomic<int>& handle : handles_) handle = kNotOpen;
}

FileSource::~FileSource() {
  for (const std::atomic<int>& handle : handles_) {
    if (handle != fd_ && handle != kNotOpen) ::close(handle);
  }
  ::close(fd_);
}

int FileSource::Handle() const {
  // To open a file of a network once more is a question to its server.
  if (!regular_ || ask_ != nullptr) return fd_;
  const size_t processor = static_cast<size_t>(std::max(::sched_getcpu(), 0));
  std::atomic<int>& handle = handles_[processor % kHandles];
  int held = handle.load(std::memory_order_acquire);
  if (held != kNotOpen) return held;
  const int again = read_.exchange(true, std::memory_order_relaxed) ? Reopen(fd_) : -1;
  const int own = again < 0 ? fd_ : again;
  if (handle.compare_exchange_strong(held, own, std::memory_order_acq_rel)) return own;
  if (again >= 0) ::close(again);
  return held;
}

Result<size_t> FileSource::ReadAt(FileOffset offset, std::span<std::byte> out) const {
  constexpr uint64_t kMaxOffset = std::numeric_limits<off_t>::max();
  const int fd = Handle();
  size_t done = 0;
  while (done < out.size()) {
    // Also keeps a file that grows while it is read from changing its answers.
    const uint64_t at = offset.value() + done;
    if (at < offset.value() || at >= size_ || at > kMaxOffset) break;
    if (const int error = gone_.load(std::memory_order_relaxed); error != 0) {
      return Failed(at, error);
    }
    const size_t want = static_cast<size_t>(std::min<uint64_t>(out.size() - done, size_ - at));
    const ssize_t got = ::pread(fd, out.data() + done, want, static_cast<off_t>(at));
    if (got < 0) {
      if (errno == EINTR) continue;
      const int error = errno;
      // A bad place of a disk leaves the rest. Where the file's size cannot be had either, its
      // server is gone or does not know it any more: each further read would wait for the mount's
      // time-outs.
      if (regular_ && SizeNow(fd_) < 0) gone_.store(error, std::memory_order_relaxed);
      return Failed(at, error);
    }
    if (got == 0) {
      Ended(at);
      break;
    }
    done += static_cast<size_t>(got);
  }
  return WithinTheFile(offset, out.first(done));
}

Result<size_t> FileSource::WithinTheFile(FileOffset offset, std::span<const std::byte> read) const {
  if (ask_ == nullptr || !MayBeMadeUp(offset.value(), read)) return read.size();
  const int64_t now = ask_(fd_);
  if (now < 0) {
    const int error = errno;
    // A server that does not know the file any more has answered at once, and other bytes may still
    // be had. One that is silent is not asked again.
    if (error != ESTALE) gone_.store(error, std::memory_order_relaxed);
    return Failed(offset.value(), error);
  }
  const uint64_t there = static_cast<uint64_t>(now);
  if (there >= offset.value() + read.size()) return read.size();
  const uint64_t end = std::max(there, offset.value());
  Ended(end);
  return static_cast<size_t>(end - offset.value());
}

tl::unexpected<Error> FileSource::Failed(uint64_t at, int error) const {
  Error failure{ErrorCode::kIo,
                fmt::format("{}: reading at {:#x}: {}", path_, at, ErrnoText(error))};
  const std::scoped_lock guard(faults_.lock);
  if (faults_.failed++ == 0) faults_.first = failure.message;
  return tl::unexpected<Error>(std::move(failure));
}

void FileSource::Ended(uint64_t at) const {
  const std::scoped_lock guard(faults_.lock);
  faults_.ends_at = std::min(faults_.ends_at, at);
}

FileOffset FileSource::SkipHole(FileOffset offset) const {
  constexpr uint64_t kMaxOffset = std::numeric_limits<off_t>::max();
  if (offset.value() >= size_ || offset.value() > kMaxOffset) return offset;
  if (gone_.load(std::memory_order_relaxed) != 0) return offset;
  // Moves the descriptor's own position, which no read uses.
  const off_t data = ::lseek(fd_, static_cast<off_t>(offset.value()), SEEK_DATA);
  if (data >= 0) return FileOffset(std::min(static_cast<uint64_t>(data), size_));
  // ENXIO: nothing but a hole up to the end, or nothing at all any more. Anything else: holes are
  // not known here.
  return errno == ENXIO && IsWhole() ? FileOffset(size_) : offset;
}

bool FileSource::IsWhole() const {
  if (!regular_) return true;
  const int64_t now = SizeNow(fd_);
  return now >= 0 && static_cast<uint64_t>(now) >= size_;
}

void FileSource::ReportFaults(DiagnosticSink& sink) const {
  const std::scoped_lock guard(faults_.lock);
  if (faults_.failed != 0) {
    sink.Incomplete("input.read-failed", "{}{}: what is there is not known", faults_.first,
                    faults_.failed == 1
                        ? ""
                        : fmt::format(", the first of {} reads that failed", faults_.failed));
  }
  if (faults_.ends_at != UINT64_MAX) {
    sink.Incomplete("input.shrunk",
                    "{}: had {:#x} bytes when it was opened, and reads end at {:#x}: it is being "
                    "changed, or its file system gives less than it says",
                    path_, size_, faults_.ends_at);
  }
}

}  // namespace dmaudit
