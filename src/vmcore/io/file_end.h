// SPDX-License-Identifier: GPL-2.0-or-later
// Where a file ends now, and whether what was read of it may lie behind.
#ifndef DMAUDIT_VMCORE_IO_FILE_END_H_
#define DMAUDIT_VMCORE_IO_FILE_END_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace dmaudit {

// The size of a regular file, in bytes, as its server has it now, where it lies on one: fstat(2)
// may give what the client remembers. -1 with errno where it cannot be told.
int64_t SizeNow(int fd);

// Whether a read of this file never gives what lies behind its end: on local file systems, and on
// FUSE, where a server's short answer is a short read. False for those that are not known to be
// such.
bool ReadsEndWithTheFile(int fd);

// Whether bytes that were read at `offset` of a file may be zeros that nobody stored. Linux's NFS
// client fills with zeros what lies between the server's end of the file and the end that it
// remembers, and a read succeeds. It does so page by page of its cache, which may hold later ones
// from before: such zeros go on to the end of a page or of the read.
bool MayBeMadeUp(uint64_t offset, std::span<const std::byte> bytes);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_IO_FILE_END_H_
