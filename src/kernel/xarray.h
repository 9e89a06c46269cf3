// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's arrays of pointers with holes (struct xarray, 4.20 and later): a tree of struct
// xa_node, each of which says by its shift how many bits of an index are left to the nodes below.
#ifndef DMAUDIT_KERNEL_XARRAY_H_
#define DMAUDIT_KERNEL_XARRAY_H_

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/result.h"
#include "kernel/kernel_reader.h"
#include "kernel/types.h"

namespace dmaudit {

// An array is given by the value of its xa_head. Entries come as they are stored: a pointer, a
// pointer with a mark in its low bits (xa_tag_pointer), or a number (low bit 1, xa_mk_value). 0 and
// a slot that is only reserved are no entries.
//
// An error, in both functions, where a node cannot be read, does not have the shift that its place
// asks for, or has one of the array's own marks for an entry (XA_RETRY_ENTRY, a sibling): what the
// array holds there is not known. As shifts must step down, a walk ends whatever nodes link to.

// The entry at `index`, 0 where there is none.
Result<uint64_t> ReadXarrayEntry(KernelReader& reader, const TypeSource& types, uint64_t head,
                                 uint64_t index);

// What walks may still follow; several may share one. A node that is linked again counts again.
struct XarrayBudget {
  size_t nodes;
  size_t entries;
};

// Calls `visit` for each entry up to index `last`, in order. Goes on behind what is damaged, and
// gives the first such error then; kLimit ends the walk.
Status WalkXarray(KernelReader& reader, const TypeSource& types, uint64_t head, uint64_t last,
                  XarrayBudget& budget,
                  const std::function<void(uint64_t index, uint64_t entry)>& visit);

}  // namespace dmaudit

#endif  // DMAUDIT_KERNEL_XARRAY_H_
