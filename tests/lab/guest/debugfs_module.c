// SPDX-License-Identifier: GPL-2.0-or-later
//
// The IOMMU's debugfs files as a module, for kernels that are built without them: compiled together with
// the distribution's own drivers/iommu/intel/debugfs.c, unchanged, against the running kernel's headers.
// The three names that this file takes from the kernel and that are not exported are looked up.

#define dmar_drhd_units (*lab_dmar_drhd_units)
#define irq_2_ir_lock (*lab_irq_2_ir_lock)
#define iommu_context_addr (*lab_iommu_context_addr)

#include <linux/debugfs.h>
#include <linux/kprobes.h>
#include <linux/module.h>

#include "iommu.h"

static struct dentry* lab_directory;
#define iommu_debugfs_dir lab_directory
#define intel_iommu_debugfs_init lab_make_files

#include "debugfs.c"

struct list_head* lab_dmar_drhd_units;
raw_spinlock_t* lab_irq_2_ir_lock;

static int __init lab_init(void) {
  struct kprobe probe = {.symbol_name = "kallsyms_lookup_name"};
  unsigned long (*look_up)(const char*);
  const int failed = register_kprobe(&probe);
  if (failed) return failed;
  look_up = (void*)probe.addr;
  unregister_kprobe(&probe);
  lab_dmar_drhd_units = (void*)look_up("dmar_drhd_units");
  lab_irq_2_ir_lock = (void*)look_up("irq_2_ir_lock");
  lab_iommu_context_addr = (void*)look_up("iommu_context_addr");
  if (!lab_dmar_drhd_units || !lab_irq_2_ir_lock || !lab_iommu_context_addr) return -ENOENT;
  lab_directory = debugfs_create_dir("iommu", NULL);
  lab_make_files();
  return 0;
}

module_init(lab_init);
MODULE_LICENSE("GPL");
