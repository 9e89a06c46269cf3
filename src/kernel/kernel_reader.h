// SPDX-License-Identifier: GPL-2.0-or-later
// Reading at kernel virtual addresses: the one window through which every reader of kernel objects
// looks.
#ifndef DMAUDIT_KERNEL_KERNEL_READER_H_
#define DMAUDIT_KERNEL_KERNEL_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/address.h"
#include "base/result.h"

namespace dmaudit {

// What one entry of the page tables says of the addresses it stands for.
struct MappedStretch {
  KernelVa first;
  uint64_t size = 0;
  bool mapped = false;  // false too when the entry is not known
  bool writable = false;
  bool executable = false;
};

class KernelReader {
 public:
  virtual ~KernelReader() = default;

  // Fills `out` from `address`, over page borders. The error (kUnknown) names the virtual address,
  // the physical one where translation got that far, and the state of the bytes.
  virtual Status Read(KernelVa address, std::span<std::byte> out) = 0;

  // The physical address behind `address`.
  virtual Result<PhysAddr> Translate(KernelVa address) = 0;

  // For searches, which go over what is not there without a reason for each page.
  // The entry that decides over `address`; without page tables a page that can be translated.
  virtual MappedStretch StretchAt(KernelVa address);
  // Fills `out` (inside one page) with the bytes that are known and `filler` for the others; false
  // when none is known.
  virtual bool ReadKnown(KernelVa address, std::span<std::byte> out, std::byte filler);

  Result<uint64_t> ReadU64(KernelVa address);
  Result<uint32_t> ReadU32(KernelVa address);
  Result<uint16_t> ReadU16(KernelVa address);
  Result<uint8_t> ReadU8(KernelVa address);
  // A NUL-terminated string of at most `limit` bytes; without NUL the whole `limit` bytes.
  Result<std::string> ReadString(KernelVa address, size_t limit);
};

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_KERNEL_READER_H_
