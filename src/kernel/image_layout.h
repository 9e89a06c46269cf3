// SPDX-License-Identifier: GPL-2.0-or-later
// Where the image of an x86-64 kernel can lie.
#ifndef DMAUDIT_KERNEL_IMAGE_LAYOUT_H_
#define DMAUDIT_KERNEL_IMAGE_LAYOUT_H_

#include <cstdint>

namespace dmaudit {

// __START_KERNEL_map: the image is linked into the top 2 GiB.
inline constexpr uint64_t kImageBase = 0xffff'ffff'8000'0000;
// The image starts at a multiple of its alignment (CONFIG_PHYSICAL_ALIGN, at least 2 MiB).
inline constexpr uint64_t kImageAlignment = uint64_t{2} << 20;
// KERNEL_IMAGE_SIZE is 512 MiB, with a randomised address 1 GiB; VMCOREINFO tells it since 3.17.
inline constexpr uint64_t kDefaultImageSize = uint64_t{512} << 20;
inline constexpr uint64_t kMaxImageSize = uint64_t{1} << 30;

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_IMAGE_LAYOUT_H_
