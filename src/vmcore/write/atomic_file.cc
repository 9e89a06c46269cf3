// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <system_error>
#include <utility>

#include "base/number.h"

namespace dmaudit {
namespace {

// Names are 64 random bits; a second collision means that something else is wrong.
constexpr int kNameAttempts = 16;
constexpr size_t kCopyChunk = 64 * 1024;
constexpr uint64_t kWritebackChunk = uint64_t{8} << 20;

std::string Reason(int error) { return std::generic_category().message(error); }

// N of a name that stands for the open descriptor N. Reopening such a name would truncate a file
// that others append to.
std::optional<int> DescriptorNamed(std::string_view path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view prefix : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(prefix)) continue;
    const std::optional<uint64_t> number = ParseDecimal(path.substr(prefix.size()));
    if (number && *number <= INT_MAX) return static_cast<int>(*number);
  }
  return std::nullopt;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "./";
  return path.substr(0, slash + 1);
}

std::string TemporaryName(const std::string& folder) {
  std::random_device random;
  return fmt::format("{}.dmaudit-{:08x}{:08x}.tmp", folder, random(), random());
}

// How the open descriptor is named for linkat(), which gives its file a name.
std::string NameOfDescriptor(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

// A file without a name in `folder`; -1 where there can be none, or none that can be named later.
int OpenUnnamed(const std::string& folder, mode_t mode) {
  const int descriptor = open(folder.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, mode);
  if (descriptor < 0) return -1;
  // Linux before 6.0 forgets the umask on file systems without access control lists.
  const mode_t mask = umask(0);
  umask(mask);
  struct stat status {};
  if (access(NameOfDescriptor(descriptor).c_str(), F_OK) == 0 && fstat(descriptor, &status) == 0 &&
      ((status.st_mode & mask) == 0 || fchmod(descriptor, mode & ~mask) == 0)) {
    return descriptor;
  }
  close(descriptor);
  return -1;
}

// A file without a name, for output that cannot be positioned.
int OpenScratch() {
  const char* folder = std::getenv("TMPDIR");
  std::string name = folder != nullptr && *folder != '\0' ? folder : "/tmp";
  name += "/dmaudit-XXXXXX";
  const int descriptor = mkostemp(name.data(), O_CLOEXEC);
  if (descriptor >= 0) unlink(name.c_str());
  return descriptor;
}

}  // namespace

Result<AtomicFile> AtomicFile::Create(std::string path, Access access, mode_t mode) {
  AtomicFile file;
  file.path_ = std::move(path);
  int straight = -1;
  struct stat status {};
  if (const std::optional<int> named = DescriptorNamed(file.path_)) {
    straight = fcntl(*named, F_DUPFD_CLOEXEC, 0);
    if (straight < 0) return tl::unexpected(file.Fault("cannot open", errno).error());
  } else if (stat(file.path_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) {
      return tl::unexpected(file.Fault("cannot write", EISDIR).error());
    }
    if (S_ISREG(status.st_mode)) {
      const std::unique_ptr<char, void (*)(void*)> real(realpath(file.path_.c_str(), nullptr),
                                                        std::free);
      if (real == nullptr) return tl::unexpected(file.Fault("cannot resolve", errno).error());
      file.target_ = real.get();
    } else {
      straight = open(file.path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
      if (straight < 0) return tl::unexpected(file.Fault("cannot open", errno).error());
    }
  } else if (errno != ENOENT || file.path_.empty() || file.path_.ends_with('/') ||
             lstat(file.path_.c_str(), &status) == 0) {
    // The last case is a symbolic link to nothing, which renaming would replace.
    return tl::unexpected(file.Fault("cannot write", ENOENT == errno ? ENOENT : errno).error());
  } else {
    file.target_ = file.path_;
  }

  if (straight >= 0) {
    if (access == Access::kSequential) {
      file.descriptor_ = straight;
      return file;
    }
    file.straight_ = straight;
    file.descriptor_ = OpenScratch();
    if (file.descriptor_ < 0) {
      return tl::unexpected(file.Fault("cannot make a temporary file", errno).error());
    }
    return file;
  }

  if (const Status opened = file.OpenBeside(mode); !opened) return tl::unexpected(opened.error());
  if (S_ISREG(status.st_mode)) {
    // That of another owner stays ours where it cannot be given away, and is not for our group.
    const bool given = fchown(file.descriptor_, status.st_uid, status.st_gid) == 0;
    (void)fchmod(file.descriptor_, status.st_mode & (given ? 0777 : 0707));
  }
  return file;
}

Status AtomicFile::OpenBeside(mode_t mode) {
  descriptor_ = OpenUnnamed(FolderOf(target_), mode);
  if (descriptor_ >= 0) return {};
  return TakeTemporaryName([&](const char* name) {
    descriptor_ = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    return descriptor_ >= 0;
  });
}

// A link cannot replace a file, so it takes a name beside it, for a moment.
Status AtomicFile::GiveName() {
  const std::string source = NameOfDescriptor(descriptor_);
  return TakeTemporaryName([&](const char* name) {
    return linkat(AT_FDCWD, source.c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
  });
}

Status AtomicFile::TakeTemporaryName(const std::function<bool(const char*)>& make) {
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    std::string name = TemporaryName(FolderOf(target_));
    if (make(name.c_str())) {
      temporary_ = std::move(name);
      return {};
    }
    if (errno != EEXIST) break;
  }
  return Fault("cannot make a file beside it", errno);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(target_, other.target_);
  std::swap(temporary_, other.temporary_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(straight_, other.straight_);
  std::swap(size_, other.size_);
  std::swap(handed_over_, other.handed_over_);
  return *this;
}

AtomicFile::~AtomicFile() { Discard(); }

void AtomicFile::Discard() {
  if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
  if (straight_ >= 0) close(std::exchange(straight_, -1));
  if (!temporary_.empty()) unlink(temporary_.c_str());
  temporary_.clear();
}

Status AtomicFile::Fault(std::string_view action, int error) const {
  return Fail(ErrorCode::kIo, "{}: {}: {}", path_, action, Reason(error));
}

Status AtomicFile::WriteAll(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Fault("write failed", written == 0 ? ENOSPC : errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status AtomicFile::Append(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) return Fault("write failed", EBADF);
  // A scratch or temporary file is positioned by size_, so that both kinds of writing can be mixed.
  if (straight_ >= 0 || !target_.empty()) return WriteAt(size_, bytes);
  return WriteAll(descriptor_, bytes);
}

Status AtomicFile::WriteAt(uint64_t offset, std::span<const std::byte> bytes) {
  if (descriptor_ < 0) return Fault("write failed", EBADF);
  if (offset > INT64_MAX || bytes.size() > INT64_MAX - offset) return Fault("write failed", EFBIG);
  while (!bytes.empty()) {
    const ssize_t written =
        pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Fault("write failed", written == 0 ? ENOSPC : errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
    size_ = std::max(size_, offset);
  }
  // The disk can work meanwhile, and Commit() has less to wait for. That it fails does not matter.
  if (size_ - handed_over_ >= kWritebackChunk) {
    (void)sync_file_range(descriptor_, static_cast<off_t>(handed_over_),
                          static_cast<off_t>(size_ - handed_over_), SYNC_FILE_RANGE_WRITE);
    handed_over_ = size_;
  }
  return {};
}

Status AtomicFile::ExtendTo(uint64_t size) {
  if (descriptor_ < 0) return Fault("write failed", EBADF);
  if (size <= size_) return {};
  if (size > INT64_MAX) return Fault("write failed", EFBIG);
  if (ftruncate(descriptor_, static_cast<off_t>(size)) != 0) return Fault("write failed", errno);
  size_ = size;
  return {};
}

Status AtomicFile::CopyToTarget() {
  std::array<std::byte, kCopyChunk> chunk;
  uint64_t offset = 0;
  while (offset < size_) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(chunk.size(), size_ - offset));
    const ssize_t got = pread(descriptor_, chunk.data(), wanted, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Fault("temporary file cannot be read back", got == 0 ? EIO : errno);
    const Status written = WriteAll(straight_, std::span(chunk).first(static_cast<size_t>(got)));
    if (!written) return written;
    offset += static_cast<uint64_t>(got);
  }
  return {};
}

Status AtomicFile::Commit() {
  if (descriptor_ < 0) return Fault("write failed", EBADF);
  Status status;
  if (straight_ >= 0) {
    status = CopyToTarget();
    // Some file systems report a full disk only here.
    if (close(std::exchange(straight_, -1)) != 0 && status) status = Fault("write failed", errno);
  } else if (!target_.empty()) {
    // A name must not survive a power failure without the bytes. EINVAL, EROFS: nothing to sync.
    if (fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) {
      status = Fault("write failed", errno);
    }
    if (status && temporary_.empty()) status = GiveName();
  }
  if (close(std::exchange(descriptor_, -1)) != 0 && status) status = Fault("write failed", errno);
  if (status && !temporary_.empty()) {
    if (rename(temporary_.c_str(), target_.c_str()) == 0) {
      temporary_.clear();
    } else {
      status = Fault("cannot rename to it", errno);
    }
  }
  Discard();
  return status;
}

}  // namespace dmaudit
