// SPDX-License-Identifier: GPL-2.0-or-later
//
// Takes a PCI device through VFIO, maps memory for it, lets the device (QEMU's "edu") copy through
// some of the mappings and keeps them until the machine dies. Prints one line per mapped page run:
//   MAP iova len pa perm
// with physical addresses from /proc/self/pagemap, so that the host has a truth of its own.

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int Fail(const char* what) {
  printf("FAILED %s: %s\n", what, strerror(errno));
  fflush(stdout);
  return 1;
}

static uint64_t PhysicalOf(int pagemap, const void* address) {
  uint64_t entry = 0;
  const uint64_t index = (uint64_t)(uintptr_t)address / 4096;
  if (pread(pagemap, &entry, sizeof entry, (off_t)(index * 8)) != sizeof entry) return 0;
  return (entry & ((UINT64_C(1) << 55) - 1)) * 4096;
}

static int MapRange(int container, int pagemap, uint64_t iova, uint64_t size, uint32_t flags,
                    uint8_t** memory) {
  *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                 -1, 0);
  if (*memory == MAP_FAILED || mlock(*memory, size) != 0) return Fail("mmap");
  memset(*memory, 0x5a, size);
  struct vfio_iommu_type1_dma_map map = {.argsz = sizeof map,
                                         .flags = flags,
                                         .vaddr = (uintptr_t)*memory,
                                         .iova = iova,
                                         .size = size};
  if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map) != 0) return Fail("VFIO_IOMMU_MAP_DMA");
  const char* perm = flags == VFIO_DMA_MAP_FLAG_READ    ? "R-"
                     : flags == VFIO_DMA_MAP_FLAG_WRITE ? "-W"
                                                        : "RW";
  uint64_t start = 0;
  for (uint64_t offset = 4096; offset <= size; offset += 4096) {
    if (offset < size && PhysicalOf(pagemap, *memory + offset) ==
                             PhysicalOf(pagemap, *memory + offset - 4096) + 4096) {
      continue;
    }
    printf("MAP 0x%llx 0x%llx 0x%llx %s\n", (unsigned long long)(iova + start),
           (unsigned long long)(offset - start),
           (unsigned long long)PhysicalOf(pagemap, *memory + start), perm);
    start = offset;
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int container = open("/dev/vfio/vfio", O_RDWR);
  if (container < 0) return Fail("/dev/vfio/vfio");
  const int group = open(argv[1], O_RDWR);
  if (group < 0) return Fail(argv[1]);
  if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) != 0) return Fail("SET_CONTAINER");
  if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) return Fail("SET_IOMMU");
  const int pagemap = open("/proc/self/pagemap", O_RDONLY);
  if (pagemap < 0) return Fail("pagemap");

  uint8_t* memory[3];
  const uint32_t both = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  if (MapRange(container, pagemap, 0x10000000, 8 << 20, both, &memory[0]) != 0 ||
      MapRange(container, pagemap, 0x20001000, 0x3000, VFIO_DMA_MAP_FLAG_READ, &memory[1]) != 0 ||
      MapRange(container, pagemap, 0x7f000000, 0x10000, VFIO_DMA_MAP_FLAG_WRITE, &memory[2]) != 0) {
    return 1;
  }

  const int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]);
  if (device < 0) return Fail("GET_DEVICE_FD");
  // Memory space and bus mastering on.
  struct vfio_region_info config = {.argsz = sizeof config, .index = VFIO_PCI_CONFIG_REGION_INDEX};
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) != 0) return Fail("config region");
  const uint16_t command = 0x6;
  if (pwrite(device, &command, 2, (off_t)config.offset + 4) != 2) return Fail("command register");
  struct vfio_region_info bar = {.argsz = sizeof bar, .index = VFIO_PCI_BAR0_REGION_INDEX};
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar) != 0) return Fail("BAR 0");
  volatile uint8_t* registers =
      mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)bar.offset);
  if (registers == MAP_FAILED) return Fail("mmap BAR 0");

  // edu: source 0x80, destination 0x88, count 0x90, command 0x98 (1 start, 2 towards RAM); its own
  // buffer is at 0x40000. One copy takes about 0.1 s.
  for (unsigned i = 0; i < 24; ++i) {
    *(volatile uint64_t*)(registers + 0x80) = UINT64_C(0x10000000) + i * 0x50000;
    *(volatile uint64_t*)(registers + 0x88) = 0x40000;
    *(volatile uint64_t*)(registers + 0x90) = 64;
    *(volatile uint64_t*)(registers + 0x98) = 1;
    while ((*(volatile uint64_t*)(registers + 0x98) & 1) != 0) usleep(1000);
  }
  *(volatile uint64_t*)(registers + 0x80) = 0x40000;
  *(volatile uint64_t*)(registers + 0x88) = 0x7f001000;
  *(volatile uint64_t*)(registers + 0x98) = 3;
  while ((*(volatile uint64_t*)(registers + 0x98) & 1) != 0) usleep(1000);
  printf("HOLDING\n");
  fflush(stdout);
  for (;;) pause();
}
