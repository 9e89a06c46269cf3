// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's tree of physical address ranges: what /proc/iomem shows.
#ifndef DMAUDIT_KERNEL_RESOURCE_TREE_H_
#define DMAUDIT_KERNEL_RESOURCE_TREE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/diagnostics.h"
#include "base/result.h"
#include "kernel/kernel_reader.h"
#include "kernel/types.h"

namespace dmaudit {

struct Resource {
  PhysRange range;
  std::string name;              // empty when it cannot be read
  std::optional<size_t> parent;  // index in the list; none for children of the root
  KernelVa address;              // of the struct resource
};

struct ResourceTree {
  std::vector<Resource> resources;  // parents before children
  bool complete = false;            // false: part of the tree could not be read
};

// More than a machine with thousands of PCI functions and memory blocks has.
inline constexpr size_t kMaxResources = 65536;

// Reads the tree under `root` (iomem_resource), each resource once. What cannot be read, runs in a
// circle or ends before it begins is a diagnostic and makes the tree incomplete. An error when not
// even the root can be read.
Result<ResourceTree> ReadResourceTree(KernelReader& reader, const TypeSource& types, KernelVa root,
                                      DiagnosticSink& sink);

// Resources whose name is "System RAM", also with a driver's name in brackets behind it (memory
// added at run time), joined where they touch.
std::vector<PhysRange> SystemRam(const ResourceTree& tree);

// What firmware's memory map reserves: resources named "Reserved" ("reserved" up to 4.9), joined
// where they touch.
std::vector<PhysRange> FirmwareReserved(const ResourceTree& tree);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_RESOURCE_TREE_H_
