// SPDX-License-Identifier: GPL-2.0-or-later
//
// Takes an NVMe controller through VFIO, maps memory for it and lets the controller write into every
// page of it (one Identify command each). The mappings stay until the machine dies, and nothing is ever
// invalidated in their domain: thousands of translations that are live at the crash in every mode.
// Prints the same lines as vfio_hold: MAP iova len pa perm, then HOLDING.

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

enum { kPage = 4096, kQueuePages = 2, kDataPages = 2304, kEntries = 16 };
enum { kCap = 0, kCc = 0x14, kCsts = 0x1c, kAqa = 0x24, kAsq = 0x28, kAcq = 0x30, kDoorbell = 0x1000 };
// Away from the window of the interrupt messages (0xfee00000).
static const uint64_t kBase = UINT64_C(0x40000000);

static int Fail(const char* what) {
  printf("FAILED %s: %s\n", what, strerror(errno));
  fflush(stdout);
  return 1;
}

static uint64_t PhysicalOf(int pagemap, const void* address) {
  uint64_t entry = 0;
  const uint64_t index = (uint64_t)(uintptr_t)address / kPage;
  if (pread(pagemap, &entry, sizeof entry, (off_t)(index * 8)) != sizeof entry) return 0;
  return (entry & ((UINT64_C(1) << 55) - 1)) * kPage;
}

static volatile uint8_t* g_registers;

static void Write32(uint32_t at, uint32_t value) { *(volatile uint32_t*)(g_registers + at) = value; }
static void Write64(uint32_t at, uint64_t value) { *(volatile uint64_t*)(g_registers + at) = value; }
static uint32_t Read32(uint32_t at) { return *(volatile uint32_t*)(g_registers + at); }

// Waits up to 10 s until CSTS.RDY is `ready`.
static int WaitReady(uint32_t ready) {
  for (int i = 0; i < 10000; ++i) {
    if ((Read32(kCsts) & 1) == ready) return 0;
    usleep(1000);
  }
  errno = ETIMEDOUT;
  return Fail("CSTS");
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

  const uint64_t size = (uint64_t)(kQueuePages + kDataPages) * kPage;
  uint8_t* memory =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED || mlock(memory, size) != 0) return Fail("mmap");
  memset(memory, 0, size);
  struct vfio_iommu_type1_dma_map map = {.argsz = sizeof map,
                                         .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                         .vaddr = (uintptr_t)memory,
                                         .iova = kBase,
                                         .size = size};
  if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map) != 0) return Fail("VFIO_IOMMU_MAP_DMA");
  uint64_t start = 0;
  for (uint64_t offset = kPage; offset <= size; offset += kPage) {
    if (offset < size &&
        PhysicalOf(pagemap, memory + offset) == PhysicalOf(pagemap, memory + offset - kPage) + kPage) {
      continue;
    }
    printf("MAP 0x%llx 0x%llx 0x%llx RW\n", (unsigned long long)(kBase + start),
           (unsigned long long)(offset - start), (unsigned long long)PhysicalOf(pagemap, memory + start));
    start = offset;
  }

  const int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]);
  if (device < 0) return Fail("GET_DEVICE_FD");
  struct vfio_region_info config = {.argsz = sizeof config, .index = VFIO_PCI_CONFIG_REGION_INDEX};
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) != 0) return Fail("config region");
  // Memory space and bus mastering on, INTx off.
  const uint16_t command = 0x406;
  if (pwrite(device, &command, 2, (off_t)config.offset + 4) != 2) return Fail("command register");
  struct vfio_region_info bar = {.argsz = sizeof bar, .index = VFIO_PCI_BAR0_REGION_INDEX};
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar) != 0) return Fail("BAR 0");
  // The MSI-X table splits the BAR on older kernels; the registers come before it.
  g_registers = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)bar.offset);
  if (g_registers == MAP_FAILED) return Fail("mmap BAR 0");

  Write32(kCc, 0);
  if (WaitReady(0) != 0) return 1;
  Write32(kAqa, (kEntries - 1) << 16 | (kEntries - 1));
  Write64(kAsq, kBase);
  Write64(kAcq, kBase + kPage);
  Write32(kCc, 4 << 20 | 6 << 16 | 1);  // completion entries of 16 bytes, submissions of 64, enable
  if (WaitReady(1) != 0) return 1;
  const uint32_t stride = 4U << (*(volatile uint64_t*)(g_registers + kCap) >> 32 & 15);

  volatile uint32_t* submissions = (volatile uint32_t*)memory;
  volatile uint32_t* completions = (volatile uint32_t*)(memory + kPage);
  for (uint32_t page = 0; page < kDataPages; ++page) {
    const uint32_t slot = page % kEntries;
    const uint64_t target = kBase + (uint64_t)(kQueuePages + page) * kPage;
    volatile uint32_t* entry = submissions + slot * 16;
    for (unsigned i = 0; i < 16; ++i) entry[i] = 0;
    entry[0] = page << 16 | 0x06;  // Identify
    entry[6] = (uint32_t)target;
    entry[7] = (uint32_t)(target >> 32);
    entry[10] = 1;  // the controller's own data
    __sync_synchronize();
    Write32(kDoorbell, (slot + 1) % kEntries);
    const uint32_t phase = page / kEntries % 2 == 0;
    int waited = 0;
    while ((completions[slot * 4 + 3] >> 16 & 1) != phase) {
      usleep(20);
      if (++waited > 250000) {
        errno = ETIMEDOUT;
        return Fail("completion");
      }
    }
    if ((completions[slot * 4 + 3] >> 17) != 0) {
      errno = EIO;
      return Fail("Identify");
    }
    Write32(kDoorbell + stride, (slot + 1) % kEntries);
  }
  printf("HOLDING\n");
  fflush(stdout);
  for (;;) pause();
}
