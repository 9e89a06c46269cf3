// SPDX-License-Identifier: GPL-2.0-or-later
// An output file that appears under its name complete or not at all.
#ifndef DMAUDIT_VMCORE_WRITE_ATOMIC_FILE_H_
#define DMAUDIT_VMCORE_WRITE_ATOMIC_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace dmaudit {

// Written beside the target and renamed over it by Commit(); without Commit() the target is as it
// was, and nothing stays beside it. Until then the file has no name, so that nothing is left by a
// process that is killed; where the file system cannot do that, a temporary one, removed by the
// destructor. A file that is replaced keeps its mode and, where that is allowed, its owner. A
// symbolic link stays and its target is replaced. What is not a regular file (pipes, terminals) and
// names of open descriptors (/dev/stdout, /dev/fd/N) are written straight.
class AtomicFile {
 public:
  enum class Access : uint8_t {
    kSequential,  // Append() only
    kPositioned,  // WriteAt() too; a target that is written straight gets its bytes in Commit()
  };

  // Modes of a new file, of which the umask takes its part away. Memory is not for everyone.
  static constexpr mode_t kForAll = 0666;
  static constexpr mode_t kForOwner = 0600;

  // kIo with path and reason when the target is a directory or its folder cannot be written.
  static Result<AtomicFile> Create(std::string path, Access access = Access::kSequential,
                                   mode_t mode = kForAll);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  const std::string& path() const { return path_; }

  // All bytes or an error with path and reason (kIo).
  Status Append(std::span<const std::byte> bytes);
  Status Append(std::string_view text) { return Append(AsBytes(text)); }
  // Access::kPositioned only. What was never written reads as zero and takes no room on disk.
  Status WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  // Access::kPositioned only. Makes the file at least `size` bytes long.
  Status ExtendTo(uint64_t size);

  // Nothing can be written afterwards, whether it succeeds or not.
  Status Commit();

 private:
  AtomicFile() = default;

  Status Fault(std::string_view action, int error) const;
  Status WriteAll(int descriptor, std::span<const std::byte> bytes);
  Status CopyToTarget();
  Status OpenBeside(mode_t mode);
  Status GiveName();
  Status TakeTemporaryName(const std::function<bool(const char*)>& make);
  void Discard();

  std::string path_;    // as given, for messages
  std::string target_;  // what is replaced; empty when written straight
  std::string
      temporary_;  // empty when there is none (left), or the file beside the target has none
  int descriptor_ = -1;
  int straight_ = -1;  // where Commit() copies to: a target written straight, with kPositioned
  uint64_t size_ = 0;
  uint64_t handed_over_ = 0;  // what the disk was told to write already
};

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_WRITE_ATOMIC_FILE_H_
