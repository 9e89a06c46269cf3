// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/io/file_end.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <limits>

namespace dmaudit {

int64_t SizeNow(int fd) {
  struct statx status {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_SIZE, &status) != 0) return -1;
  if (status.stx_size <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return static_cast<int64_t>(status.stx_size);
  }
  errno = EOVERFLOW;
  return -1;
}

bool ReadsEndWithTheFile(int fd) {
  struct statfs status {};
  if (::fstatfs(fd, &status) != 0) return false;
  switch (static_cast<uint64_t>(status.f_type)) {
    case EXT4_SUPER_MAGIC:  // and those of ext2 and ext3
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
    // To ask here would hide a short answer that comes meanwhile: the kernel takes the size that it
    // is told for the newer truth, and fills up to it (fuse_read_update_size() in fs/fuse/file.c).
    case FUSE_SUPER_MAGIC:
      return true;
    default:
      return false;
  }
}

bool MayBeMadeUp(uint64_t offset, std::span<const std::byte> bytes) {
  constexpr uint64_t kCachePage = 4096;  // or a multiple of it
  if (bytes.empty()) return false;
  if (bytes.back() == std::byte{0}) return true;
  for (uint64_t last = kCachePage - 1 - offset % kCachePage; last < bytes.size();
       last += kCachePage) {
    if (bytes[last] == std::byte{0}) return true;
  }
  return false;
}

}  // namespace dmaudit
