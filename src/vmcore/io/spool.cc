// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/io/spool.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>
#include <vector>

#include "base/text.h"

namespace dmaudit {
namespace {

constexpr size_t kChunk = size_t{1} << 20;

std::string Reason(int error) { return std::generic_category().message(error); }

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return value_; }
  int Release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

std::string SpoolFolder(const SpoolOptions& options) {
  if (!options.folder.empty()) return options.folder;
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/var/tmp";
}

// A new file in `folder` that has no name any more.
int OpenNameless(const std::string& folder) {
  const int nameless = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (nameless >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return nameless;
  // A file system, or a kernel, without O_TMPFILE.
  std::string name = folder + "/dmaudit-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

Status WriteAll(int to, const std::byte* bytes, size_t size, const std::string& what) {
  while (size != 0) {
    const ssize_t put = ::write(to, bytes, size);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return Fail(ErrorCode::kIo, "{}: {}", what, Reason(put == 0 ? ENOSPC : errno));
    bytes += put;
    size -= static_cast<size_t>(put);
  }
  return {};
}

// Reads until `out` is full or nothing more comes; how many bytes came.
Result<size_t> ReadFull(int from, std::span<std::byte> out, const std::string& path) {
  size_t size = 0;
  while (size < out.size()) {
    const ssize_t got = ::read(from, out.data() + size, out.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      // Whoever shares standard input does not wait, we do.
      pollfd wait = {from, POLLIN, 0};
      (void)::poll(&wait, 1, -1);
      continue;
    }
    if (got < 0) return Fail(ErrorCode::kIo, "{}: {}", path, Reason(errno));
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  return size;
}

Result<std::unique_ptr<FileSource>> Spool(int from, const std::string& path,
                                          const SpoolOptions& options, const CheckStart& check) {
  const std::string folder = SpoolFolder(options);
  const std::string what = fmt::format("{}: spooling it to {}", path, folder);
  Descriptor spool(OpenNameless(folder));
  if (spool.get() < 0) return Fail(ErrorCode::kIo, "{}: {}", what, Reason(errno));
  std::vector<std::byte> buffer(kChunk);
  uint64_t size = 0;
  for (;;) {
    const size_t wanted = size == 0 ? kCheckedStart : kChunk;
    const Result<size_t> got = ReadFull(from, std::span(buffer).first(wanted), path);
    if (!got) return tl::unexpected<Error>(got.error());
    const std::span<const std::byte> bytes = std::span(buffer).first(*got);
    if (size == 0 && !bytes.empty()) {
      if (Status usable = check(bytes); !usable) return tl::unexpected<Error>(usable.error());
    }
    size += *got;
    if (size > options.limit) {
      return Fail(ErrorCode::kLimit,
                  "{}: more than {} come in: raise --spool-limit, or save it to "
                  "a file first",
                  what, HumanSize(options.limit));
    }
    if (Status put = WriteAll(spool.get(), bytes.data(), bytes.size(), what); !put) {
      return tl::unexpected<Error>(put.error());
    }
    if (*got < wanted) break;
  }
  if (size == 0) return Fail(ErrorCode::kUnrecognised, "{}: is empty, nothing came in", path);
  return FileSource::Adopt(spool.Release(), path);
}

}  // namespace

Result<std::unique_ptr<FileSource>> OpenOrSpool(const std::string& path,
                                                const SpoolOptions& options,
                                                const CheckStart& check) {
  const bool standard_input = path == "-";
  // O_NONBLOCK: opening a pipe nobody writes to must not hang.
  Descriptor file(standard_input
                      ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                      : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return Fail(ErrorCode::kIo, "{}: {}", path, Reason(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return Fail(ErrorCode::kIo, "{}: {}", path, Reason(errno));
  const bool stream = S_ISFIFO(status.st_mode) || (standard_input && S_ISSOCK(status.st_mode));
  // What was read from standard input before is not part of the dump.
  const bool advanced =
      standard_input && S_ISREG(status.st_mode) && ::lseek(file.get(), 0, SEEK_CUR) > 0;
  if (!stream && !advanced) return FileSource::Adopt(file.Release(), path);
  // From here on waiting is right. Without a writer a read gives the end at once.
  const int flags = ::fcntl(file.get(), F_GETFL);
  if (!standard_input && flags >= 0) (void)::fcntl(file.get(), F_SETFL, flags & ~O_NONBLOCK);
  return Spool(file.get(), path, options, check);
}

}  // namespace dmaudit
