// SPDX-License-Identifier: GPL-2.0-or-later
// Structures like those of a kernel, for a file with DWARF that the compiler writes at test time
// and for the test, which knows their layout from the compiler itself.
#ifndef DMAUDIT_TESTS_KERNEL_LOOKALIKE_H_
#define DMAUDIT_TESTS_KERNEL_LOOKALIKE_H_

// Kernel C: unnamed structures and flexible arrays are no C++ of the standard.
#pragma GCC system_header

extern "C" {

struct list_head {
  struct list_head *next, *prev;
};
typedef unsigned long long u64;
typedef unsigned short u16;
typedef const volatile u64 odd_u64;
enum irq_kind { kEdge, kLevel };

struct iommu_ops;
typedef struct {
  int counter;
} atomic_t;

struct iommu_device {
  struct list_head list;
  const struct iommu_ops* ops;
};

struct intel_iommu {
  void* reg;
  odd_u64 cap;
  u64 ecap;
  unsigned gcmd;
  char name[13];
  u64 grid[3][4];
  struct {
    u16 inner;
    union {
      unsigned as_word;
      float as_real;
    };
  };
  atomic_t users;
  enum irq_kind irq;
  bool set;
  struct iommu_device iommu;
  struct iommu_device spare[2];
  unsigned long* copied_tables;
  void (*flush)(struct intel_iommu*);
  u64 flexible[];
};

struct dmar_drhd_unit {
  struct list_head list;
  u16 segment;
  unsigned char ignored : 1;
  unsigned char include_all : 1;
  unsigned wide : 21;
  struct intel_iommu* iommu;
};

union either {
  u64 whole;
  struct {
    unsigned low, high;
  } half;
};

}  // extern "C"

#endif  // DMAUDIT_TESTS_KERNEL_LOOKALIKE_H_
