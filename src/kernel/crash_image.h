// SPDX-License-Identifier: GPL-2.0-or-later
// The crash kernel that was loaded: where in the reservation its pieces lie.
#ifndef DMAUDIT_KERNEL_CRASH_IMAGE_H_
#define DMAUDIT_KERNEL_CRASH_IMAGE_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace dmaudit {

struct KernelView;

// What a segment holds, as far as the kernel recorded it: user space that loads with kexec_load(2)
// tells the kernel no names.
enum class SegmentRole : uint8_t { kUnknown, kKernel, kInitrd, kElfHeaders, kPurgatory };
// "", "kernel", "initrd", "ELF headers", "purgatory".
std::string_view ToString(SegmentRole role);

struct ImageSegment {
  PhysRange range;
  uint64_t loaded_bytes = 0;  // the rest of the range is zeroed and reserved for it
  SegmentRole role = SegmentRole::kUnknown;
};

struct CrashImage {
  KernelVa address;               // of the struct kimage
  std::optional<bool> file_mode;  // loaded with kexec_file_load(2)
  std::vector<ImageSegment> segments;
  bool complete = false;  // every segment was read
};

// The image at `address` (kexec_crash_image, not null). What cannot be read is a note: no DMA is
// hidden by it.
CrashImage ReadCrashImage(const KernelView& kernel, KernelVa address);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_CRASH_IMAGE_H_
